// IndexStore: the index of one log: its runs, what is still in memory, and the next step that makes
// it more complete. docs/formats/audit-index.md.
//
// Owns no thread: advance(), flush() and clear() belong to one thread (Index has one; a rebuild
// uses its own); status() and with_parts() may be called on any. Never changes the log.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "audit/entry_source.h"
#include "audit/index_builder.h"
#include "audit/index_folder.h"
#include "audit/index_run.h"
#include "base/log.h"

namespace rekey::audit {

inline constexpr uint64_t kIndexMemoryBlocksMax = 256;   // then a run is written
inline constexpr size_t kIndexMemoryBytesMax = 8 << 20;  // or then
inline constexpr size_t kIndexMergeRuns = 8;             // neighbours that become one
inline constexpr size_t kIndexMergeStepBytes = 64 * 1024;

struct IndexStatus {
  uint64_t indexed = 0;  // entries [0, n) are found by the index
  uint64_t runs = 0;
  uint64_t run_bytes = 0;
  uint64_t memory_bytes = 0;
  uint64_t terms = 0;         // over all runs, so one may count several times
  uint64_t unknown = 0;       // entries since start that aren't in the record's form
  uint64_t runs_removed = 0;  // since start, because they were damaged
  bool merging = false;
  std::string problem;  // why it doesn't get on; for operators
};

class IndexStore {
 public:
  struct Options {
    uint64_t memory_blocks_max = kIndexMemoryBlocksMax;
    size_t memory_bytes_max = kIndexMemoryBytesMax;
    bool read_only = false;
  };

  // Takes the runs that are good. `operator_log` outlives it.
  static base::Result<std::unique_ptr<IndexStore>> open(std::unique_ptr<IndexFolder> folder,
                                                        std::string log_id, uint64_t log_size,
                                                        Options options,
                                                        const base::Log& operator_log);

  // One step: a block of entries, a run written, a bit of a merge. False if there is nothing to do.
  base::Result<bool> advance(const EntrySource& source);
  // Writes what is in memory.
  base::Result<void> flush();
  // Forgets everything; the next advance() starts at the log's beginning.
  base::Result<void> clear();

  IndexStatus status() const;
  // A query found it damaged: it is removed at the next step.
  void report_damaged(const Run& run);

  using Runs = std::vector<std::shared_ptr<const Run>>;
  // Calls `use` with what there is now: runs in order, and what is in memory, which is valid during
  // the call only. Holds up the index meanwhile.
  void with_parts(
      const std::function<void(const Runs& runs, const IndexBuilder& memory)>& use) const;

 private:
  IndexStore(Options options, const base::Log& operator_log);
  base::Result<void> load(uint64_t log_size);
  void drop(const std::string& name, std::string_view why);
  uint64_t contiguous_end() const;
  uint64_t memory_limit() const;
  base::Result<bool> add_block(const EntrySource& source);
  base::Result<void> remove_reported();
  base::Result<bool> merge_step(size_t bytes);
  Runs runs_to_merge() const;
  base::Result<void> finish_merge();
  base::Result<void> give_up_merge(const base::Error& error);
  void report_damaged_of(const Runs& inputs, const base::Error& error);

  std::unique_ptr<IndexFolder> folder_;
  std::string log_id_;
  const Options options_;
  const base::Log& operator_log_;
  EntryScanner scanner_;
  std::string block_bytes_;  // the entries of the block that is being added, one after the other
  std::vector<size_t> block_ends_;
  std::unique_ptr<RunMerge> merge_;

  mutable std::mutex mutex_;  // over everything below; changed by the one thread only
  Runs runs_;                 // by first block, without overlaps
  std::unique_ptr<IndexBuilder> memory_;
  std::set<std::string> damaged_;
  uint64_t unknown_ = 0;
  uint64_t runs_removed_ = 0;
  bool merging_ = false;
};

}  // namespace rekey::audit
