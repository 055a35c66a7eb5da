// The key/value engine without versions (KV v1): a path holds one JSON object.
//
// Rows: d/<path>, the object's text. Stateless; any thread.
#pragma once

#include "logical/route.h"

namespace rekey::engine::kv {

inline constexpr std::string_view kPlainRows = "d/";

class PlainEngine final : public logical::Backend {
 public:
  PlainEngine();
  std::string_view type() const override { return "kv"; }
  const logical::RouteTable& routes() const override { return routes_; }

 private:
  logical::RouteTable routes_;
};

}  // namespace rekey::engine::kv
