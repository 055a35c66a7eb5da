// sys/mounts, sys/auth: enabling, listing, tuning, moving and disabling secret engines and auth
// methods.
#include <algorithm>

#include "lease/lease_store.h"
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
using logical::Field;
using logical::FieldType;
using logical::Mount;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

constexpr size_t kMountPathBytesMax = 256;
constexpr size_t kEraseRowsAtOnce = 1000;

std::string row_of(std::string_view path) {
  return std::string(pipeline::kMountPrefix) + std::string(path);
}

// A TTL of a mount's config: seconds, or a duration's text. "system" and "" mean the server's.
Result<int64_t> ttl_of(const Json& value) {
  std::string text = value.as_string() ? *value.as_string() : std::string();
  if (const base::JsonNumber* number = value.as_number()) text = number->text;
  if (text.empty() || text == "system") return 0;
  auto duration = base::parse_duration(text);
  if (!duration || duration->count() < 0) return logical::bad_request("unable to parse a TTL");
  return std::chrono::duration_cast<std::chrono::seconds>(*duration).count();
}

// A list of strings, or one string with commas.
Result<Json> list_of(std::string_view name, const Json& value) {
  base::JsonArray items;
  if (const std::string* text = value.as_string()) {
    for (size_t at = 0; at < text->size();) {
      const size_t comma = std::min(text->find(',', at), text->size());
      items.emplace_back(std::string_view(*text).substr(at, comma - at));
      at = comma + 1;
    }
    return Json(std::move(items));
  }
  const base::JsonArray* given = value.as_array();
  if (given == nullptr ||
      std::ranges::any_of(*given, [](const Json& item) { return item.as_string() == nullptr; })) {
    return logical::bad_request("\"" + std::string(name) + "\" must be a list of strings");
  }
  return value;
}

Result<void> check_token_type(const JsonObject& config) {
  const Json* type = config.find("token_type");
  if (type == nullptr) return {};
  const std::string* text = type->as_string();
  for (std::string_view known : {"default-service", "default-batch", "service", "batch"}) {
    if (text != nullptr && *text == known) return {};
  }
  return logical::bad_request("invalid value for 'token_type'");
}

// `server` holds the TTLs that a mount without its own has.
Result<void> apply_config(const JsonObject& given, const logical::Limits& server,
                          JsonObject& config) {
  for (const char* name : {"default_lease_ttl", "max_lease_ttl"}) {
    const Json* value = given.find(name);
    if (value == nullptr) continue;
    auto ttl = ttl_of(*value);
    if (!ttl) return forward(ttl);
    config.set(name, *ttl);
  }
  for (const char* name :
       {"force_no_cache", "listing_visibility", "token_type", "plugin_version"}) {
    const Json* value = given.find(name);
    if (value != nullptr) config.set(name, *value);
  }
  for (const char* name :
       {"audit_non_hmac_request_keys", "audit_non_hmac_response_keys",
        "passthrough_request_headers", "allowed_response_headers", "allowed_managed_keys"}) {
    const Json* value = given.find(name);
    if (value == nullptr) continue;
    auto list = list_of(name, *value);
    if (!list) return forward(list);
    config.set(name, std::move(*list));
  }
  auto type = check_token_type(config);
  if (!type) return type;
  if (const Json* visibility = given.find("listing_visibility")) {
    const std::string* text = visibility->as_string();
    if (text == nullptr || (*text != "" && *text != "hidden" && *text != "unauth")) {
      return logical::bad_request("invalid listing_visibility " +
                                  (text == nullptr ? visibility->dump() : *text));
    }
  }
  const auto seconds = [&](const char* name) {
    const Json* value = config.find(name);
    return value == nullptr ? 0 : value->as_int().value_or(0);
  };
  if (seconds("max_lease_ttl") > 0 && seconds("default_lease_ttl") > seconds("max_lease_ttl")) {
    return logical::bad_request("given default lease TTL greater than given max lease TTL");
  }
  const int64_t longest =
      std::chrono::duration_cast<std::chrono::seconds>(server.max_lease_ttl).count();
  if (seconds("max_lease_ttl") == 0 && seconds("default_lease_ttl") > longest) {
    return logical::bad_request("given default lease TTL greater than system max lease TTL of " +
                                std::to_string(longest));
  }
  return {};
}

