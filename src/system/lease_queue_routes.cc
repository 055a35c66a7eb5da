// sys/leases/queue and what an operator does about it: look, try again now, let go on after a
// restore; sys/leases/revoke-scope.
#include <algorithm>

#include "lease/lease_store.h"
#include "logical/answer.h"
#include "pipeline/call_context.h"
#include "pipeline/leasing.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using lease::Lease;
using lease::LeaseStore;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

constexpr size_t kQueuesShownMax = 1000;      // of one answer
constexpr size_t kQueuedCountedMax = 10'000;  // leases of one queue
constexpr size_t kRetriedMax = 1000;          // stuck leases tried again by one request

std::string time_text(int64_t seconds) {
  return base::format_rfc3339(base::WallTime(std::chrono::seconds(seconds)));
}

// "<mount uuid>:<target>" as an operator knows it.
JsonObject describe_queue(CallContext& call, const pipeline::Keeper& keeper,
                          const std::string& name) {
  const size_t colon = name.find(':');
  const std::string uuid = name.substr(0, colon);
  JsonObject row{{"target", colon == std::string::npos ? "" : name.substr(colon + 1)}};
  for (const auto& [path, mount] : call.state->mounts->rows()) {
    if (mount->uuid == uuid) row.set("mount", path);
  }
  if (!row.contains("mount")) {
    const auto gone = keeper.disabled_mount(*call.txn, uuid);
    row.set("mount", gone && *gone != nullptr ? (*gone)->path : "");
    row.set("disabled", true);
  }
  return row;
}

Result<JsonObject> show_queue(CallContext& call, const SystemParts& parts,
                              const std::string& name) {
  JsonObject row = describe_queue(call, parts.keeper, name);
  auto keys = call.lane.reader().scan(lease::queue_place(name), "", kQueuedCountedMax);
  if (!keys) return forward(keys);
  row.set("waiting", static_cast<int64_t>(keys->size()));
  auto first = LeaseStore(*call.txn).read_place(lease::queue_place(name), 1);
  if (!first) return forward(first);
  if (!first->empty()) {
    const Lease& lease = first->front();
    row.set("next_lease_id", lease.id);
    row.set("next_attempt", time_text(lease.next_attempt_s));
    row.set("waiting_since", time_text(lease.queued_s));
    row.set("attempts", lease.attempts);
    if (!lease.last_error.empty()) row.set("last_error", lease.last_error);
  }
  return row;
}

Result<Response> queue(Context& context, const SystemParts& parts) {
  CallContext& call = CallContext::of(context);
  auto names = lease::queues(call.lane.reader(), "", kQueuesShownMax);
  if (!names) return forward(names);
  std::vector<pipeline::Removal::Target> targets;
  if (parts.removal != nullptr) targets = parts.removal->targets();
  JsonArray rows;
  for (const std::string& name : *names) {
    auto row = show_queue(call, parts, name);
    if (!row) return forward(row);
    const auto target = std::ranges::find(targets, name, &pipeline::Removal::Target::name);
    if (target != targets.end()) {
      row->set("running", static_cast<int64_t>(target->running));
      row->set("failures_in_a_row", target->failures);
      row->set("rests_seconds", std::chrono::ceil<std::chrono::seconds>(target->rests).count());
      if (!target->last_error.empty()) row->set("last_error", target->last_error);
    }
    rows.push_back(std::move(*row));
  }
  auto stuck = LeaseStore(*call.txn).read_place(lease::stuck_place(), kQueuedCountedMax);
  if (!stuck) return forward(stuck);
  auto paused = lease::is_paused(*call.txn);
  if (!paused) return forward(paused);
  return logical::with_data({{"queues", std::move(rows)},
                             {"irrevocable", static_cast<int64_t>(stuck->size())},
                             {"paused", *paused}});
}

// What was given up for an hour is tried again at once: the database is back.
Result<Response> retry(Context& context, const SystemParts& parts) {
  LeaseStore leases(*CallContext::of(context).txn);
  auto stuck = leases.read_place(lease::stuck_place(), kRetriedMax);
  if (!stuck) return forward(stuck);
  for (const Lease& lease : *stuck)
    leases.change(lease, lease::queued(lease, context.clock.wall()));
  context.after_commit.push_back([&parts]() -> Result<void> {
    parts.wake_removal();
    return {};
  });
  return logical::with_data({{"retried", static_cast<int64_t>(stuck->size())}});
}

Result<Response> resume(Context& context, const SystemParts& parts) {
  CallContext& call = CallContext::of(context);
  auto paused = lease::is_paused(*call.txn);
  if (!paused) return forward(paused);
  if (!*paused) return Response{};
  lease::resume(*call.txn);
  context.after_commit.push_back([&parts]() -> Result<void> {
    parts.wake_removal();
    return {};
  });
  return Response{};
}

// Everything that a role of a mount or an entity was given: tokens and leases.
Result<Response> revoke_scope(Context& context, const SystemParts& parts) {
  CallContext& call = CallContext::of(context);
  const std::string entity(context.fields.text("entity_id")), role(context.fields.text("role"));
  std::string path(context.fields.text("mount"));
  LeaseStore leases(*call.txn);
  if (!entity.empty()) {
    if (entity.find('/') != std::string::npos || entity.size() > 100) {
      return logical::bad_request("entity_id isn't an entity's id");
    }
    leases.cut_entity(entity);
  } else {
    if (path.empty() || role.empty()) {
      return logical::bad_request("entity_id, or mount and role must be specified");
    }
    if (!path.ends_with('/')) path += '/';
    const auto mount = call.state->mounts->at(path);
    if (mount == nullptr) return logical::bad_request("no mount at " + path);
    if (role.size() > 100) return logical::bad_request("the role's name is too long");
    leases.cut_role(mount->accessor, path, role);
    call.tokens().cut_role(mount->accessor, path, role);
  }
  leases.check_batch_holders();
  context.after_commit.push_back([&parts]() -> Result<void> {
    auto reloaded = parts.keeper.reload_cutoffs();
    parts.wake_removal();
    return reloaded;
  });
  return Response{};
}

}  // namespace

void SystemBackend::add_lease_queue_routes() {
  routes_.add({.pattern = "leases/queue",
               .handlers = {{Operation::kRead, [this](Context& c) { return queue(c, parts_); }}},
               .synopsis = "What waits to be removed outside, by target, and why it waits."});
  routes_.add({.pattern = "leases/retry",
               .handlers = {{Operation::kUpdate, [this](Context& c) { return retry(c, parts_); }}},
               .synopsis = "Tries at once what could not be removed so far.",
               .sudo = true});
  routes_.add({.pattern = "leases/resume",
               .handlers = {{Operation::kUpdate, [this](Context& c) { return resume(c, parts_); }}},
               .synopsis = "Lets leases end again after an older store was put back.",
               .sudo = true});
  routes_.add(
      {.pattern = "leases/revoke-scope",
       .fields = {{"mount", FieldType::kString, "The mount whose role it is."},
                  {"role", FieldType::kString, "A role of that mount."},
                  {"entity_id", FieldType::kString, "Or an entity."}},
       .handlers = {{Operation::kUpdate, [this](Context& c) { return revoke_scope(c, parts_); }}},
       .synopsis = "Ends all tokens and leases of a role or an entity.",
       .sudo = true,
       .blocking = true});
}

}  // namespace rekey::system
