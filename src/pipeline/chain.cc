#include "pipeline/chain.h"

#include <optional>

#include "base/codec.h"
#include "crypto/digest.h"
#include "pipeline/authenticate.h"
#include "pipeline/call_context.h"
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

Response help_of(const logical::Route& route) {
  base::JsonObject data{
      {"help", std::string(route.synopsis) + (route.description.empty() ? "" : "\n\n") +
                   std::string(route.description)},
      {"see_also", nullptr},
      {"openapi", nullptr}};
  Response response;
  response.data = base::Json(std::move(data)).dump();
  response.plain = true;
  return response;
}

logical::Limits narrowed(logical::Limits limits, const logical::Mount& mount) {
  if (mount.default_lease_ttl.count() > 0) limits.default_lease_ttl = mount.default_lease_ttl;
  if (mount.max_lease_ttl.count() > 0) limits.max_lease_ttl = mount.max_lease_ttl;
  if (limits.default_lease_ttl > limits.max_lease_ttl) {
    limits.default_lease_ttl = limits.max_lease_ttl;
  }
  return limits;
}

}  // namespace

// What one request accumulates on its way. The parts of an attempt are made anew for each.
struct Chain::Call {
  explicit Call(const logical::Request& the_request) : request(the_request) {}

  const logical::Request& request;
  std::shared_ptr<const State> state;
  std::shared_ptr<const logical::Mount> mount;
  logical::RouteTable::Match match;
  Operation operation = Operation::kRead;  // create or update is decided on the way
  bool on_pool = false;
  std::optional<barrier::Txn> txn;
  Authenticated who;
  logical::Caller caller;
  std::string deciding_rule;
  std::vector<std::function<Result<void>()>> after_commit;
  storage::Revision committed = 0;
};

// ---- the steps, in order -------------------------------------------------------------------

base::Task<Result<Response>> Chain::run(Lane& lane, const logical::Request& request) {
  Call call(request);
  Result<Response> answer = Response{};
  for (int attempts = 1;; attempts++) {
    // 1-5. Route, authenticate, authorise, dispatch, wrap: all reads from one snapshot, all writes
    // in one batch. Work that blocks goes to the pool and comes back as a value.
    auto routed = route(lane, call);
    if (!routed) {
      answer = forward(routed);
    } else if (call.match.route != nullptr && call.match.route->blocking && !call.on_pool) {
      answer = co_await base::suspend<Result<Response>>([&](auto done) {
        parts_.pool.run([this, &lane, &call, done](Lane& pool_lane) {
          call.on_pool = true;
          call.txn.reset();
          auto made = attempt(pool_lane, call);
          // Its Txn reads through the pool's lane: what it wants written is committed here.
          if (made && call.txn && call.txn->has_writes()) {
            auto batch = call.txn->take_batch();
            auto committed = batch ? parts_.store.commit_and_wait(std::move(*batch))
                                   : Result<storage::Revision>(forward(batch));
            if (!committed) made = forward(committed);
            for (auto& act : call.after_commit) {
              if (auto acted = act(); !acted && made) made = forward(acted);
            }
            call.after_commit.clear();
          }
          call.txn.reset();
          call.state.reset();
          lane.post([done, made = std::move(made)]() mutable { done(std::move(made)); });
        });
      });
      call.on_pool = false;
      break;
    } else {
      answer = attempt(lane, call);
    }
    // 6. Commit. Also what a refused request costs: a use of its token.
    if (!call.txn || !call.txn->has_writes()) break;
    auto batch = call.txn->take_batch();
    if (!batch) {
      answer = forward(batch);
      break;
    }
    Result<storage::Revision> committed =
        co_await base::suspend<Result<storage::Revision>>([&](auto done) {
          parts_.store.commit(std::move(*batch), [&lane, done](Result<storage::Revision> result) {
            lane.post([done, result = std::move(result)]() mutable { done(std::move(result)); });
          });
        });
    if (auto refreshed = lane.refresh(); !refreshed) {
      answer = forward(refreshed);
      break;
    }
    if (committed) {
      call.committed = *committed;
      for (auto& act : call.after_commit) {
        if (auto acted = act(); !acted && answer) answer = forward(acted);
      }
      break;
    }
    if (committed.error().kind() != ErrorKind::kConflict || attempts == kAttemptsMax) {
      answer = forward(committed);
      break;
    }
  }
  // 7. Record, and wait until the record is durable. An answer that can't be recorded isn't given.
  auto index = append_record(lane, call, answer);
  if (!index) {
    co_return base::fail(ErrorKind::kUnavailable,
                         "the audit record can't be written, so nothing is served",
                         index.error().describe());
  }
  Result<void> durable = co_await base::suspend<Result<void>>(
      [&](auto done) { lane.when_durable(*index, std::move(done)); });
  if (!durable) {
    co_return base::fail(ErrorKind::kUnavailable,
                         "the audit record can't be written, so nothing is served",
                         durable.error().describe());
  }
  co_return answer;
}

