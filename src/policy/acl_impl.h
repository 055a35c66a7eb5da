// What an Acl is made of; shared by acl.cc (decisions) and explain.cc. Only for this room.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/grants.h"
#include "policy/path_index.h"
#include "policy/policy.h"

namespace rekey::policy {

struct Acl::Impl {
  std::vector<std::shared_ptr<const Policy>> policies;  // grants point into them
  Grants grants;
  std::unordered_map<std::string_view, const Grant*> by_path;  // the exact ones
  PathIndex index;                                             // the others, by rank

  // The grant that decides about `path`, or nullptr. `list`: a slash at the end may be missing in
  // the rule.
  const Grant* find(std::string_view path, bool list) const;
  Decision judge(const Grant& grant, const Query& query) const;
};

}  // namespace rekey::policy
