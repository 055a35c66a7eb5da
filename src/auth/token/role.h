// A token role: what tokens made through auth/token/create/<role> may be. Rows: role/<name>, JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "logical/context.h"
#include "logical/login.h"
#include "logical/route.h"

namespace rekey::auth::token {

struct Role {
  std::string name;
  std::vector<std::string> allowed_policies, disallowed_policies;
  std::vector<std::string> allowed_policies_glob, disallowed_policies_glob;
  std::vector<std::string> allowed_entity_aliases;
  bool orphan = false;
  bool renewable = true;
  std::string path_suffix;
  // Of the token_* fields those that the creation of a token doesn't say itself: bound_cidrs, kind
  // (never kDefault), period, explicit_max_ttl, num_uses, no_default_policy.
  logical::TokenParams token{.kind = logical::TokenKind::kDefaultService};
};

base::Json describe(const Role& role);  // as Vault shows it, and as it is stored
base::Result<Role> parse_role(std::string_view row);
base::Result<std::optional<Role>> read_role(logical::Context& context, std::string_view name);

}  // namespace rekey::auth::token
