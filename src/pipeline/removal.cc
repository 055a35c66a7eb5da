#include "pipeline/removal.h"

#include <algorithm>

#include "base/thread.h"
#include "pipeline/leasing.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Result;
using lease::Lease;
using lease::LeaseStore;

// The outside system itself, rather than this one lease, is why it failed.
bool is_down(const base::Error& error) {
  return error.kind() == ErrorKind::kUnavailable || error.kind() == ErrorKind::kTimeout;
}

}  // namespace

void Removal::start() {
  threads_.emplace_back([this] {
    base::begin_thread("removal-queue", base::Urgency::kSoon);
    dispatch();
  });
  for (size_t i = 0; i < kRemovalThreads; i++) {
    threads_.emplace_back([this] {
      base::begin_thread("removal", base::Urgency::kSoon);
      work();
    });
  }
}

void Removal::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.clear();
  }
  dispatcher_wakes_.notify_all();
  worker_wakes_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Removal::wake() {
  {
    std::lock_guard lock(mutex_);
    woken_ = true;
  }
  dispatcher_wakes_.notify_one();
}

void Removal::wait_for_progress(base::Duration most) {
  std::unique_lock lock(mutex_);
  progress_.wait_for(lock, most);
}

void Removal::dispatch() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    dispatcher_wakes_.wait_for(lock, kRemovalInterval, [&] { return stopping_ || woken_; });
    if (stopping_) return;
    woken_ = false;
    lock.unlock();
    turn();
    lock.lock();
  }
}

void Removal::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    worker_wakes_.wait(lock, [&] { return stopping_ || !work_.empty(); });
    if (stopping_) return;
    const Work next = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    perform(next);
    lock.lock();
  }
}

void Removal::turn() {
  sweep("leases of ended tokens", lease::sweep_ended);
  sweep("leases that were cut off", lease::sweep_jobs);
  sweep("leases at their end", lease::sweep_due);
  sweep("leases to be tried again", lease::sweep_stuck);
  recount_quotas();
  hand_out_tending();
  auto finished = finish_disabled_mounts();
  if (!finished && finished.error().kind() != ErrorKind::kSealed &&
      finished.error().kind() != ErrorKind::kConflict) {
    parts_.log.warn("pipeline", "what a disabled mount left can't be erased yet",
                    {{"error", finished.error().describe()}});
  }
  auto handed = hand_out();
  if (!handed && handed.error().kind() != ErrorKind::kSealed) {
    parts_.log.warn("pipeline", "the queues of removals can't be read",
                    {{"error", handed.error().describe()}});
  }
}

void Removal::run_due() {
  while (true) {
    turn();
    std::deque<Work> mine;
    {
      std::lock_guard lock(mutex_);
      mine.swap(work_);
    }
    if (mine.empty()) return;
    for (const Work& one : mine) perform(one);
  }
}

void Removal::sweep(std::string_view what, Result<bool> (*step)(const lease::Sweep&)) {
  for (int i = 0; i < kLeaseSweepsInARow; i++) {
    auto more = sweep_once(step);
    if (!more) {
      if (more.error().kind() != ErrorKind::kConflict &&
          more.error().kind() != ErrorKind::kSealed) {
        parts_.log.warn("pipeline", "a step of clean-up failed and is tried again",
                        {{"of", std::string(what)}, {"error", more.error().describe()}});
      }
      return;
    }
    if (!*more) return;
  }
  wake();  // there is more than a turn's worth
}

Result<bool> Removal::sweep_once(Result<bool> (*step)(const lease::Sweep&)) {
  const auto state = parts_.keeper.state().get();
  if (state == nullptr) return base::fail(ErrorKind::kSealed, "Vault is sealed");
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *state->keyring, parts_.random);
  auto paused = lease::is_paused(txn);
  if (!paused) return forward(paused);
  if (*paused) return false;
  auto more = step({**reader, txn, parts_.clock.wall(), kLeaseSweepRows});
  if (!more || !txn.has_writes()) return more;
  auto batch = txn.take_batch();
  if (!batch) return forward(batch);
  auto committed = parts_.store.commit_and_wait(std::move(*batch));
  if (!committed) return forward(committed);
  return more;
}

