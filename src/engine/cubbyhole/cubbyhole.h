// The cubbyhole: a place that only one token can see and that ends with it. No other token, not
// even root, reaches it: the rows lie under the token's id.
//
// Rows: <token id>/<path>, the object's text. Stateless; any thread.
#pragma once

#include "logical/route.h"

namespace rekey::engine::cubbyhole {

class Engine final : public logical::Backend {
 public:
  Engine();
  std::string_view type() const override { return "cubbyhole"; }
  const logical::RouteTable& routes() const override { return routes_; }

 private:
  logical::RouteTable routes_;
};

}  // namespace rekey::engine::cubbyhole
