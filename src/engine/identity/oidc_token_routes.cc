// identity/oidc: roles, tokens, what verifiers ask without a token of their own, and introspection.
#include <algorithm>

#include "base/codec.h"
#include "crypto/jwk.h"
#include "engine/identity/identity_backend.h"
#include "engine/identity/view.h"
#include "identity/json_template.h"
#include "identity/oidc.h"
#include "identity/standing.h"

namespace rekey::engine::identity {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;
using store::OidcKey;
using store::OidcRole;
using store::OidcStore;

// Claims that a template can't say.
constexpr std::string_view kReserved[] = {"iat",       "aud",   "exp",       "iss",     "sub",
                                          "namespace", "nonce", "auth_time", "at_hash", "c_hash"};
constexpr int64_t kClockLeewayS = 60;  // of whoever's clock a token was made by; seconds

OidcStore store_of(Context& context) {
  return OidcStore(*context.storage, context.clock, context.random);
}

int64_t now_s(const Context& context) {
  return std::chrono::floor<std::chrono::seconds>(context.clock.wall()).time_since_epoch().count();
}

Result<std::string> issuer_of(OidcStore& rows, std::string_view server) {
  auto issuer = rows.issuer();
  if (!issuer) return issuer;
  return (issuer->empty() ? std::string(server) : *issuer) + "/v1/identity/oidc";
}

Response plain(JsonObject object) {
  Response response;
  response.data = Json(std::move(object)).dump();
  response.plain = true;
  return response;
}

// ---- config

// A scheme, a host and perhaps a port.
bool is_issuer(std::string_view text) {
  if (text.size() > store::kOidcTextBytesMax) return false;
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(scheme.size());
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
    });
  }
  return false;
}

Result<Response> read_config(Context& context) {
  auto issuer = store_of(context).issuer();
  if (!issuer) return forward(issuer);
  return logical::with_data({{"issuer", *issuer}});
}

Result<Response> write_config(Context& context) {
  if (!context.fields.has("issuer")) return Response{};
  const std::string_view issuer = context.fields.text("issuer");
  if (!issuer.empty() && !is_issuer(issuer)) {
    return logical::bad_request(
        "invalid issuer, which must include only a scheme, host, and optional port (e.g. "
        "https://example.com:8200)");
  }
  auto saved = store_of(context).set_issuer(issuer);
  if (!saved) return forward(saved);
  Response response;
  if (!issuer.empty()) {
    response.warnings.push_back(
        "If \"issuer\" is set explicitly, all tokens must be validated against that address, "
        "including those issued by secondary clusters. Setting issuer to \"\" will restore the "
        "default behavior of using the cluster's api_addr as the issuer.");
  }
  return response;
}

// ---- roles

Result<void> check_template(std::string_view text) {
  if (text.empty()) return {};
  auto parsed = store::JsonTemplate::parse(text);
  if (!parsed) return forward(parsed);
  for (const auto& [name, value] : parsed->object()) {
    if (std::ranges::find(kReserved, name) == std::end(kReserved)) continue;
    std::string all;
    for (const std::string_view one : kReserved) all.append(all.empty() ? "" : ", ").append(one);
    return logical::bad_request("top level key \"" + name +
                                "\" not allowed. Restricted keys: " + all);
  }
  return {};
}

// The key of a role; the one called default is made when a role first wants it.
Result<OidcKey> key_for_role(Context& context, OidcStore& rows, const std::string& name) {
  auto key = rows.key(name);
  if (!key) return forward(key);
  if (*key) return std::move(**key);
  if (name != store::kOidcDefaultKey) {
    return logical::bad_request("cannot find key \"" + name + "\"");
  }
  OidcKey made;
  made.name = name;
  made.allowed_client_ids = {"*"};
  made.next_rotation_s = now_s(context) + made.rotation_period_s;
  if (auto saved = rows.save_with_new_pairs(made); !saved) return forward(saved);
  return made;
}

Result<void> read_role_fields(Context& context, OidcRole& role) {
  const logical::Fields& fields = context.fields;
  role.key = fields.text("key", role.key);
  if (role.key.empty()) return logical::bad_request("the key parameter is required");
  if (auto good = store::check_name("key", role.key); !good || role.key.contains('/')) {
    return logical::bad_request("cannot find key \"" + role.key + "\"");
  }
  if (fields.has("template")) {
    role.text = fields.text("template");
    // Base64 of it is taken too.
    if (auto decoded = base::base64_decode(role.text); decoded && !decoded->empty()) {
      role.text = std::move(*decoded);
    }
  }
  if (auto good = check_template(role.text); !good) return good;
  if (const auto ttl = fields.duration("ttl")) {
    role.ttl_s = std::chrono::floor<std::chrono::seconds>(*ttl).count();
  }
  if (role.ttl_s < 0) return logical::bad_request("ttl is negative");
  role.client_id = fields.text("client_id", role.client_id);
  if (role.client_id.size() > store::kOidcTextBytesMax) {
    return logical::bad_request("client_id is too long");
  }
  if (role.client_id.empty()) role.client_id = context.random.base62(26);
  return {};
}