Result<bool> Removal::hand_out() {
  const auto state = parts_.keeper.state().get();
  if (state == nullptr) return base::fail(ErrorKind::kSealed, "Vault is sealed");
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *state->keyring, parts_.random);
  auto paused = lease::is_paused(txn);
  if (!paused) return forward(paused);
  if (*paused) return false;
  auto names = lease::queues(**reader, "", kQueuesServed);
  if (!names) return forward(names);
  {
    // What is empty and well needs no memory.
    std::lock_guard lock(mutex_);
    std::erase_if(health_, [&](const auto& entry) {
      return entry.second.running == 0 && !std::ranges::binary_search(*names, entry.first);
    });
  }
  bool any = false;
  for (const std::string& name : *names) {
    auto handed = hand_out_of(name);
    if (!handed) return forward(handed);
    any |= *handed > 0;
  }
  if (any) worker_wakes_.notify_all();
  return any;
}

Result<size_t> Removal::hand_out_of(const std::string& queue) {
  size_t room = 0;
  {
    std::lock_guard lock(mutex_);
    const Health& health = health_[queue];
    if (health.rests_until > parts_.clock.monotonic()) return 0;
    // A target that failed gets one try at a time until it works again.
    const size_t at_once = health.failures > 0 ? 1 : kRemovalsPerTarget;
    room = at_once > health.running ? at_once - health.running : 0;
  }
  if (room == 0) return 0;
  const auto state = parts_.keeper.state().get();
  if (state == nullptr) return 0;
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *state->keyring, parts_.random);
  auto leases = LeaseStore(txn).read_place(lease::queue_place(queue), kRemovalsAhead);
  if (!leases) return forward(leases);
  const int64_t now = lease::seconds_of(parts_.clock.wall());
  size_t handed = 0;
  std::lock_guard lock(mutex_);
  Health& health = health_[queue];
  for (const Lease& lease : *leases) {
    if (handed == room || lease.next_attempt_s > now) break;
    if (!health.in_flight.insert(lease.id).second) continue;
    work_.push_back({queue, lease.id, nullptr});
    health.running++;
    handed++;
  }
  return handed;
}

void Removal::perform(const Work& work) {
  if (work.tended != nullptr) {
    tend(*work.tended);
    std::lock_guard lock(mutex_);
    tending_.erase(work.tended->uuid);
    return;
  }
  auto removed = remove(work.id);
  {
    std::lock_guard lock(mutex_);
    Health& health = health_[work.queue];
    health.running--;
    health.in_flight.erase(work.id);
    progress_.notify_all();
    if (removed) {
      health.failures = 0;
      health.last_error.clear();
    } else {
      health.last_error = removed.error().message();
      if (is_down(removed.error())) {
        health.failures++;
        health.rests_until = parts_.clock.monotonic() + backoff(health.failures);
      }
    }
  }
  wake();
}

Result<void> Removal::remove(const std::string& id) {
  const auto state = parts_.keeper.state().get();
  if (state == nullptr) return {};
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *state->keyring, parts_.random);
  LeaseStore leases(txn);
  auto lease = leases.find(id);
  if (!lease) return forward(lease);
  if (!*lease || (*lease)->state != lease::State::kQueued) return {};
  auto outcome = with_engine(
      {*state, parts_.keeper, txn, parts_.clock, parts_.random, parts_.lease_limits}, **lease,
      [](const logical::Backend& engine, logical::Context& context,
         const logical::HeldLease& held) { return engine.revoke_lease(context, held); });
  const bool nobody = !outcome && outcome.error().kind() == ErrorKind::kNotFound;
  if (nobody) {
    parts_.log.warn("pipeline", "a lease is forgotten because its mount is gone", {{"lease", id}});
  }
  append_record(*state, **lease, outcome);
  if (!outcome && !nobody) {
    // Without what the engine may have written.
    barrier::Txn failure(**reader, *state->keyring, parts_.random);
    auto noted = note_failure(std::move(**lease), outcome.error(), failure);
    if (!noted) return noted;
    return outcome;
  }
  leases.erase(**lease);
  auto batch = txn.take_batch();
  if (!batch) return forward(batch);
  auto committed = parts_.store.commit_and_wait(std::move(*batch));
  if (!committed) {
    // Somebody else changed it: looked at again in the next turn.
    if (committed.error().kind() == ErrorKind::kConflict) return {};
    return forward(committed);
  }
  counters_.removed.fetch_add(1, std::memory_order_relaxed);
  return {};
}

