// The writer thread of LmdbStore: queue, group commit, and what happens when the disk says no.
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
namespace {

size_t bytes_of(const Batch& batch) {
  size_t bytes = 0;
  for (const Condition& condition : batch.conditions) bytes += condition.key.size();
  for (const Put& put : batch.puts) bytes += put.key.size() + put.value.size();
  for (const std::string& key : batch.deletes) bytes += key.size();
  return bytes;
}

}  // namespace

void LmdbStore::commit(Batch batch, Done done) {
  Queued queued{std::move(batch), std::move(done)};
  queued.ops =
      queued.batch.conditions.size() + queued.batch.puts.size() + queued.batch.deletes.size();
  queued.bytes = bytes_of(queued.batch);
  auto refused = check_batch(queued.batch, limits());
  if (refused) {
    const std::lock_guard lock(queue_mutex_);
    if (queue_.size() < kQueueBatchesMax && queue_bytes_ + queued.bytes <= kQueueBytesMax) {
      queue_bytes_ += queued.bytes;
      queue_.push_back(std::move(queued));
      queue_filled_.notify_one();
      return;
    }
    refused = base::fail(ErrorKind::kUnavailable, "too many writes are waiting for the disk");
  }
  {
    const std::lock_guard lock(health_mutex_);
    health_.failures += 1;
  }
  queued.done(base::forward(refused));
}

void LmdbStore::write_loop() {
  base::begin_thread("storage-writer");
  Turn turn;
  while (take_turn(turn)) {
    run_turn(turn);
    turn.clear();
  }
}