// One attempt up to its batch. A failure leaves nothing to commit but the use of the token.
Result<Response> Chain::attempt(Lane& lane, Call& call) {
  if (call.on_pool) {
    auto routed = route(lane, call);
    if (!routed) return forward(routed);
  }
  call.after_commit.clear();
  if (call.state != nullptr) call.txn.emplace(lane.reader(), *call.state->keyring, parts_.random);
  auto authorised = authorise(lane, call);
  Result<Response> answer = authorised ? dispatch(lane, call) : forward(authorised);
  const bool counted = call.who.token != nullptr && call.who.token->num_uses > 0;
  if (!answer && call.txn) {
    call.txn.emplace(lane.reader(), *call.state->keyring, parts_.random);
    call.after_commit.clear();
  }
  if (!counted) return answer;
  // A token of so many uses: this was one, whatever came of it. The last one ends it.
  identity::TokenStore tokens(*call.txn, lane.revision(), *call.state->token_keys,
                              parts_.clock, parts_.random);
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
  if (call.match.route == nullptr || !call.match.route->while_sealed) {
    return base::fail(ErrorKind::kSealed, "Vault is sealed");
  }
  return {};
}

// 2 and 3. Who asks, and may they.
Result<void> Chain::authorise(Lane& lane, Call& call) {
  const logical::Request& request = call.request;
  const logical::Route* route = call.match.route;
  call.who = {};
  call.caller = {};
  call.deciding_rule.clear();
  if (call.state == nullptr) return {};  // only what is served while sealed gets here
  const bool open = route != nullptr && route->unauthenticated;
  if (!request.token.empty() || !open) {
    auto who = authenticate(lane, *call.state, *call.txn, request.token, request.origin.address,
                            parts_.clock.wall());
    if (who) {
      call.who = std::move(*who);
      call.caller = caller_of(*call.who.token);
    } else if (!open) {
      return forward(who);
    }
  }
  if (open || call.operation == Operation::kHelp) return {};
  // A write to what isn't there is a creation, where the backend can tell.
  if (call.operation == Operation::kUpdate && route != nullptr && route->exists) {
    auto fields = logical::RouteTable::read_fields(call.match, request.data);
    if (fields) {
      barrier::View view(*call.txn, call.mount->storage_prefix());
      CallContext context{{request,
                           *fields,
                           *call.mount,
                           call.caller,
                           &view,
                           parts_.clock,
                           parts_.random,
                           parts_.lease_limits,
                           {}},
                          lane,
                          call.state,
                          &*call.txn,
                          call.who.token,
                          call.who.acl};
      auto there = route->exists(context);
      if (!there) return forward(there);
      if (!*there) call.operation = Operation::kCreate;
    }
  }
  const policy::Decision decision = call.who.acl->decide({.path = request.path,
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
  return {};
}

// 4 and 5. The backend's own work, then wrapping.
Result<Response> Chain::dispatch(Lane& lane, Call& call) {
  const logical::Request& request = call.request;
  if (call.mount == nullptr) {
    return base::fail(ErrorKind::kNotFound,
                      "no handler for route \"" + request.path + "\". route entry not found.");
  }
  const logical::Route* route = call.match.route;
  if (route == nullptr) return base::fail(ErrorKind::kNotFound, "unsupported path");
  if (call.operation == Operation::kHelp) return help_of(*route);
  const logical::Handler* handler = route->handler(call.operation);
  if (handler == nullptr) return base::fail(ErrorKind::kUnsupported, "unsupported operation");
  auto fields = logical::RouteTable::read_fields(call.match, request.data);
  if (!fields) return forward(fields);
  std::optional<barrier::View> view;
  if (call.txn) view.emplace(*call.txn, call.mount->storage_prefix());
  CallContext context{{request,
                       *fields,
                       *call.mount,
                       call.caller,
                       view ? &*view : nullptr,
                       parts_.clock,
                       parts_.random,
                       narrowed(parts_.lease_limits, *call.mount),
                       {}},
                      lane,
                      call.state,
                      call.txn ? &*call.txn : nullptr,
                      call.who.token,
                      call.who.acl};
  auto response = (*handler)(context);
  if (!response) return response;
  response->mount_type = call.mount->type;
  const bool wrappable = response->status == 0 && !response->wrap && !response->plain &&
                         response->raw_content_type.empty() &&
                         (!response->data.empty() || response->auth);
  if (request.wrap_ttl && wrappable && call.txn) {
    auto wrapped = wrap_response(context, *request.wrap_ttl, *response);
    if (!wrapped) return forward(wrapped);
  }
  call.after_commit = std::move(context.after_commit);
  return response;
}

// 7. What happened, as one entry of the record: never a value, only keyed hashes.
Result<uint64_t> Chain::append_record(Lane& lane, const Call& call,
                                      const Result<Response>& answer) {
  const logical::Request& request = call.request;
  const auto state = call.state != nullptr ? call.state : lane.state();
  audit::RecordInput input;
  input.time = request.received;
  input.request_id = request.id;
  input.operation = logical::operation_name(call.operation);
  if (call.mount != nullptr) {
    input.mount_path = call.mount->path;
    input.mount_type = call.mount->type;
    input.mount_accessor = call.mount->accessor;
  }
  input.path = request.path;
  if (call.who.token != nullptr) {
    const identity::Token& token = *call.who.token;
    input.entity_id = token.entity_id;
    input.token_accessor = token.accessor;
    input.display_name = token.display_name;
    input.auth_mount = token.path;
    input.token = request.token;
    input.role = token.role;
    input.token_type = token.type == logical::TokenType::kBatch ? "batch" : "service";
    input.policies = token.policies;
  }
  input.deciding_rule = call.deciding_rule;
  input.remote_address = request.origin.address;
  input.remote_port = request.origin.port;
  input.forwarded_address = request.origin.forwarded_for;
  input.user_agent = request.origin.user_agent;
  std::string fingerprint;
  if (!request.origin.client_certificate_der.empty()) {
    fingerprint =
        base::hex_encode(crypto::as_bytes(crypto::sha256(request.origin.client_certificate_der)));
    input.client_certificate = fingerprint;
  }
  if (!request.data.is_null()) input.request.json = &request.data;
  input.request_bytes = request.body_bytes;
  if (answer) {
    if (answer->raw_content_type.empty()) input.response.json_text = answer->data;
    input.response_bytes = answer->data.size();
    if (answer->auth) {
      input.response_token = answer->auth->client_token;
      input.response_accessor = answer->auth->accessor;
    }
    if (answer->wrap) {
      input.response_token = answer->wrap->token;
      input.response_accessor = answer->wrap->accessor;
      input.wrapped = true;
    }
    input.lease_id = answer->lease_id;
  } else {
    input.error = answer.error().message();
  }
  input.status = static_cast<uint16_t>(logical::status_of(answer));
  input.store_revision = call.committed != 0 ? call.committed : lane.revision();
  input.duration_us = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(parts_.clock.wall() - request.received)
          .count());
  std::string& entry = lane.scratch();
  audit::append_record(input, state == nullptr ? nullptr : state->hasher.get(), entry);
  return parts_.record.append(entry, input.store_revision);
}

void Chain::record_refused(Lane& lane, const logical::Request& request, const base::Error& error) {
  Call call(request);
  call.operation = request.operation;
  const Result<Response> answer = std::unexpected(error);
  auto index = append_record(lane, call, answer);
  if (!index) {
    parts_.log.error("pipeline", "a refused request could not be recorded",
                     {{"error", index.error().describe()}});
  }
}

}  // namespace rekey::pipeline
