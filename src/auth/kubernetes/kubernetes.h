// auth/kubernetes: a pod logs in with the token of its service account.
//
// A token is looked at here first (its signature, where the configuration has the cluster's keys;
// its claims), so that what can't be good costs no call; then the cluster is asked (TokenReview),
// which alone knows whether account and pod are still there. Rows (docs/formats/kubernetes.md):
// config, role/<name in lower case>. Stateless; any thread: a login moves to the threads that may
// wait before it asks.
#pragma once

#include <memory>

#include "logical/route.h"
#include "net/outgoing.h"

namespace rekey::auth::kubernetes {

class Kubernetes final : public logical::Backend {
 public:
  explicit Kubernetes(std::shared_ptr<const net::Outgoing> outgoing);
  std::string_view type() const override { return "kubernetes"; }
  const logical::RouteTable& routes() const override { return routes_; }
  base::Result<std::optional<logical::TokenParams>> renew_login(
      logical::Context& context, const logical::Renewal& renewal) const override;

 private:
  void add_config_routes();
  void add_role_routes();
  void add_login_routes();

  std::shared_ptr<const net::Outgoing> outgoing_;
  logical::RouteTable routes_;
};

}  // namespace rekey::auth::kubernetes