Result<void> Removal::note_failure(Lease lease, const base::Error& error, barrier::Txn& txn) {
  counters_.failed.fetch_add(1, std::memory_order_relaxed);
  LeaseStore leases(txn);
  auto now_there = leases.find(lease.id);
  if (!now_there) return forward(now_there);
  if (!*now_there || (*now_there)->state != lease::State::kQueued) return {};
  Lease after = **now_there;
  after.attempts++;
  after.last_error = error.message().substr(0, lease::kErrorBytesMax);
  base::Duration wait = backoff(after.attempts);
  if (after.attempts >= kRemovalAttemptsMax) {
    after.state = lease::State::kStuck;
    wait = kStuckInterval;
    counters_.stuck.fetch_add(1, std::memory_order_relaxed);
    parts_.log.error("pipeline", "a lease can't be removed: what it gave out may still work",
                     {{"lease", lease.id},
                      {"attempts", std::to_string(after.attempts)},
                      {"error", error.describe()}});
  } else {
    parts_.log.warn("pipeline", "removing a lease failed and is tried again",
                    {{"lease", lease.id},
                     {"attempts", std::to_string(after.attempts)},
                     {"error", error.describe()}});
  }
  after.next_attempt_s = lease::seconds_of(parts_.clock.wall() + wait) + 1;
  leases.change(**now_there, after);
  auto batch = txn.take_batch();
  if (!batch) return forward(batch);
  auto committed = parts_.store.commit_and_wait(std::move(*batch));
  if (!committed && committed.error().kind() != ErrorKind::kConflict) return forward(committed);
  return {};
}

// An entry of the record of what no request did.
void Removal::append_record(const State& state, const Lease& lease, const Result<void>& outcome) {
  audit::RecordInput input;
  input.type = "event";
  input.time = parts_.clock.wall();
  const std::string id = parts_.random.uuid();
  input.request_id = id;
  input.operation = "revoke";
  input.path = lease.id;
  input.mount_accessor = lease.mount_accessor;
  input.display_name = "rekey";
  input.entity_id = lease.holder.entity_id;
  input.lease_id = lease.id;
  input.status = outcome ? 204 : static_cast<uint16_t>(logical::status_of(outcome.error().kind()));
  if (!outcome) input.error = outcome.error().message();
  std::string entry;
  audit::append_record(input, state.hasher.get(), entry);
  auto index = parts_.record.append(entry, 0);
  if (!index) {
    parts_.log.error("pipeline", "the removal of a lease could not be recorded",
                     {{"error", index.error().describe()}});
  }
}

// Doubled with each failure, and up to half of it more by chance, so that not all come at once.
base::Duration Removal::backoff(int64_t failures) {
  base::Duration wait = kFirstBackoff;
  for (int64_t i = 1; i < failures && wait < kBackoffMax; i++) wait *= 2;
  wait = std::min(wait, kBackoffMax);
  return wait + wait / 2 * static_cast<int64_t>(parts_.random.number() % 1000) / 1000;
}

std::vector<Removal::Target> Removal::targets() const {
  std::vector<Target> targets;
  std::lock_guard lock(mutex_);
  const base::Duration now = parts_.clock.monotonic();
  for (const auto& [name, health] : health_) {
    targets.push_back({name, health.running, health.failures,
                       std::max(base::Duration{}, health.rests_until - now), health.last_error});
  }
  return targets;
}

}  // namespace rekey::pipeline
