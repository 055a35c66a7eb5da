// auth/cert: machines log in with the certificate of their TLS connection.
//
// Rows (docs/formats/cert.md): config, role/<name in lower case>, crl/<name in lower case>. Who a
// certificate proves is decided here and nowhere else: the listener takes any, and has only seen
// that the client holds its key. Stateless but for what the thread keeps decoded; any thread.
#pragma once

#include "logical/route.h"

namespace rekey::auth::cert {

class CertAuth final : public logical::Backend {
 public:
  CertAuth();
  std::string_view type() const override { return "cert"; }
  const logical::RouteTable& routes() const override { return routes_; }
  base::Result<std::optional<logical::TokenParams>> renew_login(
      logical::Context& context, const logical::Renewal& renewal) const override;

 private:
  void add_role_routes();
  void add_config_routes();
  void add_crl_routes();
  void add_login_routes();

  logical::RouteTable routes_;
};

}  // namespace rekey::auth::cert
