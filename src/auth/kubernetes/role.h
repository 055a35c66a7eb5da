// A role of auth/kubernetes: its row, its answer, its checks.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "logical/context.h"
#include "logical/token_params.h"

namespace rekey::auth::kubernetes {

constexpr size_t kRoleNameBytesMax = 256;
constexpr size_t kBoundNamesMax = 1000;  // accounts or namespaces of a role

inline constexpr logical::OlderName kOlderNames[] = {
    {"policies", "token_policies"}, {"ttl", "token_ttl"},
    {"max_ttl", "token_max_ttl"},   {"period", "token_period"},
    {"num_uses", "token_num_uses"}, {"bound_cidrs", "token_bound_cidrs"}};

struct Role {
  std::string name;                               // in lower case
  std::vector<std::string> accounts, namespaces;  // with globs
  std::string selector;        // of more namespaces, by their labels, as it was sent; empty: none
  std::string audience;        // empty: any
  bool alias_by_name = false;  // alias_name_source "serviceaccount_name": not the account's uid
  logical::TokenParams token;
};

bool is_role_name(std::string_view name);

base::JsonObject describe(const Role& role);
base::Result<std::optional<Role>> read_role(logical::Context& context, std::string_view name);
base::Result<void> save_role(logical::Context& context, const Role& role);
// Changes in `role` what the request sent; checks the whole. Failure: kInvalid, in Vault's words.
base::Result<void> apply_fields(const logical::Fields& fields, Role& role);

}  // namespace rekey::auth::kubernetes
