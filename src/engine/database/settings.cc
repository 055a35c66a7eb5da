#include "engine/database/settings.h"

#include <algorithm>

#include "base/codec.h"
#include "logical/glob.h"

namespace rekey::engine::database {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;

int64_t integer(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  return member == nullptr ? 0 : member->as_int().value_or(0);
}

Json list_of(const std::vector<std::string>& items) { return Json::strings(items); }

std::string due_key(int64_t due_s, std::string_view name) {
  std::string time;
  base::append_u64(time, static_cast<uint64_t>(due_s));
  return "due/" + base::hex_encode(time) + "/" + std::string(name);
}

Result<std::optional<Json>> read_row(barrier::View& storage, const std::string& key) {
  auto text = storage.get(key);
  if (!text) return forward(text);
  if (!*text) return std::optional<Json>();
  auto row = Json::parse(**text);
  if (!row || !row->is_object()) {
    return base::fail(ErrorKind::kCorrupt, "a row of the database engine can't be read");
  }
  return std::optional<Json>(std::move(*row));
}

// A password that stands in the URL itself isn't shown.
std::string shown_url(const std::string& url) {
  const size_t at = url.rfind('@');
  if (at == std::string::npos) return url;
  const size_t scheme = url.find("://");
  const size_t from = scheme == std::string::npos ? 0 : scheme + 3;
  const size_t colon = url.find(':', from);
  if (colon == std::string::npos || colon > at) return url;
  if (url.substr(colon + 1, at - colon - 1) == "{{password}}") return url;
  return url.substr(0, colon + 1) + "*****" + url.substr(at);
}

std::string time_text(int64_t seconds) {
  return base::format_rfc3339(base::WallTime(std::chrono::seconds(seconds)));
}

}  // namespace

std::vector<std::string> texts_of(const Json* list) {
  std::vector<std::string> out;
  if (list == nullptr || list->as_array() == nullptr) return out;
  for (const Json& item : *list->as_array()) {
    if (const std::string* text = item.as_string()) out.push_back(*text);
  }
  return out;
}

bool Config::allows(std::string_view role) const {
  return std::ranges::any_of(allowed_roles, [&](const std::string& pattern) {
    return logical::glob_matches(pattern, role);
  });
}

Target Config::target() const { return {url, username, password, details}; }

Result<std::optional<Config>> find_config(barrier::View& storage, std::string_view name) {
  auto row = read_row(storage, "config/" + std::string(name));
  if (!row) return forward(row);
  if (!*row) return std::optional<Config>();
  Config config;
  config.name = name;
  config.plugin = (*row)->string_or("plugin", "");
  config.allowed_roles = texts_of((*row)->find("allowed_roles"));
  config.root_rotation = texts_of((*row)->find("root_rotation"));
  config.password_policy = (*row)->string_or("password_policy", "");
  config.username_template = (*row)->string_or("username_template", "");
  config.open_max = integer(**row, "open_max");
  config.idle_max = integer(**row, "idle_max");
  config.lifetime_s = integer(**row, "lifetime");
  config.url = (*row)->string_or("url", "");
  config.username = (*row)->string_or("username", "");
  config.password = (*row)->string_or("password", "");
  config.pending_password = (*row)->string_or("pending_password", "");
  if (const Json* details = (*row)->find("details"); details != nullptr && details->as_object()) {
    config.details = *details->as_object();
  }
  return std::optional<Config>(std::move(config));
}

Result<Config> read_config(barrier::View& storage, std::string_view name) {
  auto found = find_config(storage, name);
  if (!found) return forward(found);
  if (!*found) {
    return base::fail(ErrorKind::kInvalid, "failed to find entry for connection with name: \"" +
                                               std::string(name) + "\"");
  }
  return std::move(**found);
}

Result<void> write_config(barrier::View& storage, const Config& config) {
  JsonObject row{{"plugin", config.plugin},
                 {"allowed_roles", list_of(config.allowed_roles)},
                 {"root_rotation", list_of(config.root_rotation)},
                 {"password_policy", config.password_policy},
                 {"username_template", config.username_template},
                 {"open_max", config.open_max},
                 {"idle_max", config.idle_max},
                 {"lifetime", config.lifetime_s},
                 {"url", config.url},
                 {"username", config.username},
                 {"password", config.password},
                 {"details", config.details}};
  if (!config.pending_password.empty()) row.set("pending_password", config.pending_password);
  return storage.put("config/" + config.name, Json(std::move(row)).dump());
}

Result<std::optional<Role>> find_role(barrier::View& storage, std::string_view name) {
  auto row = read_row(storage, "role/" + std::string(name));
  if (!row) return forward(row);
  if (!*row) return std::optional<Role>();
  Role role;
  role.name = name;
  role.config = (*row)->string_or("config", "");
  role.creation = texts_of((*row)->find("creation"));
  role.revocation = texts_of((*row)->find("revocation"));
  role.rollback = texts_of((*row)->find("rollback"));
  role.renewal = texts_of((*row)->find("renewal"));
  role.default_ttl_s = integer(**row, "default_ttl");
  role.max_ttl_s = integer(**row, "max_ttl");
  return std::optional<Role>(std::move(role));
}

