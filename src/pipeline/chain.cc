#include "pipeline/chain.h"

#include <optional>

#include "logical/openapi.h"
#include "pipeline/call.h"
#include "pipeline/call_context.h"
#include "pipeline/leasing.h"
#include "pipeline/login.h"
#include "pipeline/wrapping.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Result;
using logical::Operation;
using logical::Response;

policy::Capability capability_for(Operation operation) {
  switch (operation) {
    case Operation::kRead:
      return policy::Capability::kRead;
    case Operation::kList:
      return policy::Capability::kList;
    case Operation::kCreate:
      return policy::Capability::kCreate;
    case Operation::kUpdate:
      return policy::Capability::kUpdate;
    case Operation::kPatch:
      return policy::Capability::kPatch;
    case Operation::kDelete:
      return policy::Capability::kDelete;
    case Operation::kHelp:
      return policy::Capability::kRead;
  }
  return policy::Capability::kDeny;
}

Response help_of(const logical::Mount& mount, const logical::Route* route) {
  Response response;
  response.data =
      base::Json(route == nullptr ? logical::mount_help(mount) : logical::path_help(mount, *route))
          .dump();
  response.plain = true;
  return response;
}

// Health, seal status and metrics: what an operator needs to see when nothing else is served.
bool without_record(const logical::RouteTable::Match& match) {
  return match.route != nullptr && match.route->without_record;
}

std::unexpected<base::Error> unrecordable(const base::Error& reason) {
  return base::fail(ErrorKind::kUnavailable,
                    "nothing is served, because the audit record can't be written: " +
                        reason.message() + "; sys/health and the server's log say more",
                    reason.describe());
}

}  // namespace

// ---- the steps, in order -------------------------------------------------------------------

// Only what has to outlive a wait stands in this function: its frame is memory that each request in
// flight takes, and that is wiped behind it.
base::Task<Result<Response>> Chain::run(Lane& lane, const logical::Request& request) {
  Call call(request);
  Result<Response> answer = Response{};
  for (int attempts = 1;; attempts++) {
    // 1 to 6. All reads from one snapshot, all writes in one batch.
    const Next next = begin(lane, call, attempts == 1, answer);
    if (next == Next::kRecord) break;
    if (next == Next::kUnrecordable) co_return std::move(answer);
    if (next == Next::kPool) {
      co_await base::suspend<bool>(
          [&](auto done) { run_on_pool(lane, call, answer, std::move(done)); });
      break;
    }
    // 7. Commit; also what a refused request costs: a use of its token.
    const auto committed = co_await commit(lane, call);
    if (settle_commit(call, committed, attempts == kAttemptsMax, answer)) break;
  }
  // 8. Record, and wait until the record is durable. An answer that can't be recorded isn't given,
  // but for the few by which an operator finds out why.
  const auto recorded = append_record(lane, call, answer);
  if (recorded) {
    const auto durable = co_await base::suspend<Result<void>>(
        [&](auto done) { lane.when_durable(*recorded, std::move(done)); });
    finish(lane, call, durable, answer);
  } else {
    finish(lane, call, std::unexpected(recorded.error()), answer);
  }
  co_return std::move(answer);
}

// 1 to 6, without a wait.
Chain::Next Chain::begin(Lane& lane, Call& call, bool first, Result<Response>& answer) {
  // 1. Route: which backend serves the path.
  if (auto routed = route(lane, call); !routed) {
    answer = forward(routed);
    return Next::kRecord;
  }
  // While the record can't be written nothing is begun: it could not be answered for.
  if (auto accepted = parts_.record.accepts(); !accepted && !without_record(call.match)) {
    answer = unrecordable(accepted.error());
    return Next::kUnrecordable;
  }
  // 1a. How often: before anything costs something. Such a refusal isn't recorded unless it is
  // configured so: it says nothing, and a flood must not fill the record.
  if (first) {
    if (auto within = check_rate(lane, call); !within) {
      answer = forward(within);
      return call.state->quotas->records_refusals() ? Next::kRecord : Next::kUnrecordable;
    }
  }
  if (call.match.route != nullptr && (call.match.route->blocking || call.match.route->outside)) {
    return Next::kPool;
  }
  // 2-6. Authenticate, authorise, dispatch, register lease, wrap. What changes something outside
  // records its intent before (3a).
  answer = attempt(lane, call);
  if (call.wants_pool) {
    call.txn.reset();
    return Next::kPool;
  }
  return call.txn && call.txn->has_writes() ? Next::kCommit : Next::kRecord;
}

