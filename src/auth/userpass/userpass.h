// auth/userpass: people log in with a name and a password.
//
// Rows (docs/formats/userpass.md): user/<name in lower case>. Passwords are kept as argon2id
// hashes, or as the bcrypt hash that an operator brought. Everything that hashes runs on the pool.
// A name that doesn't exist costs the same time as one that does. Stateless but for the lockout in
// the context; any thread.
#pragma once

#include "logical/route.h"

namespace rekey::auth::userpass {

inline constexpr size_t kUserNameBytesMax = 128;

class Userpass final : public logical::Backend {
 public:
  Userpass();
  std::string_view type() const override { return "userpass"; }
  const logical::RouteTable& routes() const override { return routes_; }
  base::Result<std::optional<logical::TokenParams>> renew_login(
      logical::Context& context, const logical::Renewal& renewal) const override;

 private:
  logical::RouteTable routes_;
};

}  // namespace rekey::auth::userpass
