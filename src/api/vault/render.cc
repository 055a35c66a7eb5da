#include "api/vault/render.h"

#include "base/json.h"

namespace rekey::api::vault {
namespace {

using base::ErrorKind;
using base::JsonWriter;

void write_strings(JsonWriter& json, const std::vector<std::string>& items) {
  json.begin_array();
  for (const std::string& item : items) json.value(item);
  json.end_array();
}

// A login that waits for its second factor: nothing but what it waits for.
void write_requirement(JsonWriter& json, const logical::Auth& auth) {
  json.begin_object();
  for (const char* name : {"client_token", "accessor"}) json.member(name, "");
  for (const char* name : {"policies", "metadata"}) {
    json.key(name);
    json.null();
  }
  json.member("lease_duration", 0);
  json.member("renewable", false);
  json.member("entity_id", "");
  json.member("token_type", "default");
  json.member("orphan", false);
  json.key("mfa_requirement");
  json.raw(auth.mfa_requirement);
  json.member("num_uses", 0);
  json.end_object();
}

void write_auth(JsonWriter& json, const logical::Auth& auth) {
  if (!auth.mfa_requirement.empty()) return write_requirement(json, auth);
  json.begin_object();
  json.member("client_token", auth.client_token);
  json.member("accessor", auth.accessor);
  json.key("policies");
  write_strings(json, auth.policies);
  if (!auth.token_policies.empty()) {
    json.key("token_policies");
    write_strings(json, auth.token_policies);
  }
  if (!auth.identity_policies.empty()) {
    json.key("identity_policies");
    write_strings(json, auth.identity_policies);
  }
  json.key("metadata");
  if (auth.metadata.empty()) {
    json.null();
  } else {
    json.begin_object();
    for (const auto& [key, value] : auth.metadata) {
      json.dynamic_key(key);
      json.value(value);
    }
    json.end_object();
  }
  json.member("lease_duration", auth.lease_duration_s);
  json.member("renewable", auth.renewable);
  json.member("entity_id", auth.entity_id);
  json.member("token_type", auth.type == logical::TokenType::kBatch ? "batch" : "service");
  json.member("orphan", auth.orphan);
  json.key("mfa_requirement");
  json.null();
  json.member("num_uses", auth.num_uses);
  json.end_object();
}

void write_wrap_info(JsonWriter& json, const logical::WrapInfo& wrap) {
  json.begin_object();
  json.member("token", wrap.token);
  json.member("accessor", wrap.accessor);
  json.member("ttl", wrap.ttl_s);
  json.member("creation_time", base::format_rfc3339(wrap.creation_time));
  json.member("creation_path", wrap.creation_path);
  if (!wrap.wrapped_accessor.empty()) json.member("wrapped_accessor", wrap.wrapped_accessor);
  json.end_object();
}

std::string envelope(const logical::Request& request, const logical::Response& response) {
  std::string body;
  body.reserve(response.data.size() + 320);
  JsonWriter json(body);
  json.begin_object();
  json.member("request_id", request.id);
  json.member("lease_id", response.lease_id);
  json.member("renewable", response.renewable);
  json.member("lease_duration", response.lease_duration_s);
  json.key("data");
  if (response.data.empty())
    json.null();
  else
    json.raw(response.data);
  json.key("wrap_info");
  if (response.wrap)
    write_wrap_info(json, *response.wrap);
  else
    json.null();
  json.key("warnings");
  if (response.warnings.empty())
    json.null();
  else
    write_strings(json, response.warnings);
  json.key("auth");
  if (response.auth)
    write_auth(json, *response.auth);
  else
    json.null();
  if (!response.wrap) json.member("mount_type", response.mount_type);
  if (response.data.size() > 2 && !response.wrap && duplicates_at_top(request.path)) {
    body += ',';
    body.append(response.data, 1, response.data.size() - 2);
  }
  json.end_object();
  return body;
}

// Vault's router and policy check report through a list of errors, which shows in the text.
std::string error_text(const base::Error& error) {
  switch (error.kind()) {
    case ErrorKind::kDenied:
    case ErrorKind::kUnsupported:
    case ErrorKind::kInternal:
    case ErrorKind::kCorrupt:
      return "1 error occurred:\n\t* " + error.message() + "\n\n";
    case ErrorKind::kNotFound:
      if (error.message() != "unsupported path") return error.message();
      return "1 error occurred:\n\t* unsupported path\n\n";
    default:
      return error.message();
  }
}

}  // namespace

bool duplicates_at_top(std::string_view path) {
  if (!path.starts_with("sys/")) return false;
  path.remove_prefix(4);
  if (path.ends_with('/')) path.remove_suffix(1);
  for (std::string_view exact :
       {"audit", "auth", "capabilities", "capabilities-self", "capabilities-accessor",
        "config/cors", "config/auditing/request-headers", "ha-status", "key-status", "mounts",
        "policy", "rekey/backup", "rekey/recovery-key-backup", "remount", "rotate",
        "wrapping/wrap"}) {
    if (path == exact) return true;
  }
  for (std::string_view folder :
       {"audit-hash/", "auth/", "mounts/", "policy/", "config/auditing/request-headers/"}) {
    if (path.starts_with(folder)) return true;
  }
  return false;
}

net::Response render(const logical::Request& request, logical::Response&& response) {
  net::Response http;
  http.status = logical::status_of(response);
  if (!response.raw_content_type.empty()) {
    // net takes literals only; these are the types that raw answers have.
    http.content_type = response.raw_content_type.starts_with("text/plain")
                            ? "text/plain; version=0.0.4; charset=utf-8"
                            : "application/octet-stream";
    http.body = std::move(response.data);
    return http;
  }
  if (http.status == 204) return http;
  if (response.plain)
    http.body = std::move(response.data);
  else
    http.body = envelope(request, response);
  http.body += '\n';
  return http;
}

net::Response render_error(const base::Error& error) {
  net::Response http;
  http.status = logical::status_of(error.kind());
  JsonWriter json(http.body);
  json.begin_object();
  json.key("errors");
  json.begin_array();
  const std::string text = error.message().empty() ? "" : error_text(error);
  if (!text.empty()) json.value(text);
  json.end_array();
  json.end_object();
  http.body += '\n';
  return http;
}

}  // namespace rekey::api::vault
