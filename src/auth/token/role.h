// A token role: what tokens made through auth/token/create/<role> may be. Rows: role/<name>, JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "logical/context.h"
#include "logical/route.h"

namespace rekey::auth::token {

struct Role {
  std::string name;
  std::vector<std::string> allowed_policies, disallowed_policies;
  std::vector<std::string> allowed_policies_glob, disallowed_policies_glob;
  std::vector<std::string> allowed_entity_aliases;
  std::vector<std::string> bound_cidrs;
  bool orphan = false;
  bool renewable = true;
  bool no_default_policy = false;
  std::string path_suffix;
  std::string type = "default-service";  // service, batch, default-service, default-batch
  int64_t period_s = 0;
  int64_t explicit_max_ttl_s = 0;
  int64_t num_uses = 0;
  // Set by the field's older name: then that name is shown as well.
  bool older_period = false, older_explicit_max_ttl = false, older_bound_cidrs = false;
};

base::Json describe(const Role& role);  // as Vault shows it, and as it is stored
base::Result<Role> parse_role(std::string_view row);
base::Result<std::optional<Role>> read_role(logical::Context& context, std::string_view name);

// "app-*" takes "app-1": one or more stars, anywhere.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace rekey::auth::token
