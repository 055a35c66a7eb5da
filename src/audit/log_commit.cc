// Entries in, groups of them on the disk, and who waits for them told.
#include <algorithm>
#include <bit>
#include <utility>

#include "audit/log_impl.h"
#include "audit/retention.h"
#include "base/check.h"
#include "base/thread.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr size_t kHistogramBuckets = 32;

size_t log2_bucket(uint64_t value) {
  return std::min<size_t>(kHistogramBuckets - 1, value == 0 ? 0 : std::bit_width(value) - 1);
}

void hash_leaves(Group& group) {
  group.leaves.reserve(group.count);
  visit_bundle(group.payload(), group.count, [&](std::string_view entry) {
    group.leaves.push_back(leaf_hash(entry));
    return true;
  });
}

}  // namespace

Log::Impl::Impl(std::unique_ptr<Disk> disk, Options options, const base::Clock& clock,
                const base::Log& operator_log)
    : disk_(std::move(disk)),
      options_(std::move(options)),
      clock_(clock),
      operator_log_(operator_log),
      forming_(std::make_unique<Group>()) {
  counters_.group_entries_log2.resize(kHistogramBuckets);
  counters_.sync_us_log2.resize(kHistogramBuckets);
}

Result<void> Log::Impl::readable() const {
  std::lock_guard lock(mutex_);
  if (damaged_) return std::unexpected(*refusal_);
  return {};
}

Result<uint64_t> Log::Impl::append(std::string_view entry, uint64_t store_revision) {
  if (entry.empty() || entry.size() > kEntryBytesMax) {
    return fail(ErrorKind::kTooLarge, "an audit entry is empty or too long",
                std::to_string(entry.size()) + " bytes");
  }
  uint64_t index = 0;
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (refusal_) return std::unexpected(*refusal_);
    if (forming_->used + entry.size() > options_.group_bytes_max) {
      return fail(ErrorKind::kLimited, "the audit log's disk is too slow for this load");
    }
    if (forming_->count == 0) forming_->first_index = next_index_;
    forming_->add(entry);
    forming_->store_revision = std::max(forming_->store_revision, store_revision);
    index = next_index_++;
    counters_.entry_bytes += entry.size();
    forming_count_.store(forming_->count, std::memory_order_relaxed);
    if (forming_->count >= target_.load(std::memory_order_relaxed)) {
      wake = std::exchange(waiting_, false);
    }
  }
  if (wake) work_.notify_one();
  return index;
}

Result<void> Log::Impl::accepts() const {
  if (!refuses_.load(std::memory_order_relaxed)) return {};
  std::lock_guard lock(mutex_);
  if (refusal_) return std::unexpected(*refusal_);
  return {};
}

void Log::Impl::flush() {
  if (forming_count_.load(std::memory_order_relaxed) == 0) return;
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (forming_->count == 0) return;
    flush_wanted_ = true;
    wake = std::exchange(waiting_, false);
  }
  if (wake) work_.notify_one();
}

void Log::Impl::add_listener(std::function<void(const Progress&)> listener) {
  std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
}

Result<void> Log::Impl::wait_durable(uint64_t size) {
  flush();
  while (options_.stepped && durable_ < size && failed_size_ < size && commit_step()) {
  }
  std::unique_lock lock(mutex_);
  if (size > next_index_) return fail(ErrorKind::kInvalid, "the audit log has no such entry");
  progress_.wait(lock, [&] { return durable_ >= size || failed_size_ >= size; });
  if (durable_ >= size) return {};
  if (refusal_) return std::unexpected(*refusal_);
  return fail(ErrorKind::kUnavailable, "the audit log could not be written");
}

// --- the thread ---

// Until a group is to be committed; false when there is nothing left to do.
bool Log::Impl::wait_for_group(std::unique_lock<std::mutex>& lock) {
  const auto ready = [&] {
    const uint32_t count = forming_->count;
    return stop_ ||
           (count > 0 && (flush_wanted_ || count >= target_.load(std::memory_order_relaxed)));
  };
  while (!ready()) {
    waiting_ = true;  // who wakes us takes it back, so that nobody else does it again
    work_.wait(lock);
  }
  waiting_ = false;
  return forming_->count > 0;
}

void Log::Impl::run() {
  base::begin_thread("record-commit");
  std::unique_lock lock(mutex_);
  while (wait_for_group(lock)) {
    std::unique_ptr<Group> group = take_group();
    committing_.store(true, std::memory_order_relaxed);
    lock.unlock();
    if (!commit(std::move(group))) return;
    lock.lock();
  }
}

std::unique_ptr<Group> Log::Impl::take_group() {
  std::unique_ptr<Group> group = std::move(forming_);
  forming_ = publisher_->take_spare();
  forming_count_.store(0, std::memory_order_relaxed);
  flush_wanted_ = false;
  return group;
}

