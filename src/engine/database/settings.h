// What the engine keeps: configurations, roles, static roles. Values, their rows and what is shown
// of them. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/view.h"
#include "base/error.h"
#include "base/json.h"
#include "engine/database/plugin.h"
#include "logical/route.h"

namespace rekey::engine::database {

constexpr size_t kNameBytesMax = 80;            // of configurations, roles and static roles
constexpr int64_t kOpenConnectionsDefault = 4;  // of one configuration
constexpr int64_t kOpenConnectionsMax = 64;
// The database refuses a password a little later than its lease ends, as in Vault: clocks differ.
constexpr int64_t kExpirationGraceS = 5;
constexpr int64_t kRotationPeriodSMin = 5;     // as in Vault
constexpr int64_t kRotationWindowSMin = 3600;  // as in Vault

struct Config {
  std::string name, plugin;
  std::vector<std::string> allowed_roles;  // with globs
  std::vector<std::string> root_rotation;
  std::string password_policy, username_template;
  int64_t open_max = kOpenConnectionsDefault, idle_max = 0, lifetime_s = 0;
  std::string url, username, password;
  std::string pending_password;  // set while the root's password is being changed
  base::JsonObject details;      // what else the plugin takes, as it was given

  bool allows(std::string_view role) const;
  Target target() const;
};

struct Role {
  std::string name, config;
  std::vector<std::string> creation, revocation, rollback, renewal;
  int64_t default_ttl_s = 0, max_ttl_s = 0;
};

struct StaticRole {
  std::string name, config, username, password;
  std::string pending_password;  // set while the password is being changed
  int64_t period_s = 0;
  std::string schedule;  // instead of a period
  int64_t window_s = 0;  // after a scheduled time, in which it may be done
  std::vector<std::string> statements;
  int64_t rotated_s = 0, due_s = 0;
  int64_t failures = 0;
  std::string last_error;
};

base::Result<Config> read_config(barrier::View& storage, std::string_view name);  // kInvalid: none
base::Result<std::optional<Config>> find_config(barrier::View& storage, std::string_view name);
base::Result<void> write_config(barrier::View& storage, const Config& config);
base::Result<std::optional<Role>> find_role(barrier::View& storage, std::string_view name);
base::Result<void> write_role(barrier::View& storage, const Role& role);
base::Result<std::optional<StaticRole>> find_static_role(barrier::View& storage,
                                                         std::string_view name);
// Also moves its place in the order of rotations, from `old_due_s` (0: none).
base::Result<void> write_static_role(barrier::View& storage, const StaticRole& role,
                                     int64_t old_due_s);
base::Result<void> erase_static_role(barrier::View& storage, const StaticRole& role);

base::Json show(const Config& config);
base::Json show(const Role& role);
base::Json show(const StaticRole& role);

// The members of `names`, as strings; nothing where the field isn't a list of them.
std::vector<std::string> texts_of(const base::Json* list);

}  // namespace rekey::engine::database
