// auth/approle: machines log in with a role id and a secret id. Stateless; any thread.
#pragma once

#include "logical/route.h"

namespace rekey::auth::approle {

class AppRole final : public logical::Backend {
 public:
  AppRole();
  std::string_view type() const override { return "approle"; }
  const logical::RouteTable& routes() const override { return routes_; }
  base::Result<std::optional<logical::TokenParams>> renew_login(
      logical::Context& context, const logical::Renewal& renewal) const override;
  base::Result<std::string> login_role(logical::Context& context) const override;

 private:
  void add_role_routes();
  void add_part_routes();
  void add_secret_id_routes();
  void add_login_routes();

  logical::RouteTable routes_;
};

}  // namespace rekey::auth::approle