bool Log::Impl::commit_step() {
  if (retried_ == nullptr) {
    std::lock_guard lock(mutex_);
    if (damaged_ || forming_->count == 0) return false;
    retried_ = take_group();
    hash_leaves(*retried_);
  }
  Result<void> written = try_commit(retried_);
  if (written) return true;
  {
    std::lock_guard lock(mutex_);
    refuse(written.error());
  }
  tell_listeners();
  return true;
}

// Returns when the group is durable; false if it was given up because the log closes: what was
// appended after it can't be written either then.
bool Log::Impl::commit(std::unique_ptr<Group> group) {
  hash_leaves(*group);
  while (true) {
    Result<void> written = try_commit(group);
    if (written) return true;
    if (stop_after_failure(written.error())) return false;
  }
}

// Success: the group is durable and handed on.
Result<void> Log::Impl::try_commit(std::unique_ptr<Group>& group) {
  // What waits for the publisher is in memory, and that is bounded.
  const bool room = publisher_->wait_for_room(options_.publish_queue_bytes_max);
  const base::Duration start = clock_.monotonic();
  Result<void> written = room ? wal_->write(*group)
                              : fail(ErrorKind::kUnavailable, "the audit log can't be written",
                                     "publishing fails: " + publisher_->status().reason);
  if (!written) return written;
  const auto took =
      std::chrono::duration_cast<std::chrono::microseconds>(clock_.monotonic() - start);
  const uint64_t end = group->first_index + group->count;
  const uint32_t count = group->count;
  publisher_->push(std::move(group));  // before anyone learns that the entries are durable
  {
    std::lock_guard lock(mutex_);
    durable_.store(end, std::memory_order_release);
    ++counters_.groups;
    ++counters_.group_entries_log2[log2_bucket(count)];
    ++counters_.sync_us_log2[log2_bucket(static_cast<uint64_t>(took.count()))];
    if (refusal_ && !stop_) accept_again();
  }
  tell_listeners();
  return {};
}

// Refuses everything that waits, sleeps; true if the log closes.
bool Log::Impl::stop_after_failure(const base::Error& error) {
  {
    std::lock_guard lock(mutex_);
    refuse(error);
  }
  tell_listeners();
  std::unique_lock lock(mutex_);
  return work_.wait_for(lock, options_.retry_interval, [&] { return stop_; });
}

void Log::Impl::refuse(const base::Error& error) {
  if (!refusal_) {
    operator_log_.error("audit", "the audit log can't be written; every request is refused",
                        {{"reason", error.detail()}});
  }
  ++counters_.write_failures;
  refusal_ = base::Error(ErrorKind::kUnavailable, "the audit log can't be written", error.detail());
  refuses_ = true;
  failed_size_ = next_index_;
}

void Log::Impl::accept_again() {
  refusal_.reset();
  refuses_ = false;
  operator_log_.info("audit", "the audit log can be written again");
}

void Log::Impl::tell_listeners() {
  std::vector<std::function<void(const Progress&)>> listeners;
  Progress progress;
  {
    std::lock_guard lock(mutex_);
    listeners = listeners_;
    progress.durable_size = durable_;
    progress.failed_size = std::max(failed_size_, progress.durable_size);
  }
  progress_.notify_all();
  // Before they are told: who still sees it set will be told.
  committing_.store(false, std::memory_order_release);
  for (const auto& listener : listeners) listener(progress);
}

void Log::Impl::close() {
  {
    std::lock_guard lock(mutex_);
    if (stop_) return;
    stop_ = true;
    if (!refusal_) {
      refusal_ = base::Error(ErrorKind::kUnavailable, "the audit log is closed", "closed");
      refuses_ = true;
    }
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
  while (options_.stepped && failed_size_ <= durable_ && commit_step()) {
  }
  if (publisher_ && !damaged_) publisher_->stop();
  {
    std::lock_guard lock(mutex_);
    failed_size_ = next_index_;
  }
  progress_.notify_all();
}

Health Log::Impl::health() const {
  Health health;
  {
    std::lock_guard lock(mutex_);
    health = counters_;
    health.writable = !refusal_;
    health.damaged = damaged_;
    if (refusal_) health.reason = refusal_->message() + ": " + refusal_->detail();
  }
  health.in_memory = options_.in_memory;
  health.size = durable_;
  if (!publisher_) return health;
  const Publisher::Status status = publisher_->status();
  if (health.reason.empty()) health.reason = status.reason;
  health.can_sign = status.can_sign;
  health.published = publisher_->size();
  health.checkpoint_size = status.checkpoint_size;
  health.publish_lag_bytes = status.queue_bytes;
  health.wal_bytes = wal_->bytes();
  return health;
}

}  // namespace rekey::audit
