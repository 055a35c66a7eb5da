// sys/leases: what was handed out until when. A token that ends by itself is a lease as well.
#include <algorithm>

#include "base/codec.h"
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
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

constexpr base::Duration kSyncWait = std::chrono::seconds(10);        // for the removal outside
constexpr base::Duration kSyncLook = std::chrono::milliseconds(100);  // between two looks
constexpr size_t kWaitedForMax = 100;  // leases under a prefix that are looked at while waiting
constexpr size_t kIrrevocableShownMax = 10'000;  // leases of one answer

std::string time_text(int64_t seconds) {
  return base::format_rfc3339(base::WallTime(std::chrono::seconds(seconds)));
}

Json time_or_null(int64_t seconds) { return seconds == 0 ? Json() : Json(time_text(seconds)); }

// In the path of newer clients, in the body of older ones.
std::string lease_id(const Context& context) {
  const std::string_view in_path = context.fields.text("url_lease_id");
  return std::string(in_path.empty() ? context.fields.text("lease_id") : in_path);
}

std::unexpected<base::Error> id_missing() {
  return logical::bad_request("lease_id must be specified");
}

Result<std::optional<identity::Token>> find_token(CallContext& context, std::string_view id) {
  auto token = context.tokens().find_by_lease_id(id);
  if (!token || !*token) return token;
  if ((*token)->expired(context.clock.wall()) || context.state->cutoffs->revokes(**token)) {
    return std::optional<identity::Token>();
  }
  return token;
}

Result<Response> lookup(Context& context) {
  CallContext& call = CallContext::of(context);
  const std::string id = lease_id(context);
  if (id.empty()) return id_missing();
  const auto answer = [&](int64_t issued, int64_t expires, int64_t renewed, bool renewable) {
    const int64_t now = lease::seconds_of(context.clock.wall());
    return logical::with_data({{"id", id},
                               {"issue_time", time_text(issued)},
                               {"expire_time", time_text(expires)},
                               {"last_renewal", time_or_null(renewed)},
                               {"renewable", renewable},
                               {"ttl", std::max<int64_t>(0, expires - now)}});
  };
  auto lease = pipeline::find_lease(call, id);
  if (!lease) return forward(lease);
  if (*lease) {
    return answer((*lease)->issued_s, (*lease)->expires_s, (*lease)->last_renewal_s,
                  (*lease)->renewable);
  }
  auto token = find_token(call, id);
  if (!token) return forward(token);
  if (!*token) return logical::bad_request("invalid lease");
  return answer((*token)->created_s, (*token)->expires_s, (*token)->last_renewal_s,
                (*token)->renewable);
}

Result<Response> list(Context& context) {
  CallContext& call = CallContext::of(context);
  auto page = logical::read_page(context.fields);
  if (!page) return forward(page);
  std::string folder(context.fields.text("prefix"));
  if (!folder.empty() && !folder.ends_with('/')) folder += '/';
  auto names = LeaseStore(*call.txn).list(folder, page->after, page->limit);
  if (!names) return forward(names);
  auto tokens = call.tokens().lease_ids(folder, page->after, page->limit);
  if (!tokens) return forward(tokens);
  std::vector<std::string> merged;
  std::ranges::set_union(*names, *tokens, std::back_inserter(merged));
  if (merged.size() > page->limit) merged.resize(page->limit);
  return logical::with_keys(merged);
}

// The top of the list shares its path with the look-up of one lease, which needs no sudo.
Result<Response> list_all(Context& context) {
  const auto decision = CallContext::of(context).rights->acl->decide(
      {.path = "sys/leases/lookup/", .needed = policy::Capability::kList});
  if (!decision.root && !decision.sudo) {
    return base::fail(base::ErrorKind::kDenied, "permission denied");
  }
  return list(context);
}

Result<Response> renew(Context& context, const SystemParts& parts) {
  CallContext& call = CallContext::of(context);
  const std::string id = lease_id(context);
  if (id.empty()) return id_missing();
  auto found = pipeline::find_lease(call, id);
  if (!found) return forward(found);
  if (!*found) {
    auto token = find_token(call, id);
    if (!token) return forward(token);
    if (*token) return logical::bad_request("tokens cannot be renewed through this endpoint");
    return logical::bad_request("lease not found");
  }
  const Lease before = **found;
  if (!before.renewable) return logical::bad_request("lease is not renewable");
  std::shared_ptr<const logical::Mount> mount;
  for (const auto& [path, row] : call.state->mounts->rows()) {
    if (row->uuid == before.mount_uuid) mount = row;
  }
  if (mount == nullptr) return logical::bad_request("lease not found");
  Response response;
  const int64_t now = lease::seconds_of(context.clock.wall());
  const auto asked = context.fields.duration("increment").value_or(base::Duration{});
  auto ttl =
      pipeline::time_to_live({.wanted_s = std::chrono::floor<std::chrono::seconds>(asked).count(),
                              .usual_s = before.ttl_s,
                              .longest_s = before.max_ttl_s,
                              .issued_s = before.issued_s,
                              .now_s = now},
                             pipeline::limits_of(parts.lease_limits, *mount), response.warnings);
  if (!ttl) return forward(ttl);
  Lease after = before;
  after.expires_s = now + *ttl;
  after.last_renewal_s = now;
  auto told = pipeline::with_engine(
      {*call.state, parts.keeper, *call.txn, context.clock, context.random, parts.lease_limits},
      before, [&](const logical::Backend& engine, Context& its, const logical::HeldLease& held) {
        return engine.renew_lease(its, held, base::WallTime(std::chrono::seconds(after.expires_s)));
      });
  if (!told) return forward(told);
  LeaseStore(*call.txn).change(before, after);
  response.lease_id = id;
  response.lease_duration_s = *ttl;
  response.renewable = true;
  response.status = 200;  // it has no data, but something to say
  return response;
}

