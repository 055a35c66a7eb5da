// Reading what LmdbStore::backup wrote: verification and restoring. For offline tools and start-up;
// blocking. A backup is a compacted LMDB file and a trailer (docs/formats/lmdb.md). Values in it
// are as encrypted as in the store; that they belong together the barrier finds out at unseal.
#pragma once

#include <string>

#include "base/log.h"
#include "storage/store.h"

namespace rekey::storage {

struct BackupReport {
  uint32_t format = 0;
  Revision revision = 0;
  uint64_t rows = 0;
  uint64_t bytes = 0;  // of the whole file
};

// Checks that the file at `path` is a complete, undamaged backup in a format that this program
// reads, and walks all rows. kNotFound, kCorrupt (with what is wrong), kUnsupported (from a newer
// program).
Result<BackupReport> verify_backup(const std::string& path);

struct RestoreReport {
  BackupReport backup;
  std::string kept_path;  // where the store that was there before is now; empty if there was none
};

// Puts the backup at `path` in place of the store in `folder`, which no server may be using
// (kUnavailable). Everything is verified first; then the old file is kept beside the new one and
// the new one put in its place by one rename, so that a crash leaves the one or the other.
Result<RestoreReport> restore_backup(const std::string& path, const std::string& folder,
                                     const base::Log& log);

}  // namespace rekey::storage