// user_lockout_config; what isn't sent stays as it was.
Result<void> apply_lockout(const JsonObject& given, std::string_view type, JsonObject& config) {
  const Json* sent = given.find("user_lockout_config");
  if (sent == nullptr || sent->is_null()) return {};
  if (!logical::locks_names(type)) {
    return logical::bad_request("tuning of user lockout configuration for auth type \"" +
                                std::string(type) + "\" not allowed");
  }
  if (!sent->is_object()) {
    return logical::bad_request("unable to convert given user lockout config information");
  }
  auto read = logical::parse_lockout_settings(*sent->as_object());
  if (!read) return forward(read);
  JsonObject merged;
  if (const Json* known = config.find("user_lockout_config"); known && known->is_object()) {
    merged = *known->as_object();
  }
  for (const char* name : {"lockout_threshold", "lockout_duration",
                           "lockout_counter_reset_duration", "lockout_disable"}) {
    if (const Json* value = sent->find(name); value && !value->is_null()) merged.set(name, *value);
  }
  config.set("user_lockout_config", std::move(merged));
  return {};
}

Result<Response> enable(Context& context, const SystemParts& parts, bool auth) {
  const logical::Fields& fields = context.fields;
  CallContext& call = CallContext::of(context);
  Mount mount;
  mount.path = mount_path(fields.text("path"), auth);
  mount.type = fields.text("type");
  mount.description = fields.text("description");
  if (mount.type.empty())
    return logical::bad_request(auth ? "missing auth type"
                                     : "backend type must be specified as a string");
  if (mount.path.size() > kMountPathBytesMax)
    return logical::bad_request("the mount path is too long");
  if (mount.type == "kv-v1" || mount.type == "generic")
    mount.type = "kv", mount.options["version"] = "1";
  if (mount.type == "kv-v2") mount.type = "kv", mount.options["version"] = "2";
  for (const auto& [key, value] : fields.string_map("options")) mount.options[key] = value;
  if (mount.type == "token" || mount.type == "system" || mount.type == "cubbyhole" ||
      mount.type == "identity") {
    return logical::bad_request("mount type of \"" + mount.type + "\" is not mountable");
  }
  if (!parts.catalog.knows(mount.type, auth)) {
    return logical::bad_request("plugin not found in the catalog: " + mount.type);
  }
  if (mount.type == "kv" && mount.options.contains("version") && mount.options["version"] != "1" &&
      mount.options["version"] != "2") {
    return logical::bad_request("the kv version must be \"1\" or \"2\"");
  }
  if (const JsonObject* config = fields.object("config")) {
    auto applied = apply_config(*config, context.server_limits, mount.config);
    if (applied) applied = apply_lockout(*config, mount.type, mount.config);
    if (!applied) return forward(applied);
  }
  for (std::string_view reserved : {"sys/", "cubbyhole/", "identity/", "auth/", "audit/"}) {
    if (!auth && mount.path.starts_with(reserved)) {
      return logical::bad_request("cannot mount \"" + mount.path + "\"");
    }
  }
  const auto in_use = [auth](const std::string& path) {
    return logical::bad_request("path is already in use at " + path.substr(auth ? 5 : 0));
  };
  if (auto taken = call.state->mounts->in_the_way_of(mount.path)) return in_use(taken->path);
  mount.uuid = context.random.uuid();
  mount.accessor = (auth ? "auth_" : "") + mount.type + "_" + context.random.uuid().substr(0, 8);
  mount.local = fields.flag("local");
  mount.seal_wrap = fields.flag("seal_wrap");
  mount.external_entropy_access = fields.flag("external_entropy_access");
  auto there = call.txn->get(row_of(mount.path));  // a condition: two at once can't both win
  if (!there) return forward(there);
  if (*there) return in_use(mount.path);
  call.txn->put(row_of(mount.path), pipeline::Keeper::describe(mount).dump());
  context.after_commit.push_back([&keeper = parts.keeper] { return keeper.reload_mounts(); });
  return Response{};
}

// What lay under a mount that is gone. Nobody can reach it any more; it is erased in steps, and
// what a crash leaves of it is garbage, not a secret that is served.
Result<void> erase_rows(const SystemParts& parts, const std::string& prefix) {
  while (true) {
    auto reader = parts.store.open_reader();
    if (!reader) return forward(reader);
    auto keys = (*reader)->scan(prefix, "", kEraseRowsAtOnce);
    if (!keys) return forward(keys);
    if (keys->empty()) return {};
    storage::Batch batch;
    batch.deletes = std::move(*keys);
    auto committed = parts.store.commit_and_wait(std::move(batch));
    if (!committed) return forward(committed);
  }
}

