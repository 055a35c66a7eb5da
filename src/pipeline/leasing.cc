#include "pipeline/leasing.h"

#include <algorithm>

#include "base/json.h"
#include "logical/answer.h"
#include "policy/password_policy.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Result;
using lease::Lease;

constexpr size_t kPasswordChars = 20;  // of a password without a policy

int64_t whole_seconds(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

std::string go_time(int64_t seconds) {
  return base::format_duration(std::chrono::seconds(seconds));
}

// The token as far as a lease hangs from it.
identity::Token scopes_of(const identity::Token& token) {
  identity::Token scopes;
  scopes.id = token.id;
  scopes.hash = token.hash;
  scopes.path = token.path;
  scopes.mount_accessor = token.mount_accessor;
  scopes.role = token.role;
  scopes.entity_id = token.entity_id;
  scopes.type = token.type;
  scopes.ancestors = token.ancestors;
  scopes.ancestor_paths = token.ancestor_paths;
  scopes.issued_at = token.issued_at;
  return scopes;
}

// The caller's token must still be there when the lease is, and must know that it has leases.
Result<void> hold(CallContext& context) {
  const identity::Token& token = *context.token;
  identity::TokenStore tokens = context.tokens();
  if (token.type != logical::TokenType::kBatch) {
    auto there = tokens.find_by_hash(token.hash);
    if (!there) return forward(there);
    if (!*there) return base::fail(ErrorKind::kUnauthenticated, "permission denied");
    return tokens.hold_lease(token);
  }
  // A batch token has no row; what it hangs from may have one.
  if (token.ancestors.empty()) return {};
  identity::Token parent;
  parent.id = token.ancestors[0];
  return tokens.hold_lease(parent);
}

}  // namespace

logical::Limits limits_of(logical::Limits limits, const logical::Mount& mount) {
  return logical::narrowed(limits, mount);
}

Result<int64_t> time_to_live(const Terms& terms, const logical::Limits& limits,
                             std::vector<std::string>& warnings) {
  int64_t longest = whole_seconds(limits.max_lease_ttl);
  if (terms.longest_s > 0) longest = std::min(longest, terms.longest_s);
  int64_t ttl = terms.wanted_s > 0  ? terms.wanted_s
                : terms.usual_s > 0 ? terms.usual_s
                                    : whole_seconds(limits.default_lease_ttl);
  const int64_t left = terms.issued_s + longest - terms.now_s;
  if (left <= 0) return logical::bad_request("past the max TTL, cannot renew");
  if (ttl > left) {
    if (terms.issued_s == terms.now_s) {
      warnings.push_back("TTL of \"" + go_time(ttl) + "\" exceeded the effective max_ttl of \"" +
                         go_time(left) + "\"; TTL value is capped accordingly");
    } else {
      warnings.push_back("TTL of \"" + go_time(ttl) + "\" exceeded the effective max_ttl of \"" +
                         go_time(longest) + "\"; TTL value is capped to \"" + go_time(left) + "\"");
    }
    ttl = left;
  }
  return ttl;
}

Result<Lease> new_lease(CallContext& context, const logical::LeaseGrant& grant,
                        storage::Revision seen) {
  if (context.token == nullptr) {
    return base::fail(ErrorKind::kInternal, "a lease needs a token to hang from");
  }
  auto held = hold(context);
  if (!held) return forward(held);
  // Read now, before the outside effect, and compared at the commit.
  auto generation = context.txn->get(identity::kCutoffGenerationRow);
  if (!generation) return forward(generation);
  Lease made;
  made.path = context.request.path;
  made.id = made.path + "/" + context.random.base62(lease::kIdChars);
  made.mount_uuid = context.mount.uuid;
  made.mount_accessor = context.mount.accessor;
  made.role = grant.role;
  made.target = grant.target;
  made.data = base::Json(grant.data).dump();
  made.holder = scopes_of(*context.token);
  made.issued_s = lease::seconds_of(context.clock.wall());
  made.issued_at = seen;
  made.ttl_s = whole_seconds(grant.ttl);
  made.max_ttl_s = whole_seconds(grant.max_ttl);
  made.renewable = grant.renewable;
  return made;
}