// 7. False where a race was lost and the request is to run again.
bool Chain::settle_commit(Call& call, const Result<storage::Revision>& committed, bool last,
                          Result<Response>& answer) {
  if (committed) {
    if (auto in_force = act_after_commit(call); !in_force && answer) answer = forward(in_force);
    return true;
  }
  if (committed.error().kind() == ErrorKind::kConflict && !last) return false;
  answer = std::unexpected(committed.error());
  return true;
}

// 8. The answer's record is durable, or can't be.
void Chain::finish(Lane& lane, Call& call, const Result<void>& durable, Result<Response>& answer) {
  if (durable)
    lane.counters().count(call.operation, answer, microseconds_since(call.request.received));
  else if (!without_record(call.match))
    answer = unrecordable(durable.error());
  // Tell Vault's audit devices, where there are any. They come after the record and decide nothing.
  if (call.devices != nullptr) tell_response(call, answer);
}

// Work that blocks: the same steps on a thread of the pool, whose Txn reads through that thread's
// lane and is committed there.
void Chain::run_on_pool(Lane& lane, Call& call, Result<Response>& answer,
                        std::function<void(bool)> done) {
  const logical::Route& served = *call.match.route;
  Pool& pool = served.outside || served.waits ? parts_.outside_pool : parts_.pool;
  const bool taken = pool.run([this, &lane, &call, &answer, done](Lane& pool_lane) {
    auto made = run_blocking(pool_lane, call);
    call.txn.reset();
    call.state.reset();
    lane.post([&answer, done, made = std::move(made)]() mutable {
      answer = std::move(made);
      done(true);
    });
  });
  if (taken) return;
  answer = base::fail(ErrorKind::kUnavailable, "the server is busy: try again in a moment",
                      "the queue of blocking work is full");
  done(false);
}

Result<Response> Chain::run_blocking(Lane& lane, Call& call) {
  call.on_pool = true;
  for (int attempts = 1;; attempts++) {
    call.txn.reset();
    auto routed = route(lane, call);
    if (!routed) return forward(routed);
    auto answer = attempt(lane, call);
    // The outside effect of a failed attempt is undone in the background.
    if (!answer) abandon_intent(lane, call);
    // A race that was lost at a checkpoint is one like any other.
    const bool lost = !answer && answer.error().kind() == ErrorKind::kConflict &&
                      call.match.route != nullptr && call.match.route->outside;
    if (lost && attempts < kAttemptsMax) {
      if (auto refreshed = lane.refresh(); !refreshed) return forward(refreshed);
      continue;
    }
    if (!call.txn || !call.txn->has_writes()) return answer;
    auto batch = call.txn->take_batch();
    auto committed = batch ? parts_.store.commit_and_wait(std::move(*batch))
                           : Result<storage::Revision>(forward(batch));
    if (!committed) abandon_intent(lane, call);
    if (committed) {
      call.committed = *committed;
      auto in_force = act_after_commit(call);
      if (!in_force && answer) return forward(in_force);
      return answer;
    }
    if (committed.error().kind() != ErrorKind::kConflict || attempts == kAttemptsMax) {
      return forward(committed);
    }
    if (auto refreshed = lane.refresh(); !refreshed) return forward(refreshed);
  }
}

base::Task<Result<storage::Revision>> Chain::commit(Lane& lane, Call& call) {
  auto batch = call.txn->take_batch();
  if (!batch) co_return forward(batch);
  auto committed = co_await base::suspend<Result<storage::Revision>>([&](auto done) {
    parts_.store.commit(std::move(*batch), [&lane, done](Result<storage::Revision> result) {
      lane.post([done, result = std::move(result)]() mutable { done(std::move(result)); });
    });
  });
  if (auto refreshed = lane.refresh(); !refreshed) co_return forward(refreshed);
  if (committed) call.committed = *committed;
  co_return committed;
}

// Puts in force what was committed: new snapshots of policies, mounts, cut-offs.
Result<void> Chain::act_after_commit(Call& call) {
  for (auto& act : call.after_commit) {
    auto acted = act();
    if (!acted) return acted;
  }
  return {};
}