Result<Response> write_role(Context& context) {
  OidcStore rows = store_of(context);
  const std::string_view name = context.fields.text("name");
  if (auto good = store::check_name("role", name); !good) return forward(good);
  auto known = rows.role(name);
  if (!known) return forward(known);
  OidcRole role = *known ? **known : OidcRole{};
  role.name = name;
  if (!*known) {
    auto names = rows.role_names();
    if (!names) return forward(names);
    if (names->size() >= store::kOidcRolesMax) return logical::bad_request("too many roles");
  }
  if (auto read = read_role_fields(context, role); !read) return forward(read);
  auto key = key_for_role(context, rows, role.key);
  if (!key) return forward(key);
  if (role.ttl_s > key->verification_ttl_s) {
    return logical::bad_request(
        "a role's token ttl cannot be longer than the verification_ttl of the key it references");
  }
  auto saved = rows.save(role);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> read_role(Context& context) {
  auto role = store_of(context).role(context.fields.text("name"));
  if (!role) return forward(role);
  if (!*role) return logical::nothing_there();
  return logical::with_data({{"client_id", (*role)->client_id},
                             {"key", (*role)->key},
                             {"template", (*role)->text},
                             {"ttl", (*role)->ttl_s}});
}

Result<Response> erase_role(Context& context) {
  auto removed = store_of(context).remove_role(context.fields.text("name"));
  if (!removed) return forward(removed);
  return Response{};
}

Result<bool> role_exists(Context& context) {
  auto role = store_of(context).role(context.fields.text("name"));
  if (!role) return forward(role);
  return role->has_value();
}

Result<Response> list_roles(Context& context) {
  auto names = store_of(context).role_names();
  if (!names) return forward(names);
  return logical::with_keys(*names);
}

// ---- tokens

Result<std::string> claims_of(CallContext& call, const OidcRole& role, const std::string& issuer,
                              int64_t ttl_s) {
  auto standing = store::find_standing(*call.txn, call.caller.entity_id, nullptr);
  if (!standing) return forward(standing);
  if (*standing == nullptr) {
    return logical::bad_request("no entity associated with the request's token");
  }
  JsonObject claims;
  if (!role.text.empty()) {
    auto parsed = store::JsonTemplate::parse(role.text);
    if (!parsed) return forward(parsed);
    claims = parsed->fill((*standing)->names, call.clock.wall());
  }
  // After the template's: what a token is for isn't the template's to say.
  const int64_t now = now_s(call);
  claims.set("iss", issuer);
  claims.set("namespace", "root");
  claims.set("sub", (*standing)->entity.id);
  claims.set("aud", role.client_id);
  claims.set("exp", now + ttl_s);
  claims.set("iat", now);
  std::string text = Json(std::move(claims)).dump();
  if (text.size() > store::kOidcClaimsBytesMax) {
    return logical::bad_request("the claims of this token are too long");
  }
  return text;
}

Result<Response> make_token(Context& context, std::string_view server) {
  CallContext& call = CallContext::of(context);
  OidcStore rows = store_of(context);
  const std::string name(context.fields.text("name"));
  auto role = rows.role(name);
  if (!role) return forward(role);
  if (!*role) return logical::bad_request("role \"" + name + "\" not found");
  auto key = rows.key((*role)->key);
  if (!key) return forward(key);
  if (!*key) return logical::bad_request("key \"" + (*role)->key + "\" not found");
  if (!(*key)->allows((*role)->client_id)) {
    return logical::bad_request("the key \"" + (*role)->key +
                                "\" does not list the client ID of the role \"" + name +
                                "\" as an allowed client ID");
  }
  if (context.caller.entity_id.empty()) {
    return logical::bad_request("no entity associated with the request's token");
  }
  // No pair signs for longer than it should, whether or not anybody tended to it.
  auto current = rows.bring_up_to_date(**key);
  if (!current) return forward(current);
  Response response;
  int64_t ttl_s = (*role)->ttl_s;
  if (ttl_s > (*key)->verification_ttl_s) {
    ttl_s = (*key)->verification_ttl_s;
    response.warnings.push_back(
        "a role's token ttl cannot be longer than the verification_ttl of the key it references, "
        "setting token ttl to " +
        std::to_string(ttl_s));
  }
  auto issuer = issuer_of(rows, server);
  if (!issuer) return forward(issuer);
  auto claims = claims_of(call, **role, *issuer, ttl_s);
  if (!claims) return forward(claims);
  auto token = rows.sign(**key, *claims);
  if (!token) return forward(token);
  response.data =
      Json(JsonObject{{"client_id", (*role)->client_id}, {"token", *token}, {"ttl", ttl_s}}).dump();
  return response;
}

// Why a token isn't good; empty where it is.
Result<std::string> fault_of(CallContext& call, OidcStore& rows, std::string_view server) {
  auto jws = crypto::parse_jws(call.fields.text("token"));
  if (!jws) return "error parsing token: " + jws.error().message();
  auto keys = rows.public_keys();
  if (!keys) return forward(keys);
  auto known = crypto::parse_jwks(Json(std::move(*keys)).dump());
  if (!known) return forward(known);
  if (crypto::find_signer(*jws, *known) == nullptr) {
    return std::string("unable to validate the token signature");
  }
  const auto claims = Json::parse(jws->payload);
  if (!claims || !claims->is_object()) return std::string("error validating claims: no claims");
  auto issuer = issuer_of(rows, server);
  if (!issuer) return issuer;
  if (claims->string_or("iss", "") != *issuer) {
    return std::string("error validating claims: validation failed, invalid issuer claim (iss)");
  }
  const std::string_view client = call.fields.text("client_id");
  if (!client.empty() && claims->string_or("aud", "") != client) {
    return std::string("error validating claims: validation failed, invalid audience claim (aud)");
  }
  if (logical::int_at(*claims, "exp") + kClockLeewayS <= now_s(call)) {
    return std::string("error validating claims: validation failed, token is expired (exp)");
  }
  if (logical::int_at(*claims, "iat") - kClockLeewayS > now_s(call)) {
    return std::string("error validating claims: validation failed, token issued in the future");
  }
  auto entity = entities_of(call).entity_or_merged(claims->string_or("sub", ""));
  if (!entity) return forward(entity);
  if (!*entity) return std::string("entity was not found");
  if ((*entity)->disabled) return std::string("entity is disabled");
  return std::string();
}

Result<Response> introspect(Context& context, std::string_view server) {
  OidcStore rows = store_of(context);
  auto fault = fault_of(CallContext::of(context), rows, server);
  if (!fault) return forward(fault);
  if (fault->empty()) return plain({{"active", true}});
  return plain({{"active", false}, {"error", *fault}});
}

Result<Response> configuration(Context& context, std::string_view server) {
  OidcStore rows = store_of(context);
  auto issuer = issuer_of(rows, server);
  if (!issuer) return forward(issuer);
  return plain(
      {{"id_token_signing_alg_values_supported", Json::strings(store::oidc_algorithm_names())},
       {"issuer", *issuer},
       {"jwks_uri", *issuer + "/.well-known/keys"},
       {"response_types_supported", Json::strings({"id_token"})},
       {"subject_types_supported", Json::strings({"public"})}});
}

Result<Response> public_keys(Context& context) {
  auto keys = store_of(context).public_keys();
  if (!keys) return forward(keys);
  return plain(std::move(*keys));
}

}  // namespace

