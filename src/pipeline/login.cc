#include "pipeline/login.h"

#include <algorithm>

#include "identity/entity_store.h"
#include "identity/token_ttl.h"
#include "logical/answer.h"
#include "logical/token_params.h"
#include "pipeline/login_mfa.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Result;
using identity::Token;
using logical::Auth;
using logical::Login;
using logical::Mount;
using logical::TokenKind;
using logical::TokenParams;

int64_t seconds(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

// The mount's token_type has the last word: service and batch are orders, the defaults give way to
// a role that says exactly what it wants.
bool is_batch(const Mount& mount, TokenKind wanted) {
  TokenKind tuned = TokenKind::kDefaultService;
  if (const base::Json* type = mount.config.find("token_type"); type && type->as_string()) {
    logical::parse_token_kind(*type->as_string(), tuned);
  }
  if (tuned == TokenKind::kService) return false;
  if (tuned == TokenKind::kBatch) return true;
  if (tuned == TokenKind::kDefaultBatch) {
    return wanted != TokenKind::kService && wanted != TokenKind::kDefaultService;
  }
  return wanted == TokenKind::kBatch || wanted == TokenKind::kDefaultBatch;
}

// "auth/team/userpass/" and "bob" are "team-userpass-bob".
std::string display_name(const Mount& mount, std::string_view name) {
  std::string out = mount.path.substr(mount.path.starts_with("auth/") ? 5 : 0);
  std::ranges::replace(out, '/', '-');
  out += name;
  if (out.ends_with('-')) out.pop_back();
  return out;
}

Result<void> check(const Login& login) {
  size_t bytes = 0;
  for (const auto& [key, value] : login.metadata) bytes += key.size() + value.size();
  if (bytes > kLoginMetadataBytesMax) return logical::bad_request("too much metadata in a login");
  if (login.group_aliases.size() > kLoginGroupsMax) {
    return logical::bad_request("too many groups in a login");
  }
  if (std::ranges::find(login.token.policies, "root") != login.token.policies.end()) {
    return logical::bad_request("auth methods cannot create root tokens");
  }
  return {};
}

std::vector<std::string> merged(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  std::ranges::sort(a);
  const auto rest = std::ranges::unique(a);
  a.erase(rest.begin(), rest.end());
  return a;
}

Token token_of(const CallContext& context, const Mount& mount, const Login& login,
               const LoginFor& whose) {
  Token token;
  token.policies = logical::clean_policies(login.token.policies);
  if (!login.token.no_default_policy) identity::add_sorted(token.policies, "default");
  token.mount_accessor = mount.accessor;
  token.meta = login.metadata;
  token.display_name = display_name(mount, login.display_name);
  token.login_role = login.role;
  token.entity_id = whose.entity_id;
  token.alias_id = whose.alias_id;
  token.num_uses = login.token.num_uses;
  token.explicit_max_ttl_s = login.token.explicit_max_ttl_s;
  token.period_s = login.token.period_s;
  token.max_ttl_s = login.token.max_ttl_s;
  token.bound_cidrs = login.token.bound_cidrs;
  token.internal = login.internal;
  token.renewable = login.renewable;
  token.created_s =
      std::chrono::floor<std::chrono::seconds>(context.clock.wall()).time_since_epoch().count();
  return token;
}

// What the auth method says of renewing what it let in.
Result<std::optional<TokenParams>> ask_method(CallContext& context, const Mount& mount,
                                              const logical::Renewal& renewal) {
  barrier::View view(*context.txn, mount.storage_prefix());
  logical::Context theirs{context.request,
                          context.fields,
                          mount,
                          context.caller,
                          &view,
                          context.clock,
                          context.random,
                          logical::narrowed(context.server_limits, mount),
                          context.server_limits,
                          {},
                          context.decoded,
                          context.may_block};
  return mount.backend->renew_login(theirs, renewal);
}

Result<std::string> store_or_seal(CallContext& context, Token& token) {
  if (token.type != logical::TokenType::kBatch) return context.tokens().create(token, nullptr);
  token.issued_at = context.lane.revision();
  return seal_batch_token(*context.state, token, context.random);
}

}  // namespace

Result<LoginFor> find_login_entity(CallContext& context, const Mount& mount, const Login& login) {
  if (auto good = check(login); !good) return forward(good);
  LoginFor whose;
  if (login.alias_name.empty()) return whose;
  identity::EntityStore entities(*context.txn, context.clock, context.random);
  auto found = entities.find_or_make(mount.accessor, login.alias_name, login.alias_metadata);
  if (!found) return forward(found);
  if (found->entity.disabled) {
    return base::fail(ErrorKind::kUnauthenticated, "permission denied", "the entity is disabled");
  }
  auto grouped = entities.set_external_groups(found->entity, mount.accessor, login.group_aliases);
  if (!grouped) return forward(grouped);
  whose.entity_id = found->entity.id;
  whose.alias_id = found->alias_id;
  auto standing = identity::standing_of(*context.txn, std::move(found->entity), nullptr);
  if (!standing) return forward(standing);
  whose.standing = std::move(*standing);
  return whose;
}

