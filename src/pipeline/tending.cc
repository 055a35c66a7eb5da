// Removal's other duties, which wait for the same things: engines' own due work, and what disabled
// mounts leave behind once their leases are gone.
#include "pipeline/leasing.h"
#include "pipeline/removal.h"

namespace rekey::pipeline {

using base::ErrorKind;
using base::Result;

namespace {
constexpr size_t kStuckLookedAt = 10'000;  // stuck leases, to find those of a disabled mount
}  // namespace

void Removal::hand_out_tending() {
  const auto state = parts_.keeper.state().get();
  if (state == nullptr || parts_.clock.monotonic() < tend_again_) return;
  tend_again_ = parts_.clock.monotonic() + kTendInterval;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [path, mount] : state->mounts->rows()) {
      if (!mount->backend->tends() || !tending_.insert(mount->uuid).second) continue;
      work_.push_back({{}, {}, mount});
    }
  }
  worker_wakes_.notify_all();
}

// What was removed makes room again. The longer counting takes, the rarer.
void Removal::recount_quotas() {
  const auto state = parts_.keeper.state().get();
  if (state == nullptr || !state->quotas->has(QuotaKind::kLeaseCount)) return;
  const base::Duration begin = parts_.clock.monotonic();
  if (begin < recount_again_) return;
  auto reader = parts_.store.open_reader();
  if (!reader) return;
  barrier::Txn txn(**reader, *state->keyring, parts_.random);
  if (!state->quotas->recount(**reader, txn)) return;
  const base::Duration end = parts_.clock.monotonic();
  recount_again_ = end + std::max(kRecountInterval, 20 * (end - begin));
}

void Removal::tend(const logical::Mount& mount) {
  for (int i = 0; i < kTendsInARow; i++) {
    auto more = tend_once(mount);
    if (!more) {
      if (more.error().kind() != ErrorKind::kConflict &&
          more.error().kind() != ErrorKind::kSealed) {
        parts_.log.warn("pipeline", "an engine's own work failed and is tried again",
                        {{"mount", mount.path}, {"error", more.error().describe()}});
      }
      return;
    }
    if (!*more) return;
  }
}

Result<bool> Removal::tend_once(const logical::Mount& mount) {
  const auto state = parts_.keeper.state().get();
  if (state == nullptr) return base::fail(ErrorKind::kSealed, "Vault is sealed");
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *state->keyring, parts_.random);
  auto paused = lease::is_paused(txn);
  if (!paused) return forward(paused);
  if (*paused) return false;
  const auto commit = [&]() -> Result<void> {
    auto batch = txn.take_batch();
    if (!batch) return forward(batch);
    auto committed = parts_.store.commit_and_wait(std::move(*batch));
    if (!committed) return forward(committed);
    return (*reader)->refresh();
  };
  bool more = false;
  auto done = with_mount(
      {*state, parts_.keeper, txn, parts_.clock, parts_.random, parts_.lease_limits, commit}, mount,
      mount.path, [&](logical::Context& context) -> Result<void> {
        auto tended = mount.backend->tend(context);
        if (!tended) return forward(tended);
        more = *tended;
        return {};
      });
  if (!done) return forward(done);
  if (txn.has_writes()) {
    auto committed = commit();
    if (!committed) return forward(committed);
  }
  return more;
}

Result<bool> Removal::has_leases(storage::Reader& reader, barrier::Txn& txn,
                                 const logical::Mount& mount) {
  // What is cut off is queued by a job first; then all is in the mount's queues, or stuck.
  auto job = reader.get(lease::job_of_mount(mount.accessor));
  if (!job) return forward(job);
  if (*job) return true;
  auto waiting = reader.scan(lease::queues_of_mount(mount.uuid), "", 1);
  if (!waiting) return forward(waiting);
  if (!waiting->empty()) return true;
  auto stuck = lease::LeaseStore(txn).read_place(lease::stuck_place(), kStuckLookedAt);
  if (!stuck) return forward(stuck);
  for (const lease::Lease& lease : *stuck) {
    if (lease.mount_uuid == mount.uuid) return true;
  }
  return stuck->size() == kStuckLookedAt;
}

Result<void> Removal::finish_disabled_mounts() {
  const auto state = parts_.keeper.state().get();
  if (state == nullptr) return base::fail(ErrorKind::kSealed, "Vault is sealed");
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *state->keyring, parts_.random);
  auto mounts = parts_.keeper.disabled_mounts(**reader, txn);
  if (!mounts) return forward(mounts);
  for (const auto& mount : *mounts) {
    auto holds = has_leases(**reader, txn, *mount);
    if (!holds) return forward(holds);
    if (*holds) continue;
    auto erased = erase_mount(*mount);
    if (!erased) return erased;
  }
  return {};
}

Result<void> Removal::erase_mount(const logical::Mount& mount) {
  while (true) {
    auto reader = parts_.store.open_reader();
    if (!reader) return forward(reader);
    auto keys = (*reader)->scan(mount.storage_prefix(), "", kEraseRowsMax);
    if (!keys) return forward(keys);
    const bool last = keys->size() < kEraseRowsMax;
    storage::Batch batch;
    batch.deletes = std::move(*keys);
    if (last) batch.deletes.push_back(std::string(kDisabledMountPrefix) + mount.uuid);
    auto committed = parts_.store.commit_and_wait(std::move(batch));
    if (!committed) return forward(committed);
    if (last) return {};
  }
}

}  // namespace rekey::pipeline
