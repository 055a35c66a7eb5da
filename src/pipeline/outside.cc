// The steps of the chain around an outside effect: it is recorded before it happens, what is needed
// to undo it is durable before it happens, and what was handed out becomes a lease.
#include "pipeline/call.h"
#include "pipeline/call_context.h"
#include "pipeline/leasing.h"

namespace rekey::pipeline {

using base::Result;
using lease::Lease;
using lease::LeaseStore;

// On a thread that may block: its own commit, before the effect.
Result<void> Chain::intend(Lane& lane, Call& call, CallContext& context,
                           const logical::LeaseGrant& grant) {
  auto within = check_lease_count(call);
  if (!within) return within;
  auto made = new_lease(context, grant, call.seen);
  if (!made) return forward(made);
  Lease intent = std::move(*made);
  intent.state = lease::State::kIntent;
  intent.expires_s = lease::seconds_of(parts_.clock.wall() + kIntentPatience);
  barrier::Txn txn(lane.reader(), *call.state->keyring, parts_.random);
  auto added = LeaseStore(txn).add(intent);
  if (!added) return added;
  auto batch = txn.take_batch();
  if (!batch) return forward(batch);
  auto committed = parts_.store.commit_and_wait(std::move(*batch));
  if (!committed) return forward(committed);
  call.intent = std::move(intent);
  return lane.refresh();  // the request's own Txn keeps the revisions that it read before
}

// What the handler buffered so far, durable, under the conditions that it read so far.
Result<void> Chain::checkpoint(Lane& lane, Call& call) {
  auto batch = call.txn->take_batch();
  if (!batch) return forward(batch);
  auto committed = parts_.store.commit_and_wait(std::move(*batch));
  if (!committed) return forward(committed);
  call.committed = *committed;
  return lane.refresh();
}

// The request succeeded: its grant becomes a lease; an intent without one has served its purpose.
Result<void> Chain::settle(CallContext& context, Call& call, logical::Response& response) {
  if (response.lease && !call.intent) {
    auto within = check_lease_count(call);
    if (!within) return within;
  }
  if (response.lease) return register_lease(context, call.seen, call.intent, response);
  if (!call.intent) return {};
  LeaseStore leases(*context.txn);
  auto there = leases.find(call.intent->id);
  if (!there) return forward(there);
  if (*there) leases.erase(**there);
  return {};
}

// The effect may have happened and its request failed: it is over now rather than when the patience
// is. If this can't be written either, it stays due later.
void Chain::abandon_intent(Lane& lane, Call& call) {
  if (!call.intent || !lane.refresh()) return;
  barrier::Txn txn(lane.reader(), *call.state->keyring, parts_.random);
  LeaseStore leases(txn);
  auto there = leases.find(call.intent->id);
  call.intent.reset();
  if (!there || !*there || (*there)->state != lease::State::kIntent) return;
  leases.change(**there, lease::queued(**there, parts_.clock.wall()));
  auto batch = txn.take_batch();
  if (!batch) return;
  auto committed = parts_.store.commit_and_wait(std::move(*batch));
  if (!committed) {
    parts_.log.warn("pipeline", "an outside effect will be undone later",
                    {{"error", committed.error().describe()}});
  }
}

}  // namespace rekey::pipeline
