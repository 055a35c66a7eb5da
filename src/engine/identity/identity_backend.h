// identity/: entities, aliases and groups for operators; what logins find is the same rows
// (identity/entity_store.h). One of the pipeline's own backends: it sees mounts and the whole
// store.
//
// Tends to the keys of identity tokens. Stateless; any thread.
#pragma once

#include <string>

#include "logical/route.h"

namespace rekey::engine::identity {

inline constexpr size_t kPoliciesMax = 256;         // of one entity or group
inline constexpr size_t kBatchDeleteMax = 1000;     // entities in one request
inline constexpr size_t kMergeMax = 100;            // entities merged in one request
inline constexpr size_t kMembersChangedMax = 2000;  // of a group, in one request

class IdentityBackend final : public logical::Backend {
 public:
  // `api_address` is the server's, for what verifiers of identity tokens ask.
  explicit IdentityBackend(std::string api_address);
  std::string_view type() const override { return "identity"; }
  const logical::RouteTable& routes() const override { return routes_; }
  bool tends() const override { return true; }
  base::Result<bool> tend(logical::Context& context) const override;

 private:
  void add_entity_routes();
  void add_merge_routes();
  void add_entity_alias_routes();
  void add_group_routes();
  void add_group_alias_routes();
  void add_lookup_routes();
  void add_mfa_totp_routes();
  void add_mfa_method_routes();
  void add_mfa_enforcement_routes();
  void add_oidc_key_routes();
  void add_oidc_role_routes();
  void add_oidc_token_routes();

  const std::string api_address_;
  logical::RouteTable routes_;
};

}  // namespace rekey::engine::identity
