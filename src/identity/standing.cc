#include "identity/standing.h"

#include <set>

#include "identity/entity_store.h"

namespace rekey::identity {
namespace {

using base::ErrorKind;
using base::Result;

policy::TemplateContext::Metadata as_map(const logical::StringPairs& pairs) {
  return {pairs.begin(), pairs.end()};
}

Result<std::optional<std::string>> read(barrier::Txn& txn, std::string key,
                                        std::vector<std::string>* rows) {
  auto row = txn.peek(key);
  if (row && rows != nullptr) rows->push_back(std::move(key));
  return row;
}

}  // namespace

Result<std::shared_ptr<const Standing>> find_standing(barrier::Txn& txn, std::string_view id,
                                                      std::vector<std::string>* rows) {
  auto row = read(txn, entity_key(id), rows);
  if (!row) return forward(row);
  if (!*row) {
    auto into = read(txn, std::string(kIdentityPrefix) + "merged/" + std::string(id), rows);
    if (!into) return forward(into);
    if (!*into) return std::shared_ptr<const Standing>();
    row = read(txn, entity_key(**into), rows);
    if (!row) return forward(row);
    if (!*row) return std::shared_ptr<const Standing>();
  }
  auto entity = decode_entity(**row);
  if (!entity) return forward(entity);
  return standing_of(txn, std::move(*entity), rows);
}

Result<std::shared_ptr<const Standing>> standing_of(barrier::Txn& txn, Entity entity,
                                                    std::vector<std::string>* rows) {
  auto standing = std::make_shared<Standing>();
  std::set<std::string> policies(entity.policies.begin(), entity.policies.end());
  // Upwards from the entity: each group once, however many ways lead to it.
  std::vector<std::string> open = entity.groups;
  std::set<std::string> seen(open.begin(), open.end());
  while (!open.empty()) {
    if (seen.size() > kGroupsResolvedMax) {
      return base::fail(ErrorKind::kTooLarge, "the entity is in too many groups");
    }
    const std::string group_id = std::move(open.back());
    open.pop_back();
    auto group_row = read(txn, group_key(group_id), rows);
    if (!group_row) return forward(group_row);
    if (!*group_row) continue;
    auto group = decode_group(**group_row);
    if (!group) return forward(group);
    policies.insert(group->policies.begin(), group->policies.end());
    for (std::string& parent : group->parents) {
      if (seen.insert(parent).second) open.push_back(std::move(parent));
    }
    standing->names.groups.push_back({group->id, group->name, as_map(group->metadata)});
  }
  standing->policies.assign(policies.begin(), policies.end());
  standing->names.entity_id = entity.id;
  standing->names.entity_name = entity.name;
  standing->names.entity_metadata = as_map(entity.metadata);
  for (const Alias& alias : entity.aliases) {
    standing->names.aliases[alias.mount_accessor] = {alias.id, alias.name, as_map(alias.metadata),
                                                     as_map(alias.custom_metadata)};
  }
  standing->entity = std::move(entity);
  return standing;
}

}  // namespace rekey::identity
