// auth/jwt, mounted as `jwt` or `oidc`: whoever shows a signed statement (JWT) of an identity
// provider logs in as the role that its claims fit.
//
// Rows (docs/formats/jwt.md): config, role/<name in lower case>. The provider's keys are static, or
// fetched through net::Outgoing and kept in memory for a while (key_cache.h); a login that needs to
// fetch moves to the threads that may wait. The browser flow of OIDC isn't built: its configuration
// and roles are kept, its logins say so. Any thread.
#pragma once

#include <memory>

#include "auth/jwt/key_cache.h"
#include "logical/route.h"
#include "net/outgoing.h"

namespace rekey::auth::jwt {

class Jwt final : public logical::Backend {
 public:
  // `type`: "jwt" or "oidc". One of each serves all mounts.
  Jwt(std::string_view type, std::shared_ptr<const net::Outgoing> outgoing);
  std::string_view type() const override { return type_; }
  const logical::RouteTable& routes() const override { return routes_; }
  base::Result<std::optional<logical::TokenParams>> renew_login(
      logical::Context& context, const logical::Renewal& renewal) const override;

 private:
  void add_config_routes();
  void add_role_routes();
  void add_login_routes();

  std::string_view type_;
  std::shared_ptr<const net::Outgoing> outgoing_;
  mutable KeyCache keys_;
  logical::RouteTable routes_;
};

}  // namespace rekey::auth::jwt