Result<Response> disable(Context& context, const SystemParts& parts, bool auth) {
  CallContext& call = CallContext::of(context);
  const std::string path = mount_path(context.fields.text("path"), auth);
  const auto mount = call.state->mounts->at(path);
  if (mount == nullptr) return Response{};  // gone is gone
  if (is_built_in(*mount)) {
    return logical::bad_request(auth ? "token credential backend cannot be disabled"
                                     : "cannot unmount \"" + path + "\"");
  }
  call.txn->erase(row_of(path));
  // What it gave out is void at once. Removing it outside needs what the mount knows, so that is
  // erased after it.
  const bool leases = mount->backend->grants_leases();
  const bool cut = auth || leases;
  if (auth) {
    identity::CutoffTable::write(*call.txn, identity::CutoffTable::scope_of_mount(mount->accessor),
                                 identity::CutoffTable::Kind::kRevoked);
    call.tokens().cut_prefix(path);
  }
  if (leases) {
    lease::LeaseStore(*call.txn).cut_mount(mount->accessor, path);
    pipeline::Keeper::keep_disabled(*call.txn, *mount);
  }
  context.after_commit.push_back([&parts, mount, cut, leases]() -> Result<void> {
    auto reloaded = parts.keeper.reload_mounts();
    if (!reloaded) return reloaded;
    if (cut) {
      auto cutoffs = parts.keeper.reload_cutoffs();
      if (!cutoffs) return cutoffs;
    }
    if (leases) {
      parts.wake_removal();
      return {};
    }
    return erase_rows(parts, mount->storage_prefix());
  });
  return Response{};
}

Result<Response> read_one(Context& context, bool auth) {
  const std::string path = mount_path(context.fields.text("path"), auth);
  const auto mount = CallContext::of(context).state->mounts->at(path);
  if (mount == nullptr) {
    return logical::bad_request((auth ? "No auth engine at " : "No secret engine mount at ") +
                                path.substr(auth ? 5 : 0));
  }
  return logical::with_data(describe_mount(*mount));
}

Result<Response> list(Context& context, bool auth) {
  JsonObject data;
  for (const auto& [path, mount] : CallContext::of(context).state->mounts->rows()) {
    if (mount->is_auth() != auth) continue;
    data.set(path.substr(auth ? 5 : 0), describe_mount(*mount));
  }
  return logical::with_data(std::move(data));
}

Result<std::shared_ptr<const Mount>> mount_to_tune(Context& context, bool auth) {
  const std::string path = mount_path(context.fields.text("path"), auth);
  auto mount = CallContext::of(context).state->mounts->at(path);
  if (mount == nullptr) {
    return logical::bad_request("cannot fetch sysview for path \"" + path + "\"");
  }
  return mount;
}

Result<Response> read_tune(Context& context, bool auth) {
  auto mount = mount_to_tune(context, auth);
  if (!mount) return forward(mount);
  return logical::with_data(describe_tune(**mount, context.lease_limits));
}

// What of the built-in mounts nobody may change.
Result<void> check_tunable(const Mount& mount, const JsonObject& given) {
  if (!mount.path.starts_with("auth/") && given.find("token_type") != nullptr) {
    return logical::bad_request("'token_type' can only be modified on auth mounts");
  }
  if (mount.path == "auth/token/" && given.find("token_type") != nullptr) {
    return logical::bad_request("'token_type' cannot be set for 'token' or 'ns_token' auth mounts");
  }
  if (!is_built_in(mount) || mount.is_auth()) return {};
  for (const char* name : {"default_lease_ttl", "max_lease_ttl"}) {
    if (given.find(name) != nullptr) {
      return logical::bad_request("cannot tune parameter " + std::string(name) + " of " +
                                  mount.path);
    }
  }
  return {};
}

