// database/: users of outside databases that live as long as their lease, and passwords of fixed
// users that are changed by schedule, with Vault's routes, names of plugins and fields.
//
// An outside effect is never made before what is needed to undo or repeat it is durable: a lease's
// intent for a dynamic user (Context::intend), the new password itself for a fixed one
// (Context::checkpoint). So a crash at any moment leaves no user that nobody knows of and no
// password that nobody has.
// Its own state is only connections; any thread that may block.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/database/pool.h"
#include "logical/context.h"

namespace rekey::engine::database {

class DatabaseEngine final : public logical::Backend {
 public:
  DatabaseEngine();
  std::string_view type() const override { return "database"; }
  const logical::RouteTable& routes() const override { return routes_; }

  bool grants_leases() const override { return true; }
  base::Result<void> renew_lease(logical::Context& context, const logical::HeldLease& lease,
                                 base::WallTime until) const override;
  base::Result<void> revoke_lease(logical::Context& context,
                                  const logical::HeldLease& lease) const override;
  void forget_secrets() const override { pools_.drop_all(); }
  bool tends() const override { return true; }
  base::Result<bool> tend(logical::Context& context) const override;

 private:
  void add_config_routes();
  void add_role_routes();
  void add_creds_routes();
  void add_static_routes();

  base::Result<const Plugin*> plugin_of(const Config& config) const;  // kInvalid: unknown
  base::Result<void> with_session(logical::Context& context, const Config& config,
                                  const Pools::Work& work) const;
  static std::string pool_key(const logical::Context& context, std::string_view config) {
    return context.mount.uuid + ":" + std::string(config);
  }
  base::Result<std::string> new_password(logical::Context& context, const Config& config) const;

  base::Result<logical::Response> write_configuration(logical::Context& context) const;
  base::Result<logical::Response> rotate_root(logical::Context& context) const;
  base::Result<logical::Response> write_dynamic_role(logical::Context& context) const;
  base::Result<logical::Response> make_credentials(logical::Context& context) const;
  base::Result<logical::Response> write_fixed_role(logical::Context& context) const;
  base::Result<logical::Response> rotate_fixed_role(logical::Context& context) const;
  // Changes the password outside, durable before and after; `old_due_s` as in write_static_role.
  base::Result<void> rotate(logical::Context& context, StaticRole& role, const Config& config,
                            int64_t old_due_s) const;

  std::map<std::string, std::unique_ptr<Plugin>, std::less<>> plugins_;
  mutable Pools pools_;
  logical::RouteTable routes_;
};

}  // namespace rekey::engine::database
