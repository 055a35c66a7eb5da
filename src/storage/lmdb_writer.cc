// The writer thread of LmdbStore: queue and group commit.
#include <cstring>

#include "base/thread.h"
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
    if (turn.empty()) {
      flush_if_idle();
    } else {
      run_turn(turn);
    }
    turn.clear();
  }
}

// Moves what is queued into `turn`, up to its limits; nothing if it is time to flush. False when
// there is nothing left and the store is being destroyed.
bool LmdbStore::take_turn(Turn& turn) {
  size_t left = 0;
  {
    std::unique_lock lock(queue_mutex_);
    auto wanted = [this] { return !queue_.empty() || stopping_ || flush_wanted_; };
    if (filling_->empty()) {
      queue_filled_.wait(lock, wanted);
    } else if (!queue_filled_.wait_for(lock, kIdleFlushDelay, wanted)) {
      return true;
    }
    if (std::exchange(flush_wanted_, false)) return true;
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
  if (auto room = make_room(); !room) return room;
  if (auto refreshed = present_->refresh(); !refreshed) return refreshed;
  const std::lock_guard lock(witness_mutex_);
  Plan plan{.revision = committed_};
  for (Queued& queued : turn) plan_batch(queued, plan);
  const size_t batches = plan.revision - committed_;
  Result<std::vector<Put>> beside;
  if (batches > 0 && witness_ != nullptr) beside = ask_witness(turn, plan.revision);
  if (beside) {
    for (const Put& put : *beside) {
      plan_row(plan, {.revision = plan.revision, .key = put.key, .value = put.value});
    }
  }
  present_->release();
  if (!beside) return base::forward(beside);
  if (batches == 0) return {};
  auto committed = commit_plan(plan, batches);
  if (witness_ != nullptr) witness_->after_commit(committed.has_value());
  return committed;
}

Result<std::vector<Put>> LmdbStore::ask_witness(const Turn& turn, Revision revision) {
  CommitWitness::Group group{.before = committed_, .after = revision, .batches = {}};
  for (const Queued& queued : turn) {
    const bool writes = !queued.batch.puts.empty() || !queued.batch.deletes.empty();
    if (queued.outcome && writes) group.batches.push_back(&queued.batch);
  }
  return witness_->before_commit(group);
}

void LmdbStore::set_witness(CommitWitness* witness) {
  const std::lock_guard lock(witness_mutex_);
  witness_ = witness;
}

// Of `key` with all that was planned.
Result<Revision> LmdbStore::present_revision(Plan& plan, std::string_view key) {
  if (const auto known = plan.present.find(key); known != plan.present.end()) return known->second;
  auto item = present_->get(key);
  if (!item) return base::forward(item);
  const Revision revision = *item ? (*item)->revision : 0;
  plan.present.emplace(key, revision);
  return revision;
}

// Either plans the whole batch or, if a condition fails, nothing of it.
void LmdbStore::plan_batch(Queued& queued, Plan& plan) {
  for (const Condition& condition : queued.batch.conditions) {
    auto present = present_revision(plan, condition.key);
    if (!present) {
      queued.outcome = base::forward(present);
      return;
    }
    if (*present != condition.revision) {
      queued.outcome = base::fail(ErrorKind::kConflict, "the stored data has changed meanwhile");
      return;
    }
  }
  queued.outcome = plan.revision;
  if (queued.batch.puts.empty() && queued.batch.deletes.empty()) return;
  plan.revision += 1;
  queued.outcome = plan.revision;
  for (const Put& put : queued.batch.puts) {
    plan_row(plan, {.revision = plan.revision, .key = put.key, .value = put.value});
  }
  for (const std::string& key : queued.batch.deletes) {
    plan_row(plan, {.revision = plan.revision, .erased = true, .key = key, .value = {}});
  }
}

void LmdbStore::plan_row(Plan& plan, const RedoRow& row) {
  plan.present[row.key] = row.erased ? 0 : row.revision;
  plan.rows.push_back(row);
}

// One synced write; then everyone who reads finds it.
Result<void> LmdbStore::commit_plan(const Plan& plan, size_t batches) {
  group_.begin();
  for (const RedoRow& row : plan.rows) group_.add(row);
  const std::string_view group = group_.finish(tag_, committed_ + 1, plan.revision);
  const base::Duration begin = clock_.monotonic();
  const RedoFile::Written written = redo_[*filling_redo_].append(group);
  if (written.outcome != RedoFile::Outcome::kDone) return redo_failure(written);
  const base::Duration took = clock_.monotonic() - begin;
  for (const RedoRow& row : plan.rows) {
    if (row.erased) {
      filling_->erase(row.key, row.revision);
    } else {
      filling_->put(row.key, row.value, row.revision);
    }
  }
  committed_.store(plan.revision, std::memory_order_release);

  bool recovered = false;
  {
    const std::lock_guard lock(health_mutex_);
    if (!health_.permanent) recovered = !std::exchange(health_.writable, true);
    if (!health_.permanent && !flush_fails_) health_.reason.clear();
    health_.batches_per_sync.add(batches);
    health_.sync_ns.add(took.count());
  }
  if (recovered) log_.info("storage", "the store can be written again");
  return {};
}

// Before a turn: a table that isn't full, and a redo file for it.
Result<void> LmdbStore::make_room() {
  if (filling_redo_ && filling_->bytes() < table_bytes_full_) return {};
  return start_flush();
}

// Hands the table to the flush thread, as soon as that has done with the one before.
Result<void> LmdbStore::start_flush() {
  const std::optional<uint64_t> expected = rows_expected();
  std::unique_lock lock(flush_mutex_);
  if (flushing_) {
    flush_now_ = true;
    flush_work_.notify_one();
    const uint64_t begun = flush_attempts_;  // may have failed before there was room again
    flush_done_.wait(lock, [&] { return !flushing_ || flush_failed_ > begun || is_broken(); });
    if (flushing_) {
      // Nothing of this turn was written, whatever became of the one before.
      note_refusing();
      if (is_broken() || flush_error_) {
        return base::fail(ErrorKind::kUnavailable, "the store is read-only after a failed write");
      }
      return base::fail(ErrorKind::kUnavailable, flush_error_.error().message(),
                        flush_error_.error().detail());
    }
  }
  if (!filling_redo_) {
    // Nothing is in them that LMDB's file doesn't have. Emptied, for what crashed may have left
    // groups that this run must not be taken to go on from.
    for (RedoFile& file : redo_) {
      if (auto wiped = file.wipe(); !wiped) return wiped;
    }
    filling_redo_ = 0;
  }
  if (filling_->empty()) return {};
  flushing_ = Flushing{std::exchange(filling_, std::make_shared<RowTable>()), committed_, expected};
  filling_redo_ = 1 - *filling_redo_;
  redo_[*filling_redo_].rewind();
  publish_tables();
  flush_work_.notify_one();
  return {};
}

std::optional<uint64_t> LmdbStore::rows_expected() {
  const std::lock_guard lock(witness_mutex_);
  return witness_ == nullptr ? std::nullopt : witness_->rows_expected();
}

void LmdbStore::flush_if_idle() {
  if (is_broken()) return;
  if (auto begun = start_flush(); !begun) {
    const std::lock_guard lock(flush_mutex_);  // for flush_all()
    flush_error_ = begun;
    flush_failed_ = ++flush_attempts_;
    flush_done_.notify_all();
  }
}

std::unexpected<Error> LmdbStore::redo_failure(RedoFile::Written written) {
  const bool full = written.outcome == RedoFile::Outcome::kNothing && means_full(written.error);
  auto failure = note_failure(full, std::strerror(written.error), /*refusing=*/true);
  const std::lock_guard lock(flush_mutex_);  // who waits there looks again
  flush_done_.notify_all();
  return failure;
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
