// auth/jwt/login, and what stands for the browser flow.
#include <algorithm>

#include "auth/jwt/config.h"
#include "auth/jwt/jwt.h"
#include "auth/jwt/role.h"
#include "base/codec.h"
#include "crypto/jws.h"
#include "logical/answer.h"
#include "logical/cidr.h"

namespace rekey::auth::jwt {
namespace {

using base::ErrorKind;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;

constexpr std::string_view kNoBrowser =
    "the browser login (OIDC authorization code flow) is not supported by this build; the "
    "configuration and the roles are kept, and roles of role_type \"jwt\" log in with a token";

std::unexpected<base::Error> invalid_token(const std::string& why, std::string detail = {}) {
  return base::fail(ErrorKind::kInvalid, "error validating token: " + why, std::move(detail));
}

std::unexpected<base::Error> unsigned_token(const std::string& why, std::string detail = {}) {
  return invalid_token("error verifying token signature: " + why, std::move(detail));
}

constexpr const char* kNoKey = "no known key successfully validated the token signature";

Result<void> check_static_keys(const Config& config, const crypto::Jws& jws) {
  for (const std::string& pem : config.public_keys) {
    const auto key = crypto::KeyPair::from_key_or_certificate_pem(pem);
    if (key && crypto::jws_signed_by(jws, *key)) return {};
  }
  return unsigned_token(kNoKey);
}

// With the keys of one source; true: one of them signed it.
Result<bool> check_source(Context& context, KeyCache& cache, const KeySource& source,
                          const crypto::Jws& jws) {
  const auto known = cache.find(source, context.clock);
  if (known.keys != nullptr && crypto::find_signer(jws, *known.keys) != nullptr &&
      (known.fresh || !known.may_fetch)) {
    return true;
  }
  if (!known.may_fetch) {
    if (known.keys != nullptr) return false;
    return unsigned_token("the provider's keys can't be fetched", "the last try failed just now");
  }
  if (!context.may_block) return context.to_pool();
  const auto keys = cache.fetch(source, context.clock);
  if (!keys) return unsigned_token(keys.error().message(), keys.error().detail());
  return crypto::find_signer(jws, **keys) != nullptr;
}

Result<void> check_signature(Context& context, KeyCache& cache, const Config& config,
                             const crypto::Jws& jws) {
  const std::string_view name = crypto::jws_algorithm_name(jws.algorithm);
  if (!config.algorithms.empty() &&
      std::ranges::find(config.algorithms, name) == config.algorithms.end()) {
    return invalid_token(
        "invalid algorithm (alg) header parameter: token signed with unexpected algorithm");
  }
  const auto sources = config.sources(context.mount);
  if (sources.empty()) return check_static_keys(config, jws);
  Result<void> problem = unsigned_token(kNoKey);
  for (const KeySource& source : sources) {
    auto signed_by_it = check_source(context, cache, source, jws);
    if (signed_by_it && *signed_by_it) return {};
    if (context.wants_pool) return forward(signed_by_it);
    if (!signed_by_it) problem = forward(signed_by_it);
  }
  return problem;
}

Result<void> check_claims(const Context& context, const Config& config, const Role& role,
                          const crypto::JwtClaims& claims) {
  if (!config.bound_issuer.empty() && claims.issuer != config.bound_issuer) {
    return invalid_token("invalid issuer (iss) claim");
  }
  if (!role.bound_subject.empty() && claims.subject != role.bound_subject) {
    return invalid_token("invalid subject (sub) claim");
  }
  const bool for_us = std::ranges::any_of(
      role.bound_audiences, [&](const std::string& audience) { return claims.is_for(audience); });
  if (!role.bound_audiences.empty() && !for_us) {
    return invalid_token(
        "invalid audience (aud) claim: audience claim does not match any expected audience");
  }
  auto timely = crypto::check_jwt_times(claims, context.clock.wall(), role.leeway);
  if (!timely) return invalid_token(timely.error().message());
  if (role.bound_audiences.empty() && !claims.audiences.empty()) {
    return logical::bad_request("audience claim found in JWT but no audiences bound to the role");
  }
  return check_bound_claims(claims.all, role.bound_claims, role.claims_are_globs);
}

Result<Response> granted(Role role, const crypto::JwtClaims& claims) {
  logical::Login login;
  auto user = user_of(claims.all, role.user_claim, role.user_claim_json_pointer);
  if (!user) return forward(user);
  auto metadata = mapped_claims(claims.all, role.claim_mappings);
  if (!metadata) return forward(metadata);
  if (!role.groups_claim.empty()) {
    auto groups = groups_of(claims.all, role.groups_claim);
    if (!groups) return forward(groups);
    login.group_aliases = std::move(*groups);
  }
  metadata->emplace_back("role", role.name);
  std::ranges::sort(*metadata);
  login.alias_name = *user;
  login.display_name = std::move(*user);
  login.alias_metadata = *metadata;
  login.metadata = std::move(*metadata);
  login.role = role.name;
  login.token = std::move(role.token);
  Response response;
  response.login = std::move(login);
  return response;
}

Result<Role> find_login_role(Context& context, const Config& config) {
  std::string name = base::to_lower(context.fields.text("role"));
  if (name.empty()) name = config.default_role;
  if (name.empty()) return logical::bad_request("missing role");
  auto role = read_role(context, name);
  if (!role) return forward(role);
  if (!*role) return logical::bad_request("role \"" + name + "\" could not be found");
  return std::move(**role);
}

Result<Response> login(Context& context, KeyCache& cache) {
  auto config = read_config(context);
  if (!config) return forward(config);
  if (!*config) return logical::bad_request("could not load configuration");
  auto role = find_login_role(context, **config);
  if (!role) return forward(role);
  if (role->type == "oidc") return logical::bad_request("role with oidc role_type is not allowed");
  const std::string_view token = context.fields.text("jwt");
  if (token.empty()) return logical::bad_request("missing token");
  if (!logical::address_allowed(context.request.origin.address, role->token.bound_cidrs)) {
    return base::fail(ErrorKind::kUnauthenticated, "permission denied",
                      "a login from an address outside the role's bound CIDRs");
  }
  auto jws = crypto::parse_jws(token);
  if (!jws) return unsigned_token(jws.error().message());
  auto proved = check_signature(context, cache, **config, *jws);
  if (!proved) return forward(proved);
  auto claims = crypto::parse_jwt_claims(jws->payload);
  if (!claims) return invalid_token(claims.error().message());
  auto fits = check_claims(context, **config, *role, *claims);
  if (!fits) return forward(fits);
  return granted(std::move(*role), *claims);
}

Result<Response> browser_login(Context& context) {
  auto config = read_config(context);
  if (!config) return forward(config);
  if (!*config) return logical::bad_request("could not load configuration");
  if ((*config)->client_id.empty()) {
    return logical::bad_request("OIDC login is not configured for this mount");
  }
  return logical::bad_request(std::string(kNoBrowser));
}

}  // namespace

Result<std::optional<logical::TokenParams>> Jwt::renew_login(
    Context& context, const logical::Renewal& renewal) const {
  auto role = read_role(context, renewal.role);
  if (!role) return forward(role);
  if (!*role) {
    return logical::bad_request("failed to renew entry: role " + renewal.role +
                                " does not exist during renewal");
  }
  return std::move((*role)->token);
}

void Jwt::add_login_routes() {
  routes_.add(
      {.pattern = "login",
       .fields = {{"role", FieldType::kString, "The role; the mount's default_role if not given."},
                  {"jwt", FieldType::kString, "The signed token."}},
       .handlers = {{Operation::kUpdate, [this](Context& c) { return login(c, keys_); }}},
       .synopsis = "Logs in.",
       .unauthenticated = true,
       .waits = true});
  routes_.add({.pattern = "oidc/auth_url",
               .fields = {{"role", FieldType::kString, "The role."},
                          {"redirect_uri", FieldType::kString, "Where the browser comes back to."},
                          {"client_nonce", FieldType::kString, "Of the client that began."}},
               .handlers = {{Operation::kUpdate, browser_login}},
               .synopsis = "Begins a login with a browser; not supported by this build.",
               .unauthenticated = true});
  routes_.add({.pattern = "oidc/callback",
               .fields = {{"state", FieldType::kString, "Of the login that was begun."},
                          {"code", FieldType::kString, "Of the provider."},
                          {"id_token", FieldType::kString, "Of the provider."},
                          {"client_nonce", FieldType::kString, "Of the client that began."}},
               .handlers = {{Operation::kRead, browser_login}, {Operation::kUpdate, browser_login}},
               .synopsis = "Ends a login with a browser; not supported by this build.",
               .unauthenticated = true});
  routes_.add({.pattern = "oidc/poll",
               .fields = {{"state", FieldType::kString, "Of the login that was begun."},
                          {"client_nonce", FieldType::kString, "Of the client that began."}},
               .handlers = {{Operation::kUpdate, browser_login}},
               .synopsis = "Asks for a login with a browser; not supported by this build.",
               .unauthenticated = true});
}

}  // namespace rekey::auth::jwt