Result<void> register_lease(CallContext& context, storage::Revision seen,
                            const std::optional<Lease>& intent, logical::Response& response) {
  auto made = new_lease(context, *response.lease, seen);
  if (!made) return forward(made);
  Lease& lease = *made;
  auto ttl = time_to_live({.usual_s = lease.ttl_s,
                           .longest_s = lease.max_ttl_s,
                           .issued_s = lease.issued_s,
                           .now_s = lease.issued_s},
                          context.lease_limits, response.warnings);
  if (!ttl) return forward(ttl);
  // A batch token can't be asked at its end, so what it holds ends with it.
  const identity::Token& token = *context.token;
  if (token.type == logical::TokenType::kBatch && token.expires_s != 0) {
    *ttl = std::min(*ttl, std::max<int64_t>(1, token.expires_s - lease.issued_s));
  }
  lease.ttl_s = *ttl;
  lease.expires_s = lease.issued_s + *ttl;
  lease::LeaseStore leases(*context.txn);
  if (intent) {
    lease.id = intent->id;
    lease.issued_s = intent->issued_s;
    auto there = leases.find(intent->id);
    if (!there) return forward(there);
    if (!*there || (*there)->state != lease::State::kIntent) {
      return base::fail(ErrorKind::kConflict, "the lease was revoked while it was made");
    }
    leases.change(**there, lease);
  } else {
    auto added = leases.add(lease);
    if (!added) return added;
  }
  response.lease_id = lease.id;
  response.lease_duration_s = *ttl;
  response.renewable = lease.renewable;
  return {};
}

Result<std::optional<Lease>> find_lease(CallContext& context, std::string_view id) {
  auto lease = lease::LeaseStore(*context.txn).find(id);
  if (!lease || !*lease) return lease;
  if ((*lease)->state != lease::State::kActive || (*lease)->expired(context.clock.wall()) ||
      lease::revoked(*context.state->cutoffs, **lease)) {
    return std::optional<Lease>();
  }
  const identity::Token& holder = (*lease)->holder;
  if (holder.type == logical::TokenType::kBatch) return lease;
  auto token = context.tokens().find_by_hash(holder.hash);
  if (!token) return forward(token);
  if (!*token || (*token)->expired(context.clock.wall())) return std::optional<Lease>();
  return lease;
}

Result<std::string> make_password(barrier::Txn& txn, std::string_view name, base::Random& random) {
  if (!name.empty()) {
    auto text = txn.peek(std::string(kPasswordPolicyPrefix) + std::string(name));
    if (!text) return forward(text);
    if (!*text) {
      return logical::bad_request("unable to generate password: no password policy \"" +
                                  std::string(name) + "\"");
    }
    auto policy = policy::PasswordPolicy::parse(**text);
    if (!policy) return forward(policy);
    return policy->generate(random);
  }
  constexpr std::string_view kAlphabet =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
  const auto has = [](std::string_view text, char from, char to) {
    return std::ranges::any_of(text, [&](char c) { return c >= from && c <= to; });
  };
  while (true) {
    std::string text;
    while (text.size() < kPasswordChars) {
      const uint64_t number = random.number();
      // 64 values in 6 bits, of which one is left out: every character is as likely.
      const size_t index = number % 64;
      if (index < kAlphabet.size()) text += kAlphabet[index];
    }
    if (has(text, 'a', 'z') && has(text, 'A', 'Z') && has(text, '0', '9') && has(text, '-', '-')) {
      return text;
    }
  }
}

Result<void> with_mount(const EngineCall& call, const logical::Mount& mount, std::string_view path,
                        const std::function<Result<void>(logical::Context&)>& work) {
  logical::Request request;
  request.operation = logical::Operation::kUpdate;
  request.path = path;
  request.received = call.clock.wall();
  const logical::Fields fields;
  const logical::Caller caller;
  barrier::View view(call.txn, mount.storage_prefix());
  logical::Context context{request,
                           fields,
                           mount,
                           caller,
                           &view,
                           call.clock,
                           call.random,
                           limits_of(call.server_limits, mount),
                           call.server_limits,
                           {}};
  context.make_password = [&](std::string_view policy) {
    return make_password(call.txn, policy, call.random);
  };
  context.checkpoint = call.checkpoint;
  return work(context);
}

Result<void> with_engine(const EngineCall& call, const Lease& lease, const EngineWork& work) {
  std::shared_ptr<const logical::Mount> mount;
  for (const auto& [path, row] : call.state.mounts->rows()) {
    if (row->uuid == lease.mount_uuid) mount = row;
  }
  if (mount == nullptr) {
    auto gone = call.keeper.disabled_mount(call.txn, lease.mount_uuid);
    if (!gone) return forward(gone);
    mount = std::move(*gone);
  }
  if (mount == nullptr) {
    return base::fail(ErrorKind::kNotFound, "the mount that handed the lease out is gone");
  }
  auto data = base::Json::parse(lease.data.empty() ? "{}" : lease.data);
  if (!data) return base::fail(ErrorKind::kCorrupt, "a lease's data can't be read");
  return with_mount(call, *mount, lease.path, [&](logical::Context& context) {
    return work(*mount->backend, context,
                {.id = lease.id,
                 .path = lease.path,
                 .role = lease.role,
                 .target = lease.target,
                 .data = *data,
                 .issued = base::WallTime(std::chrono::seconds(lease.issued_s))});
  });
}

}  // namespace rekey::pipeline
