// config/<name>, reset/<name>, rotate-root/<name>.
#include <algorithm>
#include <array>

#include "engine/database/database.h"
#include "engine/database/statement.h"
#include "engine/database/username_template.h"
#include "logical/answer.h"
#include "logical/named_rows.h"

namespace rekey::engine::database {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

namespace {

// What isn't the plugin's own.
constexpr std::array<std::string_view, 16> kOwnFields = {"name",
                                                         "plugin_name",
                                                         "plugin_version",
                                                         "verify_connection",
                                                         "allowed_roles",
                                                         "root_rotation_statements",
                                                         "root_credentials_rotate_statements",
                                                         "password_policy",
                                                         "username_template",
                                                         "connection_url",
                                                         "username",
                                                         "password",
                                                         "max_open_connections",
                                                         "max_idle_connections",
                                                         "max_connection_lifetime",
                                                         "connection_details"};
constexpr size_t kDetailsBytesMax = 64 * 1024;  // what a plugin is configured with

bool is_own(std::string_view name) {
  return std::ranges::find(kOwnFields, name) != kOwnFields.end();
}

Result<void> read_limits(const logical::Fields& fields, Config& config) {
  if (fields.has("max_open_connections")) {
    config.open_max = fields.integer("max_open_connections");
    if (config.open_max == 0) config.open_max = kOpenConnectionsDefault;
  }
  if (config.open_max < 0 || config.open_max > kOpenConnectionsMax) {
    config.open_max = kOpenConnectionsMax;
  }
  if (fields.has("max_idle_connections")) {
    config.idle_max =
        std::clamp<int64_t>(fields.integer("max_idle_connections"), 0, config.open_max);
  }
  if (const auto lifetime = fields.duration("max_connection_lifetime")) {
    config.lifetime_s = std::chrono::duration_cast<std::chrono::seconds>(*lifetime).count();
  }
  return {};
}

Result<void> read_fields(const Context& context, Config& config) {
  const logical::Fields& fields = context.fields;
  const auto take = [&](const char* name, std::string& into) {
    if (fields.has(name)) into = fields.text(name);
  };
  take("plugin_name", config.plugin);
  take("password_policy", config.password_policy);
  take("username_template", config.username_template);
  take("connection_url", config.url);
  take("username", config.username);
  if (fields.has("password")) {
    config.password = fields.text("password");
    config.pending_password.clear();
  }
  if (fields.has("allowed_roles")) config.allowed_roles = fields.strings("allowed_roles");
  if (const Json* sent = fields.find("root_rotation_statements")) {
    auto statements = read_statements(*sent);
    if (!statements) return forward(statements);
    config.root_rotation = std::move(*statements);
  }
  auto limits = read_limits(fields, config);
  if (!limits) return limits;
  if (const JsonObject* sent = context.request.data.as_object()) {
    for (const auto& [name, value] : *sent) {
      if (!is_own(name)) config.details.set(name, value);
    }
  }
  if (Json(config.details).dump().size() > kDetailsBytesMax) {
    return logical::bad_request("the configuration is too long");
  }
  if (!config.username_template.empty()) {
    auto name =
        expand_username(config.username_template,
                        {.display_name = "token", .role_name = "role", .now = context.clock.wall()},
                        context.random);
    if (!name) return forward(name);
  }
  return {};
}

Result<Response> read_configuration(Context& context) {
  auto config = find_config(*context.storage, context.fields.text("name"));
  if (!config) return forward(config);
  if (!*config) return logical::nothing_there();
  return logical::with_json(show(**config));
}

Result<Response> list_configurations(Context& context) {
  return logical::list_rows(context, "config/");
}

}  // namespace

Result<Response> DatabaseEngine::write_configuration(Context& context) const {
  const std::string name(context.fields.text("name"));
  if (name.empty() || name.size() > kNameBytesMax) {
    return logical::bad_request("the name of a configuration has 1 to 80 bytes");
  }
  auto found = find_config(*context.storage, name);
  if (!found) return forward(found);
  Config config = *found ? std::move(**found) : Config{};
  config.name = name;
  auto taken = read_fields(context, config);
  if (!taken) return forward(taken);
  if (config.plugin.empty()) return logical::bad_request("empty plugin name");
  auto plugin = plugin_of(config);
  if (!plugin) return forward(plugin);
  auto sound = (*plugin)->check_target(config.target());
  if (!sound) return forward(sound);
  if (context.fields.flag("verify_connection", true)) {
    auto session = (*plugin)->connect(config.target());
    auto good = session ? (*session)->check() : Result<void>(forward(session));
    if (!good) {
      return logical::bad_request("error creating database object: " + good.error().message());
    }
  }
  auto written = write_config(*context.storage, config);
  if (!written) return forward(written);
  context.after_commit.push_back([this, key = pool_key(context, name)]() -> Result<void> {
    pools_.drop(key);
    return {};
  });
  Response response;
  if (config.url.find("{{password}}") == std::string::npos &&
      config.url.find(':', config.url.find("://") + 3) < config.url.rfind('@')) {
    response.warnings.push_back(
        "Password found in connection_url, use a templated url to enable root rotation and "
        "prevent read access to password information.");
  }
  return response;
}

// The new password is durable before the database learns it; until it is confirmed, connections
// are tried with both.
Result<Response> DatabaseEngine::rotate_root(Context& context) const {
  const std::string name(context.fields.text("name"));
  auto config = read_config(*context.storage, name);
  if (!config) return forward(config);
  if (config->username.empty()) {
    return logical::bad_request("unable to rotate root credentials: no username in configuration");
  }
  if (config->pending_password.empty()) {
    auto password = new_password(context, *config);
    if (!password) return forward(password);
    config->pending_password = std::move(*password);
  }
  auto kept = write_config(*context.storage, *config);
  if (!kept) return forward(kept);
  auto durable = context.checkpoint();
  if (!durable) return forward(durable);
  auto changed = with_session(context, *config, [&](Session& session) {
    return session.set_password(config->username, config->pending_password, config->root_rotation);
  });
  if (!changed) return forward(changed);
  config->password = std::move(config->pending_password);
  config->pending_password.clear();
  auto plugin = plugin_of(*config);
  if (!plugin) return forward(plugin);
  auto proof = (*plugin)->connect(config->target());
  if (!proof) return forward(proof);
  auto written = write_config(*context.storage, *config);
  if (!written) return forward(written);
  context.after_commit.push_back([this, key = pool_key(context, name)]() -> Result<void> {
    pools_.drop(key);
    return {};
  });
  return Response{};
}

void DatabaseEngine::add_config_routes() {
  routes_.add({.pattern = "config",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list_configurations}},
               .synopsis = "Lists the configurations."});
  routes_.add(
      {.pattern = "config/{name}",
       .fields = {{"plugin_name", FieldType::kString, "Which kind of database."},
                  {"plugin_version", FieldType::kString, "Kept empty: plugins are built in."},
                  {"verify_connection", FieldType::kBoolean, "Connect before it is stored."},
                  {"allowed_roles", FieldType::kStrings, "Roles that may use it; * for all."},
                  {"root_rotation_statements", FieldType::kAny, "How its own password is changed."},
                  {"password_policy", FieldType::kString, "How passwords are made."},
                  {"username_template", FieldType::kString, "How users are called."},
                  {"connection_url", FieldType::kString, "Where it is."},
                  {"username", FieldType::kString, "As whom."},
                  {"password", FieldType::kString, "With which password."},
                  {"max_open_connections", FieldType::kInteger, "At once."},
                  {"max_idle_connections", FieldType::kInteger, "Kept open."},
                  {"max_connection_lifetime", FieldType::kDuration, "Closed after that."}},
       .handlers = {{Operation::kRead, read_configuration},
                    {Operation::kUpdate, [this](Context& c) { return write_configuration(c); }},
                    {Operation::kDelete,
                     [this](Context& c) -> Result<Response> {
                       const std::string name(c.fields.text("name"));
                       auto erased = c.storage->erase("config/" + name);
                       if (!erased) return forward(erased);
                       c.after_commit.push_back([this, key = pool_key(c, name)]() -> Result<void> {
                         pools_.drop(key);
                         return {};
                       });
                       return Response{};
                     }}},
       .synopsis = "How a database is reached.",
       .exists = [](Context& c) -> Result<bool> {
         auto found = find_config(*c.storage, c.fields.text("name"));
         if (!found) return forward(found);
         return found->has_value();
       },
       .outside = true,
       .any_input = true});
  routes_.add({.pattern = "reset/{name}",
               .handlers = {{Operation::kUpdate,
                             [this](Context& c) -> Result<Response> {
                               auto config = read_config(*c.storage, c.fields.text("name"));
                               if (!config) return forward(config);
                               pools_.drop(pool_key(c, config->name));
                               return Response{};
                             }}},
               .synopsis = "Closes the connections of a configuration.",
               .blocking = true});
  routes_.add({.pattern = "rotate-root/{name}",
               .handlers = {{Operation::kUpdate, [this](Context& c) { return rotate_root(c); }}},
               .synopsis = "Changes the password that the server itself logs in with.",
               .outside = true});
}

}  // namespace rekey::engine::database