Result<void> write_role(barrier::View& storage, const Role& role) {
  const JsonObject row{{"config", role.config},
                       {"creation", list_of(role.creation)},
                       {"revocation", list_of(role.revocation)},
                       {"rollback", list_of(role.rollback)},
                       {"renewal", list_of(role.renewal)},
                       {"default_ttl", role.default_ttl_s},
                       {"max_ttl", role.max_ttl_s}};
  return storage.put("role/" + role.name, Json(row).dump());
}

Result<std::optional<StaticRole>> find_static_role(barrier::View& storage, std::string_view name) {
  auto row = read_row(storage, "static-role/" + std::string(name));
  if (!row) return forward(row);
  if (!*row) return std::optional<StaticRole>();
  StaticRole role;
  role.name = name;
  role.config = (*row)->string_or("config", "");
  role.username = (*row)->string_or("username", "");
  role.password = (*row)->string_or("password", "");
  role.pending_password = (*row)->string_or("pending_password", "");
  role.period_s = integer(**row, "period");
  role.schedule = (*row)->string_or("schedule", "");
  role.window_s = integer(**row, "window");
  role.statements = texts_of((*row)->find("statements"));
  role.rotated_s = integer(**row, "rotated");
  role.due_s = integer(**row, "due");
  role.failures = integer(**row, "failures");
  role.last_error = (*row)->string_or("last_error", "");
  return std::optional<StaticRole>(std::move(role));
}

Result<void> write_static_role(barrier::View& storage, const StaticRole& role, int64_t old_due_s) {
  JsonObject row{{"config", role.config},
                 {"username", role.username},
                 {"password", role.password},
                 {"period", role.period_s},
                 {"schedule", role.schedule},
                 {"window", role.window_s},
                 {"statements", list_of(role.statements)},
                 {"rotated", role.rotated_s},
                 {"due", role.due_s}};
  if (!role.pending_password.empty()) row.set("pending_password", role.pending_password);
  if (role.failures > 0) {
    row.set("failures", role.failures);
    row.set("last_error", role.last_error);
  }
  auto written = storage.put("static-role/" + role.name, Json(std::move(row)).dump());
  if (!written || old_due_s == role.due_s) return written;
  if (old_due_s != 0) {
    auto erased = storage.erase(due_key(old_due_s, role.name));
    if (!erased) return erased;
  }
  return role.due_s == 0 ? Result<void>() : storage.put(due_key(role.due_s, role.name), "");
}

Result<void> erase_static_role(barrier::View& storage, const StaticRole& role) {
  if (role.due_s != 0) {
    auto erased = storage.erase(due_key(role.due_s, role.name));
    if (!erased) return erased;
  }
  return storage.erase("static-role/" + role.name);
}

Json show(const Config& config) {
  JsonObject details = config.details;
  for (const char* secret : {"private_key", "tls_certificate_key", "service_account_json"}) {
    details.erase(secret);
  }
  if (!config.url.empty()) details.set("connection_url", shown_url(config.url));
  if (!config.username.empty()) details.set("username", config.username);
  if (!config.username_template.empty()) {
    details.set("username_template", config.username_template);
  }
  details.set("max_open_connections", config.open_max);
  details.set("max_idle_connections", config.idle_max);
  details.set("max_connection_lifetime",
              base::format_duration(std::chrono::seconds(config.lifetime_s)));
  return JsonObject{{"plugin_name", config.plugin},
                    {"plugin_version", ""},
                    {"allowed_roles", list_of(config.allowed_roles)},
                    {"connection_details", std::move(details)},
                    {"password_policy", config.password_policy},
                    {"root_credentials_rotate_statements", list_of(config.root_rotation)},
                    {"verify_connection", true}};
}

Json show(const Role& role) {
  return JsonObject{{"db_name", role.config},
                    {"creation_statements", list_of(role.creation)},
                    {"revocation_statements", list_of(role.revocation)},
                    {"rollback_statements", list_of(role.rollback)},
                    {"renew_statements", list_of(role.renewal)},
                    {"default_ttl", role.default_ttl_s},
                    {"max_ttl", role.max_ttl_s},
                    {"credential_type", "password"},
                    {"credential_config", JsonObject{}}};
}

Json show(const StaticRole& role) {
  JsonObject data{{"db_name", role.config},
                  {"username", role.username},
                  {"rotation_statements", list_of(role.statements)},
                  {"credential_type", "password"},
                  {"last_vault_rotation", time_text(role.rotated_s)}};
  if (role.schedule.empty()) {
    data.set("rotation_period", role.period_s);
  } else {
    data.set("rotation_schedule", role.schedule);
    data.set("rotation_window", role.window_s);
  }
  if (role.failures > 0) data.set("last_rotation_error", role.last_error);
  return data;
}

}  // namespace rekey::engine::database
