// Retention: takes the oldest entries out of a log and keeps the tree, so that everything newer can
// still be proven, and so can what was taken out as long as somebody has it.
//
// Works on whole bundles below a signed checkpoint: copies them to an archive where there is one,
// checks that they are what the tree says, writes down how far it is (`kept`), then removes them.
// Hash tiles stay. Blocks; one caller at a time, the log's only writer.
#pragma once

#include <cstdint>

#include "audit/disk.h"
#include "base/clock.h"
#include "base/error.h"

namespace rekey::audit {

inline constexpr const char* kKeptPath = "kept";
inline constexpr uint64_t kRetireBundlesAtOnce = 64;  // copied, then written down, then removed

struct Retired {
  uint64_t entries = 0;     // taken out by this call
  uint64_t bytes = 0;       // of their bundles
  uint64_t first_kept = 0;  // index of the first entry that is still in the log
};

// Takes out entries below `below`, as far as whole bundles and `signed_size` go. `archive` (with
// the same layout, so that it can be read as a log's folder) may be null: then they are gone. After
// a failure the same call goes on. kCorrupt if a bundle isn't what the tree says: nothing of it is
// touched.
base::Result<Retired> retire_entries(Disk& disk, Disk* archive, uint64_t signed_size,
                                     uint64_t below);

// Index of the first entry that was never taken out; 0 without retention.
base::Result<uint64_t> first_kept_entry(const Disk& disk);

// The number of entries at the log's beginning, in whole bundles below `signed_size`, that are all
// older than `time`. Reads them.
base::Result<uint64_t> entries_before(const Disk& disk, uint64_t signed_size, base::WallTime time);

}  // namespace rekey::audit