// With sync, whether what is to be removed outside still waits; a stuck lease isn't waited for.
Result<bool> still_waits(const SystemParts& parts, const std::string& id, bool is_prefix) {
  const auto state = parts.keeper.state().get();
  if (state == nullptr) return false;
  auto reader = parts.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *state->keyring, parts.random);
  LeaseStore leases(txn);
  if (!is_prefix) {
    auto lease = leases.find(id);
    if (!lease) return forward(lease);
    return *lease && (*lease)->state == lease::State::kQueued;
  }
  auto job = barrier::row_revision(**reader, *state->keyring, lease::job_of_prefix(id));
  if (!job) return forward(job);
  if (*job != 0) return true;
  auto left = leases.first_under(id, kWaitedForMax);
  if (!left) return forward(left);
  return std::ranges::any_of(
      *left, [](const Lease& lease) { return lease.state == lease::State::kQueued; });
}

// After a revocation is in force: the removal outside begins, and with sync is waited for, within
// bounds.
void follow_up(Context& context, const SystemParts& parts, std::string id, bool is_prefix) {
  const bool waits = context.fields.flag("sync") && parts.removal != nullptr;
  context.after_commit.push_back([&parts, id = std::move(id), is_prefix, waits]() -> Result<void> {
    parts.wake_removal();
    if (!waits) return {};
    const base::Duration end = parts.clock.monotonic() + kSyncWait;
    while (parts.clock.monotonic() < end) {
      auto waiting = still_waits(parts, id, is_prefix);
      if (!waiting) return forward(waiting);
      if (!*waiting) return {};
      parts.removal->wait_for_progress(kSyncLook);
    }
    return {};  // in force all the same; sys/leases/queue shows the rest
  });
}

// One lease, whatever it is of. Nothing there is no error: what is gone is revoked.
Result<bool> revoke_one(Context& context, const SystemParts& parts, const std::string& id) {
  CallContext& call = CallContext::of(context);
  LeaseStore leases(*call.txn);
  auto lease = leases.find(id);
  if (!lease) return forward(lease);
  if (*lease) {
    if ((*lease)->state == lease::State::kActive) {
      leases.change(**lease, lease::queued(**lease, context.clock.wall()));
    }
    return true;
  }
  auto token = call.tokens().find_by_lease_id(id);
  if (!token) return forward(token);
  if (!*token) return false;
  auto cut = call.tokens().revoke(**token);
  if (!cut) return forward(cut);
  if (*cut)
    context.after_commit.push_back([&keeper = parts.keeper] { return keeper.reload_cutoffs(); });
  return true;
}

Result<Response> revoke(Context& context, const SystemParts& parts) {
  const std::string id = lease_id(context);
  if (id.empty()) return id_missing();
  auto revoked = revoke_one(context, parts, id);
  if (!revoked) return forward(revoked);
  follow_up(context, parts, id, false);
  return Response{};
}

Result<Response> revoke_prefix(Context& context, const SystemParts& parts, bool forget) {
  CallContext& call = CallContext::of(context);
  std::string prefix(context.fields.text("prefix"));
  if (prefix.empty()) return logical::bad_request("cannot write to a path ending in '/'");
  if (!prefix.ends_with('/')) {
    if (!forget) {
      auto one = revoke_one(context, parts, prefix);
      if (!one) return forward(one);
      if (*one) {
        follow_up(context, parts, prefix, false);
        return Response{};
      }
    }
    prefix += '/';
  }
  if (prefix.size() > identity::kCutoffPathBytesMax) {
    return logical::bad_request("the prefix is too long");
  }
  LeaseStore leases(*call.txn);
  leases.cut_prefix(prefix, forget);
  leases.check_batch_holders();
  call.tokens().cut_prefix(prefix);
  context.after_commit.push_back([&keeper = parts.keeper] { return keeper.reload_cutoffs(); });
  follow_up(context, parts, prefix, true);
  return Response{};
}

// The leases that could not be removed outside so far, though it was tried often.
Result<std::vector<Lease>> read_stuck(Context& context, size_t limit) {
  return LeaseStore(*CallContext::of(context).txn).read_place(lease::stuck_place(), limit);
}

