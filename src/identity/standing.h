// What an entity adds to a token: the policies of the entity and of every group that it is in, and
// what policies' templates may say of it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/txn.h"
#include "identity/entity.h"
#include "policy/policy.h"

namespace rekey::identity {

struct Standing {
  Entity entity;
  std::vector<std::string> policies;  // of the entity and its groups; sorted
  policy::TemplateContext names;      // for templates
};

// Of the entity `id`, or the one that it was merged into; null where there is none. Reads without
// conditions; the keys of all rows it depends on are added to `rows`, if given. Groups in groups
// count. Failure: kCorrupt, and kTooLarge when the groups are too many to look through.
base::Result<std::shared_ptr<const Standing>> find_standing(barrier::Txn& txn, std::string_view id,
                                                            std::vector<std::string>* rows);

// The same of an entity that was read, as it stands in the transaction.
base::Result<std::shared_ptr<const Standing>> standing_of(barrier::Txn& txn, Entity entity,
                                                          std::vector<std::string>* rows);

}  // namespace rekey::identity
