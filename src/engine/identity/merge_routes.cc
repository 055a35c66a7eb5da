// identity/entity/merge: several entities become one, with all their aliases.
#include <algorithm>

#include "engine/identity/identity_backend.h"
#include "engine/identity/view.h"

namespace rekey::engine::identity {
namespace {

using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

bool contains(const std::vector<std::string>& items, std::string_view item) {
  return std::ranges::find(items, item) != items.end();
}

// An entity has one alias for each mount: of two, the request says which stays.
Result<void> take_aliases(const store::Entity& from, store::Entity& to,
                          const std::vector<std::string>& kept) {
  for (store::Alias alias : from.aliases) {
    alias.merged_from.push_back(from.id);
    const auto same =
        std::ranges::find(to.aliases, alias.mount_accessor, &store::Alias::mount_accessor);
    if (same == to.aliases.end()) {
      to.aliases.push_back(std::move(alias));
    } else if (contains(kept, alias.id)) {
      *same = std::move(alias);
    } else if (!contains(kept, same->id)) {
      return logical::bad_request(
          "toEntity and at least one fromEntity have aliases with the same mount accessor, repeat "
          "the merge request specifying exactly one of them in conflicting_alias_ids_to_keep: " +
          same->id + ", " + alias.id);
    }
  }
  if (to.aliases.size() > store::kAliasesMax) return logical::bad_request("too many aliases");
  return {};
}

Result<Response> merge(Context& context) {
  const logical::Fields& fields = context.fields;
  CallContext& call = CallContext::of(context);
  auto entities = entities_of(call);
  const std::string to_id(fields.text("to_entity_id"));
  const std::vector<std::string> from_ids = fields.strings("from_entity_ids");
  if (to_id.empty()) return logical::bad_request("missing entity id to merge to");
  if (from_ids.empty()) return logical::bad_request("missing entity ids to merge from");
  if (from_ids.size() > kMergeMax) return logical::bad_request("too many entities to merge");
  if (contains(from_ids, to_id)) {
    return logical::bad_request("to_entity_id should not be present in from_entity_ids");
  }
  auto known = entities.entity(to_id);
  if (!known) return forward(known);
  if (!*known) return logical::bad_request("entity id to merge to is invalid");
  store::Entity to = **known;
  for (const std::string& id : from_ids) {
    auto from = entities.entity(id);
    if (!from) return forward(from);
    if (!*from) return logical::bad_request("entity id to merge from is invalid");
    auto taken = take_aliases(**from, to, fields.strings("conflicting_alias_ids_to_keep"));
    if (!taken) return forward(taken);
    auto moved = move_factors(call, id, to_id, fields.flag("force"));
    if (!moved) return forward(moved);
    // Its policies end with it, as in Vault: a merge gives nobody's policies to somebody else.
    for (const std::string& group : (*from)->groups) store::add_sorted(to.groups, group);
    to.merged.push_back(id);
    to.merged.insert(to.merged.end(), (*from)->merged.begin(), (*from)->merged.end());
    entities.remove(**from);
  }
  entities.save(&**known, to);
  return Response{};
}

}  // namespace

void IdentityBackend::add_merge_routes() {
  routes_.add({.pattern = "entity/merge",
               .fields = {{"from_entity_ids", FieldType::kStrings, "Entities that will be gone."},
                          {"to_entity_id", FieldType::kString, "The entity that they become."},
                          {"force", FieldType::kBoolean,
                           "Of two keys for one second factor, take the one that comes."},
                          {"conflicting_alias_ids_to_keep", FieldType::kStrings,
                           "Of two aliases at one mount, the one that stays."}},
               .handlers = {{Operation::kUpdate, merge}},
               .synopsis = "Makes several entities one; their tokens go on as that one's."});
}

}  // namespace rekey::engine::identity
