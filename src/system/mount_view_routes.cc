// How mounts look, and sys/internal/ui/mounts, by which clients find out what lies where.
#include "logical/answer.h"
#include "logical/lockout.h"
#include "pipeline/call_context.h"
#include "system/mount_view.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Mount;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

Json options_of(const Mount& mount) {
  if (mount.options.empty() && is_built_in(mount)) return Json();  // as Vault shows them
  JsonObject options;
  for (const auto& [key, value] : mount.options) options.set(key, value);
  return options;
}

int64_t seconds(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

void copy_tuned(const Mount& mount, JsonObject& into) {
  for (const char* name :
       {"listing_visibility", "audit_non_hmac_request_keys", "audit_non_hmac_response_keys",
        "passthrough_request_headers", "allowed_response_headers"}) {
    const Json* value = mount.config.find(name);
    if (value == nullptr || (value->as_string() && value->as_string()->empty())) continue;
    into.set(name, *value);
  }
}

// user_lockout_config as Vault shows it: what the mount leaves open is 0.
void describe_lockout(const Mount& mount, JsonObject& into) {
  const Json* config = mount.config.find("user_lockout_config");
  if (config == nullptr || !config->is_object()) return;
  const auto said = logical::parse_lockout_settings(*config->as_object());
  if (!said) return;
  into.set("user_lockout_threshold", said->threshold.value_or(0));
  into.set("user_lockout_duration", seconds(said->duration.value_or(base::Duration())));
  into.set("user_lockout_counter_reset_duration",
           seconds(said->counter_reset.value_or(base::Duration())));
  into.set("user_lockout_disable", said->disabled.value_or(false));
}

bool flag_of(const JsonObject& config, std::string_view name) {
  const Json* value = config.find(name);
  return value != nullptr && value->as_bool() && *value->as_bool();
}

Result<Response> all_mounts(Context& context) {
  const CallContext& call = CallContext::of(context);
  JsonObject secret, auth;
  for (const auto& [path, mount] : call.state->mounts->rows()) {
    const std::string* visible = mount->config.find("listing_visibility") != nullptr
                                     ? mount->config.find("listing_visibility")->as_string()
                                     : nullptr;
    const bool listed = visible != nullptr && *visible == "unauth";
    const bool reachable = call.rights != nullptr &&
                           (call.rights->acl->root() || call.rights->acl->reaches_below(path));
    if (!listed && !reachable) continue;
    JsonObject entry = reachable ? describe_mount(*mount)
                                 : JsonObject{{"type", mount->type},
                                              {"description", mount->description},
                                              {"options", options_of(*mount)}};
    if (mount->is_auth())
      auth.set(path.substr(5), std::move(entry));
    else
      secret.set(path, std::move(entry));
  }
  return logical::with_data({{"secret", std::move(secret)}, {"auth", std::move(auth)}});
}

Result<Response> one_mount(Context& context) {
  const CallContext& call = CallContext::of(context);
  std::string path(context.fields.text("path"));
  if (path.empty()) return logical::bad_request("path not specified");
  while (path.starts_with('/')) path.erase(0, 1);
  const auto refuse = [&path] {
    return base::fail(ErrorKind::kUnauthenticated,
                      "preflight capability check returned 403, please ensure client's policies "
                      "grant access to path \"" +
                          path + "/\"");
  };
  if (call.rights == nullptr) {
    return base::fail(ErrorKind::kUnauthenticated, "permission denied");
  }
  const auto mount = call.state->mounts->find(path);
  if (mount == nullptr ||
      (!call.rights->acl->root() && !call.rights->acl->reaches_below(mount->path))) {
    while (path.ends_with('/')) path.pop_back();
    return refuse();
  }
  JsonObject data = describe_mount(*mount);
  data.set("path", mount->is_auth() ? mount->path.substr(5) : mount->path);
  return logical::with_data(std::move(data));
}

}  // namespace

