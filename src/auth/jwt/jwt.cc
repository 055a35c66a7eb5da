// auth/jwt/config and auth/jwt/role.
#include "auth/jwt/jwt.h"

#include "auth/jwt/config.h"
#include "auth/jwt/role.h"
#include "base/codec.h"
#include "logical/answer.h"
#include "logical/named_rows.h"

namespace rekey::auth::jwt {
namespace {

using base::ErrorKind;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

Result<Response> show_config(Context& context) {
  auto config = read_config(context);
  if (!config) return forward(config);
  if (!*config) return logical::nothing_there();
  return logical::with_data(describe(**config));
}

// A provider that can't be asked now would refuse every login: better said to who configures it.
Result<void> try_sources(Context& context, const net::Outgoing& outgoing, const Config& config) {
  for (const KeySource& source : config.sources(context.mount)) {
    auto keys = download_keys(outgoing, source);
    if (keys) continue;
    if (source.discovery) {
      return base::fail(ErrorKind::kInvalid,
                        "error checking oidc discovery URL: " + keys.error().message(),
                        keys.error().detail());
    }
    return base::fail(ErrorKind::kInvalid, "error checking jwks URL", keys.error().describe());
  }
  return {};
}

Result<Response> write_config(Context& context, const net::Outgoing& outgoing) {
  auto known = read_config(context);
  if (!known) return forward(known);
  Config config = *known ? **known : Config{};
  auto applied = apply_fields(context.fields, config);
  if (applied) applied = check(config);
  if (!applied) return forward(applied);
  if (!config.sources(context.mount).empty()) {
    if (!context.may_block) return context.to_pool();
    auto tried = try_sources(context, outgoing, config);
    if (!tried) return forward(tried);
  }
  auto saved = save_config(context, config);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> list_roles(Context& context) { return logical::list_rows(context, "role/"); }

Result<Response> show_role(Context& context) {
  auto role = read_role(context, context.fields.text("name"));
  if (!role) return forward(role);
  if (!*role) return logical::nothing_there();
  return logical::with_data(describe(**role));
}

Result<Response> write_role(Context& context) {
  const std::string_view name = context.fields.text("name");
  if (!is_role_name(name)) return base::fail(ErrorKind::kNotFound, "unsupported path");
  auto known = read_role(context, name);
  if (!known) return forward(known);
  Role role = *known ? std::move(**known) : Role{};
  role.name = base::to_lower(name);
  auto applied = apply_fields(context.fields, role);
  if (!applied) return forward(applied);
  auto saved = save_role(context, role);
  if (!saved) return forward(saved);
  Response response;
  if (role.verbose_oidc_logging) {
    response.warnings.push_back(
        "verbose_oidc_logging has been enabled for this role. It has no effect: tokens are never "
        "logged.");
  }
  const int64_t longest = context.lease_limits.max_lease_ttl.count() / 1'000'000'000;
  if (role.token.max_ttl_s > longest) {
    response.warnings.push_back(
        "token max ttl is greater than the system or backend mount's maximum TTL value; issued "
        "tokens' max TTL value will be truncated");
  }
  return response;
}

Result<Response> erase_role(Context& context) {
  const std::string_view name = context.fields.text("name");
  if (!is_role_name(name)) return Response{};
  auto erased = context.storage->erase("role/" + base::to_lower(name));
  if (!erased) return forward(erased);
  return Response{};
}

Result<bool> role_exists(Context& context) {
  auto role = read_role(context, context.fields.text("name"));
  if (!role) return forward(role);
  return role->has_value();
}

std::vector<Field> role_fields() {
  return {{"role_type", FieldType::kString, "\"jwt\" or \"oidc\" (the default)."},
          {"bound_audiences", FieldType::kStrings, "One of these must be among the token's."},
          {"bound_subject", FieldType::kString, "The subject that the token must have."},
          {"bound_claims", FieldType::kObject, "Claims, or JSON pointers, and their values."},
          {"bound_claims_type", FieldType::kString, "How values compare: \"string\" or \"glob\"."},
          {"claim_mappings", FieldType::kStringMap, "Claims that become metadata."},
          {"user_claim", FieldType::kString, "The claim that says who it is."},
          {"user_claim_json_pointer", FieldType::kBoolean, "Whether user_claim is a JSON pointer."},
          {"groups_claim", FieldType::kString, "The claim that lists the user's groups."},
          {"expiration_leeway", FieldType::kDuration, "For tokens without exp; -1: none."},
          {"not_before_leeway", FieldType::kDuration, "For tokens without nbf; -1: none."},
          {"clock_skew_leeway", FieldType::kDuration, "How far clocks may differ; -1: not."},
          {"allowed_redirect_uris", FieldType::kStrings, "Of the browser login."},
          {"oidc_scopes", FieldType::kStrings, "Of the browser login."},
          {"verbose_oidc_logging", FieldType::kBoolean, "Kept; tokens are never logged."},
          {"max_age", FieldType::kDuration, "Of the browser login."}};
}

}  // namespace

Jwt::Jwt(std::string_view type, std::shared_ptr<const net::Outgoing> outgoing)
    : type_(type), outgoing_(outgoing), keys_(std::move(outgoing)) {
  add_config_routes();
  add_role_routes();
  add_login_routes();
}

void Jwt::add_config_routes() {
  routes_.add(
      {.pattern = "config",
       .fields = {{"jwt_validation_pubkeys", FieldType::kStrings, "Keys or certificates, in PEM."},
                  {"jwks_url", FieldType::kString, "Where the provider's key set is."},
                  {"jwks_ca_pem", FieldType::kString, "CAs that its server is checked against."},
                  {"jwks_pairs", FieldType::kAny, "Several: objects of jwks_url and jwks_ca_pem."},
                  {"oidc_discovery_url", FieldType::kString, "The issuer, for OIDC discovery."},
                  {"oidc_discovery_ca_pem", FieldType::kString, "CAs for it."},
                  {"oidc_client_id", FieldType::kString, "Of the browser login."},
                  {"oidc_client_secret", FieldType::kString, "Of the browser login; never shown."},
                  {"oidc_response_mode", FieldType::kString, "Of the browser login."},
                  {"oidc_response_types", FieldType::kStrings, "Of the browser login."},
                  {"bound_issuer", FieldType::kString, "The issuer that tokens must have."},
                  {"jwt_supported_algs", FieldType::kStrings, "Algorithms of their signatures."},
                  {"default_role", FieldType::kString, "For logins that name none."},
                  {"provider_config", FieldType::kObject, "Kept as it is."},
                  {"namespace_in_state", FieldType::kBoolean, "Of the browser login."}},
       .handlers = {{Operation::kRead, show_config},
                    {Operation::kUpdate,
                     [this](Context& c) { return write_config(c, *outgoing_); }}},
       .synopsis = "Whose tokens are taken.",
       .waits = true});
}

void Jwt::add_role_routes() {
  routes_.add({.pattern = "role",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list_roles}},
               .synopsis = "Lists the roles."});
  routes_.add({.pattern = "role/{name}",
               .fields = logical::with_token_fields(role_fields(), kOlderNames),
               .handlers = {{Operation::kRead, show_role},
                            {Operation::kUpdate, write_role},
                            {Operation::kDelete, erase_role}},
               .synopsis = "A role: what a token must say, and what its logins get.",
               .exists = role_exists});
}

}  // namespace rekey::auth::jwt