Result<Auth> make_login_token(CallContext& context, const Mount& mount, std::string_view path,
                              const Login& login, const LoginFor& whose,
                              std::vector<std::string>& warnings) {
  Token token = token_of(context, mount, login, whose);
  token.path = path;
  const logical::Limits limits = logical::narrowed(context.server_limits, mount);
  auto ttl = identity::choose_token_ttl({.ttl_s = login.token.ttl_s,
                                         .max_ttl_s = token.max_ttl_s,
                                         .period_s = token.period_s,
                                         .explicit_max_ttl_s = token.explicit_max_ttl_s,
                                         .default_ttl_s = seconds(limits.default_lease_ttl),
                                         .longest_s = seconds(limits.max_lease_ttl)},
                                        warnings);
  if (!ttl) return forward(ttl);
  token.creation_ttl_s = *ttl;
  token.expires_s = token.created_s + *ttl;
  if (is_batch(mount, login.token.kind)) {
    if (token.num_uses != 0) return logical::bad_request("batch tokens cannot have num_uses set");
    token.type = logical::TokenType::kBatch;
    token.period_s = 0;
    token.renewable = false;
    token.internal = {};
  }
  auto text = store_or_seal(context, token);
  if (!text) return forward(text);
  Auth auth;
  auth.client_token = std::move(*text);
  auth.accessor = token.accessor;
  auth.token_policies = token.policies;
  if (whose.standing != nullptr) auth.identity_policies = whose.standing->policies;
  auth.policies = merged(token.policies, auth.identity_policies);
  auth.metadata = token.meta;
  auth.lease_duration_s = token.creation_ttl_s;
  auth.renewable = token.renewable;
  auth.entity_id = token.entity_id;
  auth.type = token.type;
  auth.num_uses = token.num_uses;
  context.granted = std::make_shared<const Token>(std::move(token));
  return auth;
}

Result<void> grant_login(CallContext& context, logical::Response& response) {
  Login login = std::move(*response.login);
  response.login.reset();
  auto whose = find_login_entity(context, context.mount, login);
  if (!whose) return forward(whose);
  auto factors = enforcements_for(context, context.mount, *whose);
  if (!factors) return forward(factors);
  if (!factors->empty()) {
    auto sent = read_mfa_headers(context.request);
    if (!sent) {
      return base::fail(ErrorKind::kUnauthenticated, "permission denied", sent.error().message());
    }
    if (sent->empty()) {
      return hold_for_second_factor(context, *factors, *whose, std::move(login), response);
    }
    auto right = check_second_factor(context, *factors, *whose, *sent);
    if (!right && right.error().kind() == ErrorKind::kUnauthenticated) {
      return base::fail(ErrorKind::kUnauthenticated, "permission denied", right.error().message());
    }
    if (!right) return right;
  }
  auto auth = make_login_token(context, context.mount, context.request.path, login, *whose,
                               response.warnings);
  if (!auth) return forward(auth);
  response.auth = std::move(*auth);
  return {};
}

bool login_cut_off(const CallContext& context, const Mount& mount, std::string_view path,
                   const Login& login, const LoginFor& whose, storage::Revision seen) {
  Token token = token_of(context, mount, login, whose);
  token.path = path;
  token.issued_at = seen;
  return context.state->cutoffs->revokes(token);
}

Result<void> ask_whether_renewable(CallContext& context, const Mount& mount, const Login& login) {
  if (!login.renewable) return {};
  const auto policies = logical::clean_policies(login.token.policies);
  auto now =
      ask_method(context, mount, {login.role, policies, login.metadata, login.internal, true});
  if (!now) return forward(now);
  if (*now && logical::clean_policies((*now)->policies) != policies) {
    return base::fail(ErrorKind::kUnauthenticated, "permission denied",
                      "the role has other policies by now");
  }
  return {};
}

std::shared_ptr<const Mount> mount_by_accessor(const State& state, std::string_view accessor) {
  for (const auto& [path, mount] : state.mounts->rows()) {
    if (mount->accessor == accessor) return mount;
  }
  return nullptr;
}

Result<TokenParams> ask_for_renewal(CallContext& context, const Token& token, TokenParams params) {
  const auto mount = mount_by_accessor(*context.state, token.mount_accessor);
  if (mount == nullptr || mount->backend == nullptr) {
    return logical::bad_request("the auth method of this token is gone, not renewing");
  }
  auto now =
      ask_method(context, *mount, {token.login_role, token.policies, token.meta, token.internal});
  if (!now) return forward(now);
  return *now ? std::move(**now) : std::move(params);
}

}  // namespace rekey::pipeline
