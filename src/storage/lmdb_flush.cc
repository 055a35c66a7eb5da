// The flush thread of LmdbStore: moves full tables into the LMDB file; and what happens when the
// disk says no.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/codec.h"
#include "base/thread.h"
#include "storage/lmdb_format.h"
#include "storage/lmdb_store.h"

namespace rekey::storage {

void LmdbStore::publish_tables() {
  Tables tables;
  tables.newest_first.push_back(filling_);
  if (flushing_) tables.newest_first.push_back(flushing_->table);
  tables_.publish(std::make_shared<const Tables>(std::move(tables)));
}

Result<void> LmdbStore::flush_all() {
  const Revision wanted = committed_;
  std::unique_lock lock(flush_mutex_);
  if (flushed_ >= wanted) return {};
  const uint64_t begun = flush_attempts_;
  {
    const std::lock_guard queue_lock(queue_mutex_);
    flush_wanted_ = true;
  }
  queue_filled_.notify_one();
  // The writer doesn't start another one once the store is broken.
  flush_done_.wait(lock,
                   [&] { return flushed_ >= wanted || flush_failed_ > begun || is_broken(); });
  if (flushed_ >= wanted) return {};
  if (!flush_error_) return flush_error_;
  return base::fail(ErrorKind::kUnavailable, "the store is read-only after a failed write");
}

bool LmdbStore::is_broken() const {
  const std::lock_guard lock(health_mutex_);
  return health_.permanent;
}

void LmdbStore::flush_loop() {
  base::begin_thread("storage-flush");
  std::unique_lock lock(flush_mutex_);
  for (;;) {
    flush_work_.wait(lock, [this] { return flushing_ || flush_stopping_; });
    if (!flushing_) return;
    const Flushing next = *flushing_;
    flush_now_ = false;
    const uint64_t attempt = ++flush_attempts_;
    lock.unlock();
    Result<void> outcome = flush(next);
    const bool broken = is_broken();
    lock.lock();
    flush_error_ = outcome;
    if (outcome) {
      flushed_ = next.revision;
      flushing_.reset();
      publish_tables();
    } else {
      flush_failed_ = attempt;
    }
    flush_done_.notify_all();
    if (outcome) continue;
    if (broken) {
      flush_work_.wait(lock, [this] { return flush_stopping_; });
    } else {
      flush_work_.wait_for(lock, kFlushRetryInterval,
                           [this] { return flush_now_ || flush_stopping_; });
    }
    if (flush_stopping_) return;
  }
}

Result<void> LmdbStore::flush(const Flushing& flushing) {
  uint64_t rows = 0;
  for (;;) {
    const int code = try_flush(flushing, rows);
    if (code == 0) break;
    if (code != MDB_MAP_FULL) return write_failure(code);
    if (auto grown = grow_map(); !grown) return grown;
  }
  bool recovered = false;
  {
    const std::lock_guard lock(health_mutex_);
    if (std::exchange(flush_fails_, false) && !health_.permanent) {
      recovered = !std::exchange(health_.writable, true);
      health_.reason.clear();
    }
  }
  if (recovered) log_.info("storage", "the store can be written again");
  tell_rows(flushing, rows);
  return {};
}

void LmdbStore::tell_rows(const Flushing& flushing, uint64_t rows) {
  {
    const std::lock_guard lock(health_mutex_);
    health_.keys = rows;
  }
  if (!flushing.rows_expected) return;
  const std::lock_guard lock(witness_mutex_);
  if (witness_ != nullptr) witness_->rows_counted(*flushing.rows_expected, rows);
}

// One transaction with the newest of all rows of the table, in the order of keys, so that those of
// one page come together; 0, or the code of LMDB or errno that undid it all. `rows`: of the file
// then.
int LmdbStore::try_flush(const Flushing& flushing, uint64_t& rows) {
  MDB_txn* begun = nullptr;
  if (int code = mdb_txn_begin(env_.get(), nullptr, 0, &begun); code != 0) return code;
  TxnPtr txn(begun);
  RowTable::Cursor cursor(*flushing.table);
  for (bool more = cursor.seek(""); more; more = cursor.next()) {
    const RowTable::Version& version = *cursor.version(flushing.revision);
    MDB_val name = to_val(cursor.key());
    if (version.erased) {
      const int code = mdb_del(txn.get(), databases_.rows, &name, nullptr);
      if (code != 0 && code != MDB_NOTFOUND) return code;
      continue;
    }
    MDB_val row{kRowHeaderBytes + version.value.size(), nullptr};
    const int code = mdb_put(txn.get(), databases_.rows, &name, &row, MDB_RESERVE);
    if (code != 0) return code;
    std::string header;
    base::append_u64(header, version.revision);
    char* const at = static_cast<char*>(row.mv_data);
    std::memcpy(at, header.data(), kRowHeaderBytes);
    if (!version.value.empty()) {
      std::memcpy(at + kRowHeaderBytes, version.value.data(), version.value.size());
    }
  }
  if (int code = write_revision(txn.get(), databases_.meta, flushing.revision); code != 0)
    return code;
  MDB_stat stat{};
  if (int code = mdb_stat(txn.get(), databases_.rows, &stat); code != 0) return code;
  if (int code = mdb_txn_commit(txn.release()); code != 0) return code;
  rows = stat.ms_entries;
  MDB_envinfo info{};
  mdb_env_info(env_.get(), &info);
  const std::lock_guard lock(health_mutex_);
  health_.bytes_used = (info.me_last_pgno + 1) * stat.ms_psize;
  health_.bytes_max = info.me_mapsize;
  return 0;
}

// Doubles the map. Every snapshot has to be let go of for that moment; readers that come meanwhile
// wait, for kMapGrowWaitMax at most.
Result<void> LmdbStore::grow_map() {
  MDB_envinfo info{};
  mdb_env_info(env_.get(), &info);
  const uint64_t larger = std::min<uint64_t>(info.me_mapsize * 2, kMapBytesMax);
  if (larger <= info.me_mapsize) {
    return base::fail(ErrorKind::kUnavailable, "the store has reached its greatest size");
  }
  if (backups_ > 0 || !gate_.close(kMapGrowWaitMax)) {
    return base::fail(ErrorKind::kUnavailable, "the store can't grow at the moment",
                      backups_ > 0 ? "a backup is running" : "a snapshot is held for too long");
  }
  const int code = mdb_env_set_mapsize(env_.get(), larger);
  gate_.open();
  if (code != 0) return fail_lmdb(code, "the store can't grow");
  log_.info("storage", "the store's map has grown", {{"bytes", std::to_string(larger)}});
  return {};
}

// What a failed transaction means for the store from now on. Its rows stay in the redo file.
std::unexpected<Error> LmdbStore::write_failure(int code) {
  if (code == ENOMEM) return fail_lmdb(code, "there is no memory to write to the store");
  // After a failed write of its header LMDB refuses everything; then it may be on disk or not.
  MDB_txn* begun = nullptr;
  const bool usable = mdb_txn_begin(env_.get(), nullptr, 0, &begun) == 0;
  TxnPtr txn(begun);
  const bool full = usable && disk_is_full(code);
  {
    const std::lock_guard lock(health_mutex_);
    flush_fails_ = true;
  }
  return note_failure(full, mdb_strerror(code), /*refusing=*/!full);
}

void LmdbStore::note_refusing() {
  const std::lock_guard lock(health_mutex_);
  if (flush_fails_) health_.writable = false;
}

std::unexpected<Error> LmdbStore::note_failure(bool full, std::string_view what, bool refusing) {
  const std::string reason = full ? "the disk is full" : "writing failed: " + std::string(what);
  bool news = false;
  {
    const std::lock_guard lock(health_mutex_);
    news = health_.reason != reason;
    health_.writable = health_.writable && !refusing;
    health_.permanent = health_.permanent || !full;
    health_.reason = reason;
  }
  if (news) {
    log_.error("storage",
               full ? "the store can't be written while the disk is full"
                    : "the store is read-only until the server is restarted",
               {{"reason", reason}, {"folder", folder_.path()}});
  }
  if (full) return base::fail(ErrorKind::kUnavailable, "the disk is full", std::string(what));
  return base::fail(ErrorKind::kTimeout, "a write failed; it may or may not have been kept",
                    std::string(what));
}

bool LmdbStore::means_full(int error) {
  return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

// LMDB turns a short write, which is how most disks say that they are full, into EIO: so ask the
// file system for one more megabyte behind the end of the file. Nothing was lost in that case, for
// LMDB never overwrites a page that the last commit refers to.
bool LmdbStore::disk_is_full(int code) const {
  if (means_full(code)) return true;
  if (code != EIO) return false;
  constexpr off_t kProbeBytes = 1 << 20;
  mdb_filehandle_t fd = -1;
  struct stat info{};
  if (mdb_env_get_fd(env_.get(), &fd) != 0 || ::fstat(fd, &info) != 0) return false;
  return ::fallocate(fd, 0, info.st_size, kProbeBytes) != 0 && means_full(errno);
}

}  // namespace rekey::storage