// Moves what is queued into `turn`, up to its limits; false when there is nothing left and the
// store is being destroyed.
bool LmdbStore::take_turn(Turn& turn) {
  size_t left = 0;
  {
    std::unique_lock lock(queue_mutex_);
    queue_filled_.wait(lock, [this] { return !queue_.empty() || stopping_; });
    size_t ops = 0, bytes = 0;
    while (!queue_.empty()) {
      const Queued& next = queue_.front();
      ops += next.ops;
      bytes += next.bytes;
      if (!turn.empty() && (ops > kTurnOpsMax || bytes > kTurnBytesMax)) break;
      queue_bytes_ -= next.bytes;
      turn.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    left = queue_.size();
  }
  const std::lock_guard lock(health_mutex_);
  health_.queued = left;
  return !turn.empty();
}

void LmdbStore::run_turn(Turn& turn) {
  if (auto written = write_turn(turn); !written) {
    // Conflicts were decided on top of batches that are not there now: they fail like the rest.
    for (Queued& queued : turn) queued.outcome = std::unexpected(written.error());
  }
  count_outcomes(turn);
  for (Queued& queued : turn) {
    const bool wrote = !queued.batch.puts.empty() || !queued.batch.deletes.empty();
    if (queued.outcome && wrote) hub_.notify(*queued.outcome, queued.batch);
    queued.done(std::move(queued.outcome));
  }
}

Result<void> LmdbStore::write_turn(Turn& turn) {
  {
    const std::lock_guard lock(health_mutex_);
    if (health_.permanent) {
      return base::fail(ErrorKind::kUnavailable, "the store is read-only after a failed write",
                        health_.reason);
    }
  }
  const std::lock_guard lock(witness_mutex_);
  for (;;) {
    Result<void> refused;
    const int code = try_turn(turn, refused);
    if (code == 0) return refused;
    if (code != MDB_MAP_FULL) return write_failure(code);
    if (auto grown = grow_map(); !grown) return grown;
  }
}

// One transaction with all batches of the turn; 0, or the code of LMDB or errno that undid it all.
// Where the witness refused it, its error in `refused`.
int LmdbStore::try_turn(Turn& turn, Result<void>& refused) {
  MDB_txn* begun = nullptr;
  if (int code = mdb_txn_begin(env_.get(), nullptr, 0, &begun); code != 0) return code;
  TxnPtr txn(begun);
  const Revision before = committed_;
  Revision revision = before;
  for (Queued& queued : turn) {
    if (int code = apply(txn.get(), queued, revision); code != 0) return code;
  }
  if (revision == before) return 0;
  if (witness_ == nullptr) return commit_txn(std::move(txn), revision, revision - before);
  if (int code = ask_witness(txn.get(), turn, revision, refused); code != 0 || !refused)
    return code;
  MDB_stat stat{};
  int code = mdb_stat(txn.get(), databases_.rows, &stat);
  if (code == 0) code = commit_txn(std::move(txn), revision, revision - before);
  witness_->after_commit(code == 0, stat.ms_entries);
  return code;
}

int LmdbStore::ask_witness(MDB_txn* txn, const Turn& turn, Revision revision,
                           Result<void>& refused) {
  CommitWitness::Group group{.before = committed_, .after = revision, .batches = {}};
  for (const Queued& queued : turn) {
    const bool writes = !queued.batch.puts.empty() || !queued.batch.deletes.empty();
    if (queued.outcome && writes) group.batches.push_back(&queued.batch);
  }
  auto beside = witness_->before_commit(group);
  if (!beside) {
    refused = base::forward(beside);
    return 0;
  }
  const int code = put_rows(txn, *beside, revision);
  if (code != 0) witness_->after_commit(false, 0);
  return code;
}

void LmdbStore::set_witness(CommitWitness* witness) {
  const std::lock_guard lock(witness_mutex_);
  witness_ = witness;
}

// Either writes the whole batch or, if a condition fails, nothing of it. A code other than 0 means
// that the transaction as a whole is lost.
int LmdbStore::apply(MDB_txn* txn, Queued& queued, Revision& revision) {
  for (const Condition& condition : queued.batch.conditions) {
    MDB_val name = to_val(condition.key), row{};
    const int code = mdb_get(txn, databases_.rows, &name, &row);
    if (code != 0 && code != MDB_NOTFOUND) return code;
    Revision present = 0;
    if (code == 0) {
      auto item = decode_row(to_view(row), revision);
      if (!item) {
        queued.outcome = base::forward(item);
        return 0;
      }
      present = item->revision;
    }
    if (present != condition.revision) {
      queued.outcome = base::fail(ErrorKind::kConflict, "the stored data has changed meanwhile");
      return 0;
    }
  }
  queued.outcome = revision;
  if (queued.batch.puts.empty() && queued.batch.deletes.empty()) return 0;

  revision += 1;
  queued.outcome = revision;
  if (int code = put_rows(txn, queued.batch.puts, revision); code != 0) return code;
  for (const std::string& key : queued.batch.deletes) {
    MDB_val name = to_val(key);
    const int code = mdb_del(txn, databases_.rows, &name, nullptr);
    if (code != 0 && code != MDB_NOTFOUND) return code;
  }
  return 0;
}

int LmdbStore::put_rows(MDB_txn* txn, const std::vector<Put>& puts, Revision revision) {
  std::string header;
  base::append_u64(header, revision);
  for (const Put& put : puts) {
    MDB_val name = to_val(put.key), row{kRowHeaderBytes + put.value.size(), nullptr};
    if (int code = mdb_put(txn, databases_.rows, &name, &row, MDB_RESERVE); code != 0) return code;
    char* at = static_cast<char*>(row.mv_data);
    std::memcpy(at, header.data(), kRowHeaderBytes);
    if (!put.value.empty()) std::memcpy(at + kRowHeaderBytes, put.value.data(), put.value.size());
  }
  return 0;
}

int LmdbStore::commit_txn(TxnPtr txn, Revision revision, size_t batches) {
  if (int code = write_revision(txn.get(), databases_.meta, revision); code != 0) return code;
  MDB_stat stat{};
  if (int code = mdb_stat(txn.get(), databases_.rows, &stat); code != 0) return code;
  const base::Duration begin = clock_.monotonic();
  if (int code = mdb_txn_commit(txn.release()); code != 0) return code;
  const base::Duration took = clock_.monotonic() - begin;
  committed_.store(revision, std::memory_order_release);

  MDB_envinfo info{};
  mdb_env_info(env_.get(), &info);
  bool recovered = false;
  {
    const std::lock_guard lock(health_mutex_);
    recovered = !std::exchange(health_.writable, true);
    health_.reason.clear();
    health_.keys = stat.ms_entries;
    health_.bytes_used = (info.me_last_pgno + 1) * stat.ms_psize;
    health_.bytes_max = info.me_mapsize;
    health_.batches_per_sync.add(batches);
    health_.sync_ns.add(took.count());
  }
  if (recovered) log_.info("storage", "the store can be written again");
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

// What a failed transaction means for its batches and for the store from now on.
std::unexpected<Error> LmdbStore::write_failure(int code) {
  if (code == ENOMEM) return fail_lmdb(code, "there is no memory to write to the store");
  // After a failed write of its header LMDB refuses everything; then it may be on disk or not.
  MDB_txn* begun = nullptr;
  const bool usable = mdb_txn_begin(env_.get(), nullptr, 0, &begun) == 0;
  TxnPtr txn(begun);
  const bool full = usable && disk_is_full(code);
  const std::string reason =
      full ? "the disk is full" : std::string("writing failed: ") + mdb_strerror(code);
  bool news = false;
  {
    const std::lock_guard lock(health_mutex_);
    news = health_.writable || health_.reason != reason;
    health_.writable = false;
    health_.permanent = !full;
    health_.reason = reason;
  }
  if (news) {
    log_.error("storage",
               full ? "the store can't be written while the disk is full"
                    : "the store is read-only until the server is restarted",
               {{"reason", reason}, {"folder", folder_.path()}});
  }
  if (full) return base::fail(ErrorKind::kUnavailable, "the disk is full", mdb_strerror(code));
  return base::fail(ErrorKind::kTimeout, "a write failed; it may or may not have been kept",
                    mdb_strerror(code));
}

// LMDB turns a short write, which is how most disks say that they are full, into EIO: so ask the
// file system for one more megabyte behind the end of the file. Nothing was lost in that case, for
// LMDB never overwrites a page that the last commit refers to.
bool LmdbStore::disk_is_full(int code) const {
  auto means_full = [](int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; };
  if (means_full(code)) return true;
  if (code != EIO) return false;
  constexpr off_t kProbeBytes = 1 << 20;
  mdb_filehandle_t fd = -1;
  struct stat info{};
  if (mdb_env_get_fd(env_.get(), &fd) != 0 || ::fstat(fd, &info) != 0) return false;
  return ::fallocate(fd, 0, info.st_size, kProbeBytes) != 0 && means_full(errno);
}

void LmdbStore::count_outcomes(const Turn& turn) {
  const std::lock_guard lock(health_mutex_);
  for (const Queued& queued : turn) {
    if (!queued.outcome) {
      const bool conflict = queued.outcome.error().kind() == ErrorKind::kConflict;
      (conflict ? health_.conflicts : health_.failures) += 1;
    } else if (!queued.batch.puts.empty() || !queued.batch.deletes.empty()) {
      health_.commits += 1;
    }
  }
}

}  // namespace rekey::storage
