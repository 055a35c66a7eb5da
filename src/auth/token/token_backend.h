// auth/token: making, looking up, renewing and revoking tokens, and the roles by which they are
// made. One of the pipeline's own backends: it sees the state (pipeline/call_context.h).
//
// Stateless but for what it is given; any thread.
#pragma once

#include "logical/route.h"
#include "pipeline/keeper.h"

namespace rekey::auth::token {

inline constexpr size_t kMetaPairsMax = 64;         // of one token
inline constexpr size_t kMetaBytesMax = 16 * 1024;  // keys and values of one token's meta together
inline constexpr size_t kPoliciesMax = 256;         // of one token

class TokenBackend final : public logical::Backend {
 public:
  explicit TokenBackend(pipeline::Keeper& keeper);
  std::string_view type() const override { return "token"; }
  const logical::RouteTable& routes() const override { return routes_; }

 private:
  void add_create_routes();
  void add_lookup_routes();
  void add_lifecycle_routes();
  void add_revoke_routes();
  void add_role_routes();

  pipeline::Keeper& keeper_;
  logical::RouteTable routes_;
};

}  // namespace rekey::auth::token