std::string mount_path(std::string_view given, bool auth) {
  std::string path(given);
  while (path.starts_with('/')) path.erase(0, 1);
  if (!path.ends_with('/')) path += '/';
  return (auth ? "auth/" : "") + path;
}

bool is_built_in(const Mount& mount) {
  return mount.path == "sys/" || mount.path == "cubbyhole/" || mount.path == "identity/" ||
         mount.path == "auth/token/";
}

JsonObject describe_mount(const Mount& mount) {
  JsonObject config;
  for (const char* name : {"default_lease_ttl", "max_lease_ttl"}) {
    const Json* value = mount.config.find(name);
    config.set(name, value == nullptr ? Json(0) : *value);
  }
  config.set("force_no_cache", flag_of(mount.config, "force_no_cache"));
  if (mount.is_auth()) {
    const Json* type = mount.config.find("token_type");
    config.set("token_type", type == nullptr ? Json("default-service") : *type);
  }
  copy_tuned(mount, config);
  if (JsonObject lockout; describe_lockout(mount, lockout), !lockout.empty()) {
    config.set("user_lockout_config", std::move(lockout));
  }
  return {{"type", mount.type},
          {"description", mount.description},
          {"accessor", mount.accessor},
          {"config", std::move(config)},
          {"options", options_of(mount)},
          {"local", mount.local},
          {"seal_wrap", mount.seal_wrap},
          {"external_entropy_access", mount.external_entropy_access},
          {"uuid", mount.uuid},
          {"plugin_version", ""},
          {"running_plugin_version", "v1.14.10+builtin.vault"},
          {"running_sha256", ""},
          {"deprecation_status", "supported"}};
}

JsonObject describe_tune(const Mount& mount, const logical::Limits& limits) {
  const auto own_or = [](base::Duration own, base::Duration servers) {
    return seconds(own.count() > 0 ? own : servers);
  };
  JsonObject data{{"default_lease_ttl", own_or(mount.default_lease_ttl, limits.default_lease_ttl)},
                  {"max_lease_ttl", own_or(mount.max_lease_ttl, limits.max_lease_ttl)},
                  {"description", mount.description},
                  {"force_no_cache", flag_of(mount.config, "force_no_cache")}};
  if (mount.is_auth()) {
    const Json* type = mount.config.find("token_type");
    data.set("token_type", type == nullptr ? Json("default-service") : *type);
  }
  if (!mount.options.empty()) data.set("options", options_of(mount));
  copy_tuned(mount, data);
  describe_lockout(mount, data);
  return data;
}

void SystemBackend::add_mount_view_routes() {
  routes_.add({.pattern = "internal/ui/mounts",
               .handlers = {{Operation::kRead, all_mounts}},
               .synopsis = "The mounts that the caller can reach.",
               .unauthenticated = true});
  routes_.add({.pattern = "internal/ui/mounts/{path*}",
               .handlers = {{Operation::kRead, one_mount}},
               .synopsis = "The mount that a path lies in, if the caller can reach it.",
               .unauthenticated = true});
  routes_.add({.pattern = "internal/ui/namespaces",
               .handlers = {{Operation::kRead,
                             [](Context&) -> Result<Response> {
                               return logical::with_data(JsonObject{{"keys", base::JsonArray{}}});
                             }}},
               .synopsis = "Namespaces; there are none.",
               .unauthenticated = true});
}

SystemBackend::SystemBackend(SystemParts parts) : parts_(std::move(parts)) {
  add_seal_routes();
  add_quorum_routes();
  add_mount_routes();
  add_remount_routes();
  add_mount_view_routes();
  add_policy_routes();
  add_storage_routes();
  add_capability_routes();
  add_wrapping_routes();
  add_tool_routes();
  add_password_policy_routes();
  add_config_routes();
  add_host_routes();
  add_counter_routes();
  add_audit_log_routes();
  add_metrics_routes();
  add_audit_routes();
  add_audited_header_routes();
  add_lease_routes();
  add_lease_queue_routes();
  add_quota_routes();
  add_lockout_routes();
  add_mfa_routes();
}

}  // namespace rekey::system