// One attempt up to its batch. A failure leaves nothing to commit but the use of the token.
Result<Response> Chain::attempt(Lane& lane, Call& call) {
  call.after_commit.clear();
  call.intent.reset();
  call.seen = lane.revision();
  if (call.state != nullptr) call.txn.emplace(lane.reader(), *call.state->keyring, parts_.random);
  auto authorised = authorise(lane, call);
  if (call.state != nullptr && call.state->devices != nullptr) tell_request(call, authorised);
  Result<Response> answer = authorised ? dispatch(lane, call) : forward(authorised);
  if (call.wants_pool && !call.on_pool) return answer;
  // Asking what anybody may ask isn't a use.
  const bool open = call.match.route != nullptr && call.match.route->unauthenticated;
  const bool counted = !open && call.who.token != nullptr && call.who.token->num_uses > 0;
  if (!answer) call.granted = nullptr;
  if (!answer && call.txn) {
    call.txn.emplace(lane.reader(), *call.state->keyring, parts_.random);
    call.after_commit.clear();
  }
  if (!counted) return answer;
  // A token of so many uses: this was one, whatever came of it. The last one ends it.
  identity::TokenStore tokens(*call.txn, lane.revision(), *call.state->token_keys, parts_.clock,
                              parts_.random);
  auto token = tokens.find_by_hash(call.who.token->hash);
  if (!token) return forward(token);
  if (!*token) return answer;  // it ended itself: unwrap, revoke-self
  if ((*token)->num_uses > 1) {
    (*token)->num_uses--;
    tokens.update(**token, (*token)->expires_s);
    return answer;
  }
  auto cut = tokens.revoke(**token);
  if (!cut) return forward(cut);
  if (*cut) call.after_commit.push_back([this] { return parts_.keeper.reload_cutoffs(); });
  return answer;
}

// 1. Which backend, which route, which operation. Says nothing to the client yet: what exists is
// nobody's business before step 3.
Result<void> Chain::route(Lane& lane, Call& call) {
  call.state = lane.state();
  call.operation = call.request.operation;
  call.match = {};
  call.mount.reset();
  std::string_view path = call.request.path;
  if (call.state != nullptr) {
    call.mount = call.state->mounts->find(path);
  } else if (path.starts_with("sys/")) {
    call.mount = parts_.sealed_sys;
  }
  if (call.mount != nullptr) {
    path.remove_prefix(std::min(call.mount->path.size(), path.size()));
    // Listing a folder and naming it are the same to a route.
    if (call.operation == Operation::kList && path.ends_with('/')) path.remove_suffix(1);
    call.match = call.mount->backend->routes().match(path);
  }
  if (call.state != nullptr) return {};
  const logical::Route* route = call.match.route;
  if (route == nullptr ||
      !(route->while_sealed || (route->open_for_metrics && call.request.origin.metrics_open))) {
    return base::fail(ErrorKind::kSealed, "Vault is sealed");
  }
  return {};
}

CallContext Chain::context_of(Lane& lane, Call& call, const logical::Fields& fields,
                              barrier::View* view) {
  CallContext context{{call.request,
                       fields,
                       *call.mount,
                       call.caller,
                       view,
                       parts_.clock,
                       parts_.random,
                       logical::narrowed(parts_.lease_limits, *call.mount),
                       parts_.lease_limits,
                       {},
                       call.state == nullptr ? nullptr : &lane.decoded(),
                       call.on_pool},
                      lane,
                      call.state,
                      call.txn ? &*call.txn : nullptr,
                      call.who.token,
                      call.who.rights,
                      nullptr};
  context.lockout = &lockout_;
  context.factor_try = &call.factor_try;
  return context;
}