void IdentityBackend::add_oidc_role_routes() {
  routes_.add({.pattern = "oidc/role",
               .handlers = {{Operation::kList, list_roles}},
               .synopsis = "Lists the roles of identity tokens."});
  routes_.add({.pattern = "oidc/role/{name}",
               .fields = {{"name", FieldType::kString, "The role's name."},
                          {"key", FieldType::kString, "The key that signs."},
                          {"template", FieldType::kString,
                           "More claims: JSON with {{identity...}} in it, or base64 of that."},
                          {"ttl", FieldType::kDuration, "How long a token is valid; 24h."},
                          {"client_id", FieldType::kString, "Who tokens are for (aud)."}},
               .handlers = {{Operation::kRead, read_role},
                            {Operation::kUpdate, write_role},
                            {Operation::kDelete, erase_role}},
               .synopsis = "What an identity token tells, and to whom.",
               .exists = role_exists,
               .blocking = true});
}

void IdentityBackend::add_oidc_token_routes() {
  // The backend outlives its routes.
  const auto with_server = [this](auto handler) {
    return [this, handler](Context& c) { return handler(c, api_address_); };
  };
  routes_.add({.pattern = "oidc/config",
               .fields = {{"issuer", FieldType::kString, "The server's address in tokens."}},
               .handlers = {{Operation::kRead, read_config}, {Operation::kUpdate, write_config}},
               .synopsis = "Who identity tokens say they are from."});
  routes_.add({.pattern = "oidc/token/{name}",
               .fields = {{"name", FieldType::kString, "The role."}},
               .handlers = {{Operation::kRead, with_server(make_token)}},
               .synopsis = "A signed token that says who the caller is.",
               .blocking = true});
  routes_.add({.pattern = "oidc/introspect",
               .fields = {{"token", FieldType::kString, "An identity token."},
                          {"client_id", FieldType::kString, "Who it must be for."}},
               .handlers = {{Operation::kUpdate, with_server(introspect)}},
               .synopsis = "Whether an identity token is good, and its entity active.",
               .blocking = true});
  routes_.add({.pattern = "oidc/.well-known/openid-configuration",
               .handlers = {{Operation::kRead, with_server(configuration)}},
               .synopsis = "Where verifiers find the keys.",
               .unauthenticated = true});
  routes_.add({.pattern = "oidc/.well-known/keys",
               .handlers = {{Operation::kRead, public_keys}},
               .synopsis = "The public keys that verify identity tokens.",
               .unauthenticated = true});
}

}  // namespace rekey::engine::identity
