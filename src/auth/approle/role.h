// An AppRole role, and its rows under the mount (docs/formats/approle.md): role/<name in lower
// case>, roleid/<hash of role id>. Values and functions of a request's View; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "logical/context.h"
#include "logical/login.h"
#include "logical/token_params.h"

namespace rekey::auth::approle {

constexpr size_t kRoleNameBytesMax = 256;
constexpr size_t kRoleIdBytesMax = 4096;

inline constexpr logical::OlderName kOlderNames[] = {{"policies", "token_policies"},
                                                     {"period", "token_period"}};

struct Role {
  std::string name;     // as it was first written; its row's name is in lower case
  std::string uid;      // new for every role, so that a new one of the same name starts empty
  std::string role_id;  // by which it logs in
  bool bind_secret_id = true;
  bool local_secret_ids = false;
  std::vector<std::string> secret_id_bound_cidrs;
  int64_t secret_id_num_uses = 0;  // 0: any number
  int64_t secret_id_ttl_s = 0;     // 0: never
  logical::TokenParams token;
};

base::JsonObject describe(const Role& role);  // as a read shows it: without ids

base::Result<std::optional<Role>> read_role(logical::Context& context, std::string_view name);
base::Result<std::optional<Role>> find_by_role_id(logical::Context& context,
                                                  std::string_view role_id);
// Any role of the mount; nothing where there is none.
base::Result<std::optional<Role>> find_any_role(logical::Context& context);
// `before` as it was read, or null. Failure: kInvalid where another role has this role id.
base::Result<void> save_role(logical::Context& context, const Role* before, const Role& role);
base::Result<void> erase_role(logical::Context& context, const Role& role);

// Changes in `role` what the request sent; checks the whole.
base::Result<void> apply_fields(logical::Context& context, Role& role);
// "failed to validate CIDR blocks: invalid CIDR address: x" where one isn't a block.
base::Result<std::vector<std::string>> parse_blocks(const std::vector<std::string>& given);

}  // namespace rekey::auth::approle