bool asks_for_irrevocable(const Context& context) {
  std::string type(context.fields.text("type"));
  type = base::to_lower(type);
  return type == "irrevocable";
}

std::string mount_of(CallContext& call, const Lease& lease) {
  const auto mount = call.state->mounts->find(lease.path);
  return mount == nullptr ? lease.path.substr(0, lease.path.find('/') + 1) : mount->path;
}

Result<Response> count(Context& context) {
  if (!asks_for_irrevocable(context)) return logical::nothing_there();
  auto stuck = read_stuck(context, kIrrevocableShownMax);
  if (!stuck) return forward(stuck);
  std::map<std::string, int64_t> by_mount;
  for (const Lease& lease : *stuck) by_mount[mount_of(CallContext::of(context), lease)]++;
  JsonObject counts;
  for (const auto& [mount, number] : by_mount) counts.set(mount, number);
  return logical::with_data(
      {{"lease_count", static_cast<int64_t>(stuck->size())}, {"counts", std::move(counts)}});
}

Result<Response> list_irrevocable(Context& context) {
  if (!asks_for_irrevocable(context)) return logical::nothing_there();
  size_t limit = kIrrevocableShownMax;
  const int64_t asked = context.fields.integer("limit", 0);
  if (asked > 0) limit = std::min(limit, static_cast<size_t>(asked));
  auto stuck = read_stuck(context, limit);
  if (!stuck) return forward(stuck);
  JsonArray leases;
  for (const Lease& lease : *stuck) {
    leases.push_back(JsonObject{{"lease_id", lease.id}, {"error", lease.last_error}});
  }
  return logical::with_data(
      {{"lease_count", static_cast<int64_t>(stuck->size())}, {"leases", std::move(leases)}});
}

Result<Response> tidy(Context&) {
  Response response;
  response.status = 202;
  response.warnings.push_back(
      "Tidy operation successfully started. Any information from the operation will be printed to "
      "Vault's server logs.");
  return response;
}

}  // namespace

void SystemBackend::add_lease_routes() {
  const Field id{"lease_id", FieldType::kString, "The lease."};
  const Field increment{"increment", FieldType::kDuration, "How much longer it is to live."};
  const Field sync{"sync", FieldType::kBoolean, "Answer when it is removed outside as well."};
  const auto renews = [this](Context& c) { return renew(c, parts_); };
  const auto revokes = [this](Context& c) { return revoke(c, parts_); };
  routes_.add({.pattern = "leases/lookup",
               .fields = {id, logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kUpdate, lookup}, {Operation::kList, list_all}},
               .synopsis = "Shows a lease, or lists all."});
  routes_.add({.pattern = "leases/lookup/{prefix*}",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list}},
               .synopsis = "Lists the leases under a path.",
               .sudo = true});
  // The shorter patterns are older names of the same.
  for (const std::string folder : {"leases/", ""}) {
    routes_.add({.pattern = folder + "renew",
                 .fields = {id, increment},
                 .handlers = {{Operation::kUpdate, renews}},
                 .synopsis = "Lets a lease live longer.",
                 .outside = true});
    routes_.add({.pattern = folder + "renew/{url_lease_id*}",
                 .fields = {id, increment},
                 .handlers = {{Operation::kUpdate, renews}},
                 .synopsis = "Lets a lease live longer.",
                 .outside = true});
    routes_.add({.pattern = folder + "revoke",
                 .fields = {id, sync},
                 .handlers = {{Operation::kUpdate, revokes}},
                 .synopsis = "Ends a lease.",
                 .outside = true});
    routes_.add({.pattern = folder + "revoke/{url_lease_id*}",
                 .fields = {id, sync},
                 .handlers = {{Operation::kUpdate, revokes}},
                 .synopsis = "Ends a lease.",
                 .outside = true});
    for (const bool forget : {false, true}) {
      routes_.add(
          {.pattern = folder + (forget ? "revoke-force" : "revoke-prefix") + "/{prefix*}",
           .fields = {sync},
           .handlers = {{Operation::kUpdate,
                         [this, forget](Context& c) { return revoke_prefix(c, parts_, forget); }}},
           .synopsis = forget ? "Forgets all leases under a path, whatever their engine says."
                              : "Ends all leases under a path.",
           .sudo = true,
           .blocking = true});
    }
  }
  const Field type{"type", FieldType::kString, "irrevocable"};
  routes_.add({.pattern = "leases",
               .fields = {type, {"limit", FieldType::kInteger, "At most so many."}},
               .handlers = {{Operation::kRead, list_irrevocable}},
               .synopsis = "Lists the leases that could not be removed outside."});
  routes_.add({.pattern = "leases/count",
               .fields = {type},
               .handlers = {{Operation::kRead, count}},
               .synopsis = "Counts the leases that could not be removed outside."});
  routes_.add({.pattern = "leases/tidy",
               .handlers = {{Operation::kUpdate, tidy}},
               .synopsis = "Removes what ended leases left behind."});
}

}  // namespace rekey::system
