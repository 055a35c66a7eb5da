// auth/cert/certs and auth/cert/config.
#include "auth/cert/cert.h"
#include "auth/cert/config.h"
#include "auth/cert/role.h"
#include "base/codec.h"
#include "logical/answer.h"
#include "logical/named_rows.h"
#include "logical/row.h"

namespace rekey::auth::cert {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;

constexpr std::string_view kConfigRow = "config";
constexpr int64_t kOcspCacheSizeMax = 100'000;

std::string name_of(const Context& context) { return base::to_lower(context.fields.text("name")); }

Result<Response> list(Context& context) { return logical::list_rows(context, "role/"); }

Result<Response> read(Context& context) {
  auto role = find_role(context, name_of(context));
  if (!role) return forward(role);
  if (*role == nullptr) return logical::nothing_there();
  return logical::with_data(describe((*role)->role));
}

Result<Response> write(Context& context) {
  const std::string name = name_of(context);
  if (name.size() > kRoleNameBytesMax) return logical::bad_request("the name is too long");
  auto known = role_to_change(context, name);
  if (!known) return forward(known);
  Role role = *known != nullptr ? (*known)->role : Role{.name = name};
  auto applied = apply_fields(context.fields, role);
  if (!applied) return forward(applied);
  Response response;
  if (role.wants_ocsp()) {
    response.warnings.push_back(
        "this build does not ask OCSP servers: with ocsp_enabled and without ocsp_fail_open no "
        "login by this role succeeds; write a CRL to crls/ instead");
  }
  auto saved = save_role(context, role);
  if (!saved) return forward(saved);
  return response;
}

Result<Response> erase(Context& context) {
  const std::string name = name_of(context);
  if (name.size() > kRoleNameBytesMax) return Response{};
  auto erased = context.storage->erase("role/" + name);
  if (!erased) return forward(erased);
  return Response{};
}

Result<Response> read_mount_config(Context& context) {
  auto config = read_config(context);
  if (!config) return forward(config);
  return logical::with_data(
      {{"disable_binding", config->disable_binding},
       {"enable_identity_alias_metadata", config->enable_identity_alias_metadata},
       {"ocsp_cache_size", config->ocsp_cache_size}});
}

Result<Response> write_mount_config(Context& context) {
  auto config = read_config(context);
  if (!config) return forward(config);
  const logical::Fields& fields = context.fields;
  config->disable_binding = fields.flag("disable_binding", config->disable_binding);
  config->enable_identity_alias_metadata =
      fields.flag("enable_identity_alias_metadata", config->enable_identity_alias_metadata);
  config->ocsp_cache_size = fields.integer("ocsp_cache_size", config->ocsp_cache_size);
  if (config->ocsp_cache_size < 2 || config->ocsp_cache_size > kOcspCacheSizeMax) {
    return logical::bad_request("invalid cache size, must be >= 2 and <= " +
                                std::to_string(kOcspCacheSizeMax));
  }
  auto put = context.storage->put(
      kConfigRow,
      Json(JsonObject{{"disable_binding", config->disable_binding},
                      {"enable_identity_alias_metadata", config->enable_identity_alias_metadata},
                      {"ocsp_cache_size", config->ocsp_cache_size}})
          .dump());
  if (!put) return forward(put);
  return Response{};
}

}  // namespace

Result<Config> read_config(Context& context) {
  auto text = context.storage->get(kConfigRow);
  if (!text) return forward(text);
  Config config;
  if (!*text) return config;
  const auto row = Json::parse(**text);
  if (!row || !row->is_object()) {
    return base::fail(base::ErrorKind::kCorrupt, "the cert method's settings can't be read");
  }
  config.disable_binding = logical::flag_at(*row, "disable_binding");
  config.enable_identity_alias_metadata = logical::flag_at(*row, "enable_identity_alias_metadata");
  config.ocsp_cache_size = logical::int_at(*row, "ocsp_cache_size", config.ocsp_cache_size);
  return config;
}

void CertAuth::add_role_routes() {
  routes_.add({.pattern = "certs",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list}},
               .synopsis = "Lists the roles."});
  routes_.add({.pattern = "certs/{name}",
               .fields = role_fields(),
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, write},
                            {Operation::kDelete, erase}},
               .synopsis = "A role: which certificates log in by it, and what they get."});
}

void CertAuth::add_config_routes() {
  routes_.add({.pattern = "config",
               .fields = {{"disable_binding", FieldType::kBoolean,
                           "Tokens are renewed without their certificate."},
                          {"enable_identity_alias_metadata", FieldType::kBoolean,
                           "The entity's alias gets the token's metadata."},
                          {"ocsp_cache_size", FieldType::kInteger, "Kept; OCSP isn't asked."}},
               .handlers = {{Operation::kRead, read_mount_config},
                            {Operation::kUpdate, write_mount_config}},
               .synopsis = "Settings of the method."});
}

}  // namespace rekey::auth::cert
