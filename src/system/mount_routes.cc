// sys/mounts, sys/auth: enabling, listing, tuning, moving and disabling secret engines and auth
// methods.
#include <algorithm>

#include "logical/answer.h"
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

std::string mount_path(std::string_view given, bool auth) {
  std::string path(given);
  while (path.starts_with('/')) path.erase(0, 1);
  if (!path.ends_with('/')) path += '/';
  return (auth ? "auth/" : "") + path;
}

std::string row_of(std::string_view path) {
  return std::string(pipeline::kMountPrefix) + std::string(path);
}

bool is_built_in(const Mount& mount) {
  return mount.path == "sys/" || mount.path == "cubbyhole/" || mount.path == "identity/" ||
         mount.path == "auth/token/";
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

Result<void> apply_config(const JsonObject& given, JsonObject& config) {
  for (const char* name : {"default_lease_ttl", "max_lease_ttl"}) {
    const Json* value = given.find(name);
    if (value == nullptr) continue;
    auto ttl = ttl_of(*value);
    if (!ttl) return forward(ttl);
    config.set(name, *ttl);
  }
  for (const char* name :
       {"force_no_cache", "listing_visibility", "audit_non_hmac_request_keys",
        "audit_non_hmac_response_keys", "passthrough_request_headers", "allowed_response_headers",
        "token_type", "user_lockout_config", "plugin_version", "allowed_managed_keys"}) {
    const Json* value = given.find(name);
    if (value != nullptr) config.set(name, *value);
  }
  if (const Json* visibility = given.find("listing_visibility")) {
    const std::string* text = visibility->as_string();
    if (text == nullptr || (*text != "" && *text != "hidden" && *text != "unauth")) {
      return logical::bad_request("invalid listing_visibility: must be \"unauth\" or \"hidden\"");
    }
  }
  const auto seconds = [&](const char* name) {
    const Json* value = config.find(name);
    return value == nullptr ? 0 : value->as_int().value_or(0);
  };
  if (seconds("max_lease_ttl") > 0 && seconds("default_lease_ttl") > seconds("max_lease_ttl")) {
    return logical::bad_request("given default lease TTL greater than given max lease TTL");
  }
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
    auto applied = apply_config(*config, mount.config);
    if (!applied) return forward(applied);
  }
  for (std::string_view reserved : {"sys/", "cubbyhole/", "identity/", "auth/", "audit/"}) {
    if (!auth && mount.path.starts_with(reserved)) {
      return logical::bad_request("cannot mount under existing mount \"" + std::string(reserved) +
                                  "\"");
    }
  }
  if (auto taken = call.state->mounts->in_the_way_of(mount.path)) {
    if (taken->path == mount.path) {
      return logical::bad_request("path is already in use at " + mount.path);
    }
    return logical::bad_request("cannot mount under existing mount \"" + taken->path + "\"");
  }
  mount.uuid = context.random.uuid();
  mount.accessor = (auth ? "auth_" : "") + mount.type + "_" + context.random.uuid().substr(0, 8);
  mount.local = fields.flag("local");
  mount.seal_wrap = fields.flag("seal_wrap");
  mount.external_entropy_access = fields.flag("external_entropy_access");
  auto there = call.txn->get(row_of(mount.path));  // a condition: two at once can't both win
  if (!there) return forward(there);
  if (*there) return logical::bad_request("path is already in use at " + mount.path);
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
  const bool cut = auth;
  if (cut) {
    identity::CutoffTable::write(*call.txn, identity::CutoffTable::scope_of_mount(mount->accessor),
                                 identity::CutoffTable::Kind::kRevoked);
  }
  context.after_commit.push_back([&parts, mount, cut]() -> Result<void> {
    auto reloaded = parts.keeper.reload_mounts();
    if (!reloaded) return reloaded;
    if (cut) {
      auto cutoffs = parts.keeper.reload_cutoffs();
      if (!cutoffs) return cutoffs;
    }
    return erase_rows(parts, mount->storage_prefix());
  });
  return Response{};
}

Result<Response> read_one(Context& context, bool auth) {
  const std::string path = mount_path(context.fields.text("path"), auth);
  const auto mount = CallContext::of(context).state->mounts->at(path);
  if (mount == nullptr) {
    return logical::bad_request("No secret engine mount at " + path.substr(auth ? 5 : 0));
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

Result<Response> tune(Context& context, const SystemParts& parts, bool auth) {
  auto found = mount_to_tune(context, auth);
  if (!found) return forward(found);
  CallContext& call = CallContext::of(context);
  Mount mount = **found;
  if (context.fields.has("description")) mount.description = context.fields.text("description");
  if (!context.request.data.is_object()) return Response{};
  auto applied = apply_config(*context.request.data.as_object(), mount.config);
  if (!applied) return forward(applied);
  Response response;
  for (const auto& [key, value] : context.fields.string_map("options")) {
    if (key == "version" && mount.type == "kv") {
      const std::string now = mount.options.contains("version") ? mount.options["version"] : "1";
      if (value != "1" && value != "2") return logical::bad_request("invalid version specified");
      if (now == "2" && value == "1") {
        return logical::bad_request("cannot downgrade mount from version 2");
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

Result<Response> remount(Context& context, const SystemParts& parts) {
  CallContext& call = CallContext::of(context);
  std::string from(context.fields.text("from")), to(context.fields.text("to"));
  if (from.empty() || to.empty()) {
    return logical::bad_request("both 'from' and 'to' path must be specified as a string");
  }
  from = mount_path(from, false);
  to = mount_path(to, false);
  const auto mount = call.state->mounts->at(from);
  if (mount == nullptr) return logical::bad_request("no matching mount at \"" + from + "\"");
  if (is_built_in(*mount)) return logical::bad_request("cannot remount \"" + from + "\"");
  if (from.starts_with("auth/") != to.starts_with("auth/")) {
    return logical::bad_request("cannot move an auth mount to a secret mount or the other way");
  }
  for (std::string_view reserved : {"sys/", "cubbyhole/", "identity/", "audit/", "auth/token/"}) {
    if (to.starts_with(reserved)) return logical::bad_request("cannot remount to \"" + to + "\"");
  }
  if (auto taken = call.state->mounts->in_the_way_of(to)) {
    return logical::bad_request("path is already in use at " + taken->path);
  }
  Mount moved = *mount;
  moved.path = to;
  auto there = call.txn->get(row_of(to));
  if (!there) return forward(there);
  call.txn->erase(row_of(from));
  call.txn->put(row_of(to), pipeline::Keeper::describe(moved).dump());
  context.after_commit.push_back([&keeper = parts.keeper] { return keeper.reload_mounts(); });
  return logical::with_data({{"migration_id", context.random.uuid()}});
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
  routes_.add(
      {.pattern = "remount",
       .fields = {{"from", FieldType::kString, "Where it is."},
                  {"to", FieldType::kString, "Where it is to be."}},
       .handlers = {{Operation::kUpdate, [this](Context& c) { return remount(c, parts_); }}},
       .synopsis = "Moves a mount; its data stays where it is.",
       .sudo = true,
       .blocking = true});
  routes_.add({.pattern = "remount/status/{migration_id}",
               .handlers = {{Operation::kRead,
                             [](Context& c) -> Result<Response> {
                               return logical::with_data(
                                   {{"migration_id", c.fields.text("migration_id")},
                                    {"migration_info", JsonObject{{"status", "success"}}}});
                             }}},
               .synopsis = "The state of a move; a move is done when it was answered.",
               .sudo = true});
}

}  // namespace rekey::system