Result<Response> tune(Context& context, const SystemParts& parts, bool auth) {
  auto found = mount_to_tune(context, auth);
  if (!found) return forward(found);
  CallContext& call = CallContext::of(context);
  Mount mount = **found;
  if (context.fields.has("description")) mount.description = context.fields.text("description");
  if (!context.request.data.is_object()) return Response{};
  const JsonObject& given = *context.request.data.as_object();
  auto tunable = check_tunable(mount, given);
  if (!tunable) return forward(tunable);
  auto applied = apply_config(given, context.server_limits, mount.config);
  if (applied) applied = apply_lockout(given, mount.type, mount.config);
  if (!applied) return forward(applied);
  Response response;
  for (const auto& [key, value] : context.fields.string_map("options")) {
    if (key == "version" && mount.type == "kv") {
      const std::string now = mount.options.contains("version") ? mount.options["version"] : "1";
      if (value != "1" && value != "2") return logical::bad_request("invalid version specified");
      if (now == "2" && value == "1") {
        return logical::bad_request("cannot downgrade mount from version 2");
      }
      if (now == "1" && value == "2") {
        response.warnings.push_back(
            "Upgrading mount from version 1 to version 2. This mount will be unavailable for a "
            "brief period and will resume service shortly.");
      }
    }
    mount.options[key] = value;
  }
  auto there = call.txn->get(row_of(mount.path));
  if (!there) return forward(there);
  if (!*there) return logical::bad_request("the mount was just disabled");
  call.txn->put(row_of(mount.path), pipeline::Keeper::describe(mount).dump());
  context.after_commit.push_back([&keeper = parts.keeper] { return keeper.reload_mounts(); });
  return response;
}

}  // namespace

void SystemBackend::add_mount_routes() {
  const std::vector<Field> enable_fields = {
      {"type", FieldType::kString, "The type: kv, transit, userpass ..."},
      {"description", FieldType::kString, "For people."},
      {"config", FieldType::kObject, "Settings, as in tune."},
      {"options", FieldType::kStringMap, "Options of the type, such as version for kv."},
      {"local", FieldType::kBoolean, "Has no meaning on a single cluster; kept."},
      {"seal_wrap", FieldType::kBoolean, "Kept; every value is encrypted anyway."},
      {"external_entropy_access", FieldType::kBoolean, "Kept."},
      {"plugin_name", FieldType::kString, "Older name of type."}};
  const std::vector<Field> tune_fields = {
      {"description", FieldType::kString, "For people."},
      {"default_lease_ttl", FieldType::kAny, "TTL of leases that name none."},
      {"max_lease_ttl", FieldType::kAny, "Longest TTL of a lease."},
      {"listing_visibility", FieldType::kString, "unauth or hidden."},
      {"force_no_cache", FieldType::kBoolean, "Kept; nothing is cached here."},
      {"token_type", FieldType::kString, "Of an auth method: what its logins give."},
      {"user_lockout_config", FieldType::kObject, "Of an auth method: what locks a name."},
      {"audit_non_hmac_request_keys", FieldType::kStrings, "Fields that devices show as sent."},
      {"audit_non_hmac_response_keys", FieldType::kStrings, "The same of answers."},
      {"passthrough_request_headers", FieldType::kStrings, "Headers that the engine is given."},
      {"allowed_response_headers", FieldType::kStrings, "Headers that the engine may set."},
      {"options", FieldType::kStringMap, "Options of the type."}};
  // Longest patterns first: a mount's path may hold slashes.
  for (const bool auth : {false, true}) {
    const std::string folder = auth ? "auth" : "mounts";
    routes_.add({.pattern = folder,
                 .handlers = {{Operation::kRead, [auth](Context& c) { return list(c, auth); }}},
                 .synopsis = auth ? "Lists the auth methods." : "Lists the secret engines."});
    routes_.add({.pattern = folder + "/{path*}/tune",
                 .fields = tune_fields,
                 .handlers = {{Operation::kRead, [auth](Context& c) { return read_tune(c, auth); }},
                              {Operation::kUpdate,
                               [this, auth](Context& c) { return tune(c, parts_, auth); }}},
                 .synopsis = "Settings of a mount.",
                 .sudo = auth});
    routes_.add({.pattern = folder + "/{path*}",
                 .fields = enable_fields,
                 .handlers = {{Operation::kRead, [auth](Context& c) { return read_one(c, auth); }},
                              {Operation::kUpdate,
                               [this, auth](Context& c) { return enable(c, parts_, auth); }},
                              {Operation::kDelete,
                               [this, auth](Context& c) { return disable(c, parts_, auth); }}},
                 .synopsis = auth ? "Enables, shows or disables an auth method."
                                  : "Enables, shows or disables a secret engine.",
                 .sudo = auth,
                 .blocking = true});
  }
}

}  // namespace rekey::system
