// A role of auth/jwt: its row, its answer, its checks.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/jwt/claims.h"
#include "crypto/jwt.h"
#include "logical/context.h"
#include "logical/token_params.h"

namespace rekey::auth::jwt {

constexpr size_t kRoleNameBytesMax = 256;
constexpr size_t kRoleListMax = 1000;  // audiences, bound claims, mappings or values of a claim

inline constexpr logical::OlderName kOlderNames[] = {
    {"policies", "token_policies"}, {"ttl", "token_ttl"},
    {"max_ttl", "token_max_ttl"},   {"period", "token_period"},
    {"num_uses", "token_num_uses"}, {"bound_cidrs", "token_bound_cidrs"}};

struct Role {
  std::string name;  // in lower case
  std::string type;  // "oidc" or "jwt"
  std::vector<std::string> bound_audiences;
  std::string bound_subject;
  base::JsonObject bound_claims;
  bool claims_are_globs = false;  // bound_claims_type "glob"
  Pairs claim_mappings;           // claim, name of the metadata
  std::string user_claim;
  bool user_claim_json_pointer = false;
  std::string groups_claim;
  crypto::JwtLeeway leeway;
  // Of the browser flow.
  std::vector<std::string> allowed_redirect_uris, oidc_scopes;
  bool verbose_oidc_logging = false;
  int64_t max_age_s = 0;
  logical::TokenParams token;
};

// What can be a role's name; no other is asked for.
bool is_role_name(std::string_view name);

base::JsonObject describe(const Role& role);
base::Result<std::optional<Role>> read_role(logical::Context& context, std::string_view name);
base::Result<void> save_role(logical::Context& context, const Role& role);
// Changes in `role` what the request sent; checks the whole. Failure: kInvalid, in Vault's words.
base::Result<void> apply_fields(const logical::Fields& fields, Role& role);

}  // namespace rekey::auth::jwt