// 2 and 3. Who asks, and may they.
Result<void> Chain::authorise(Lane& lane, Call& call) {
  const logical::Request& request = call.request;
  const logical::Route* route = call.match.route;
  call.who = {};
  call.caller = {};
  call.granted = nullptr;
  call.deciding_rule.clear();
  call.allowed = false;
  if (call.state == nullptr) return {};  // only what is served while sealed gets here
  const bool open = route != nullptr && (route->unauthenticated ||
                                         (route->open_for_metrics && request.origin.metrics_open));
  if (!request.token.empty() || !open) {
    auto who = authenticate(lane, *call.state, *call.txn, request.token, request.origin.address,
                            parts_.clock.wall());
    if (who) {
      call.who = std::move(*who);
      call.caller = caller_of(call.who);
    } else if (!open) {
      return forward(who);
    }
  }
  if (open || call.operation == Operation::kHelp) return {};
  // A write to what isn't there is a creation, where the backend can tell.
  if (call.operation == Operation::kUpdate && route != nullptr && route->exists) {
    // Whether something is there is a question of the path alone.
    auto fields = logical::RouteTable::read_fields(call.match, base::Json());
    if (fields) {
      barrier::View view(*call.txn, call.mount->storage_prefix());
      CallContext context = context_of(lane, call, *fields, &view);
      auto there = route->exists(context);
      if (!there) return forward(there);
      if (!*there) call.operation = Operation::kCreate;
    }
  }
  const policy::Decision decision =
      call.who.rights->acl->decide({.path = request.path,
                                    .needed = capability_for(call.operation),
                                    .parameters = request.data.as_object(),
                                    .wrap_ttl = request.wrap_ttl});
  if (!decision.policy.empty()) {
    call.deciding_rule.append(decision.policy).append(" ").append(decision.pattern);
  }
  const bool needs_sudo = route != nullptr && route->sudo;
  if (!decision.allowed || (needs_sudo && !decision.sudo && !decision.root)) {
    return base::fail(ErrorKind::kDenied, "permission denied",
                      std::string(policy::reason_text(decision.reason)));
  }
  call.allowed = true;
  return {};
}

// 4 to 6. The backend's own work, a login's token or the lease of what it hands out, then wrapping.
Result<Response> Chain::dispatch(Lane& lane, Call& call) {
  const logical::Request& request = call.request;
  if (call.mount == nullptr) {
    return base::fail(ErrorKind::kNotFound,
                      "no handler for route \"" + request.path + "\". route entry not found.");
  }
  const logical::Route* route = call.match.route;
  if (call.operation == Operation::kHelp && request.path.size() <= call.mount->path.size()) {
    return help_of(*call.mount, nullptr);
  }
  if (route == nullptr) return base::fail(ErrorKind::kNotFound, "unsupported path");
  if (call.operation == Operation::kHelp) return help_of(*call.mount, route);
  const logical::Handler* handler = route->handler(call.operation);
  if (handler == nullptr) {
    // A list names a folder, with its slash: only a route that takes the rest of a path has that.
    if (call.operation == Operation::kList && route->pattern.find("*}") == std::string::npos) {
      return base::fail(ErrorKind::kNotFound, "unsupported path");
    }
    return base::fail(ErrorKind::kUnsupported, "unsupported operation");
  }
  auto fields = logical::RouteTable::read_fields(call.match, request.data);
  if (!fields) return forward(fields);
  std::optional<barrier::View> view;
  if (call.txn) view.emplace(*call.txn, call.mount->storage_prefix());
  CallContext context = context_of(lane, call, *fields, view ? &*view : nullptr);
  if (route->outside) {
    auto recorded = record_intent(lane, call);
    if (!recorded) return forward(recorded);
    context.intend = [&](const logical::LeaseGrant& grant) {
      return intend(lane, call, context, grant);
    };
    context.checkpoint = [&] { return checkpoint(lane, call); };
  }
  context.make_password = [&](std::string_view policy) {
    return make_password(*call.txn, policy, parts_.random);
  };
  auto response = (*handler)(context);
  call.wants_pool = context.wants_pool;
  if (!response) return response;
  auto settled = settle(context, call, *response);
  if (!settled) return forward(settled);
  response->mount_type = call.mount->type;
  if (response->login) {
    auto granted = grant_login(context, *response);
    if (!granted) return forward(granted);
  }
  call.granted = context.granted;
  if (!response->says_nothing() && !response->plain) {
    logical::RouteTable::warn_of_unused(call.match, request.data, response->warnings);
  }
  if (auto within = check_new_token(call, *response); !within) return forward(within);
  // What a second factor is asked for with isn't wrapped: the token will be.
  const bool wants_factor = response->auth && !response->auth->mfa_requirement.empty();
  const bool wrappable = response->status == 0 && !response->wrap && !response->plain &&
                         response->raw_content_type.empty() &&
                         (!response->data.empty() || response->auth) && !wants_factor;
  if (request.wrap_ttl && wrappable && call.txn) {
    if (auto room = parts_.keeper.open_wrappings().admit(); !room) return forward(room);
    auto wrapped = wrap_response(context, *request.wrap_ttl, *response);
    if (!wrapped) return forward(wrapped);
  }
  call.after_commit = std::move(context.after_commit);
  return response;
}

}  // namespace rekey::pipeline
