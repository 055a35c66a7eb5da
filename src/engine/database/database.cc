#include "engine/database/database.h"

#include "logical/answer.h"

namespace rekey::engine::database {

using base::ErrorKind;
using base::Result;
using logical::Context;

DatabaseEngine::DatabaseEngine() {
  plugins_["postgresql-database-plugin"] = make_postgres_plugin();
  for (const char* name : {"mysql-database-plugin", "mysql-aurora-database-plugin",
                           "mysql-rds-database-plugin", "mariadb-database-plugin"}) {
    plugins_[name] = make_mysql_plugin(false);
  }
  plugins_["mysql-legacy-database-plugin"] = make_mysql_plugin(true);
  plugins_["redis-database-plugin"] = make_redis_plugin();
  add_config_routes();
  add_role_routes();
  add_creds_routes();
  add_static_routes();
}

Result<const Plugin*> DatabaseEngine::plugin_of(const Config& config) const {
  const auto found = plugins_.find(config.plugin);
  if (found == plugins_.end()) {
    return logical::bad_request("plugin \"" + config.plugin + "\" is not known to this server");
  }
  return found->second.get();
}

Result<void> DatabaseEngine::with_session(Context& context, const Config& config,
                                          const Pools::Work& work) const {
  auto plugin = plugin_of(config);
  if (!plugin) return forward(plugin);
  return pools_.with_session(pool_key(context, config.name), config, **plugin, context.clock, work);
}

Result<std::string> DatabaseEngine::new_password(Context& context, const Config& config) const {
  return context.make_password(config.password_policy);
}

Result<void> DatabaseEngine::revoke_lease(Context& context, const logical::HeldLease& lease) const {
  const std::string username = lease.data.string_or("username", "");
  if (username.empty()) return {};
  auto config = find_config(*context.storage, lease.data.string_or("config", ""));
  if (!config) return forward(config);
  if (!*config) {
    return base::fail(ErrorKind::kPrecondition,
                      "the configuration that could remove the user is gone");
  }
  auto role = find_role(*context.storage, lease.role);
  if (!role) return forward(role);
  const std::vector<std::string> statements =
      *role ? (*role)->revocation : texts_of(lease.data.find("revocation"));
  return with_session(context, **config,
                      [&](Session& session) { return session.drop_user(username, statements); });
}

Result<void> DatabaseEngine::renew_lease(Context& context, const logical::HeldLease& lease,
                                         base::WallTime until) const {
  const std::string username = lease.data.string_or("username", "");
  auto config = read_config(*context.storage, lease.data.string_or("config", ""));
  if (!config) return forward(config);
  auto role = find_role(*context.storage, lease.role);
  if (!role) return forward(role);
  if (!*role) {
    return logical::bad_request("error during renew: could not find role with name \"" +
                                std::string(lease.role) + "\"");
  }
  const int64_t expires = std::chrono::ceil<std::chrono::seconds>(until).time_since_epoch().count();
  return with_session(context, *config, [&](Session& session) {
    return session.extend_user(username, expires + kExpirationGraceS, (*role)->renewal);
  });
}

}  // namespace rekey::engine::database
