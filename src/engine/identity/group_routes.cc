// identity/group: by id and by name; members, groups in groups.
#include <algorithm>
#include <set>

#include "engine/identity/identity_backend.h"
#include "engine/identity/view.h"

namespace rekey::engine::identity {
namespace {

using base::ErrorKind;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

Result<std::optional<store::Group>> find(CallContext& call, bool by_name) {
  auto entities = entities_of(call);
  return by_name ? entities.group_by_name(call.fields.text("name"))
                 : entities.group(call.fields.text("id"));
}

Result<Response> read(Context& context, bool by_name) {
  CallContext& call = CallContext::of(context);
  auto group = find(call, by_name);
  if (!group) return forward(group);
  if (!*group) return logical::nothing_there();
  return show_group(call, **group);
}

// ---- members

Result<void> set_member(store::EntityStore& entities, const std::string& group_id,
                        const std::string& entity_id, bool member) {
  auto entity = entities.entity(entity_id);
  if (!entity) return forward(entity);
  if (!*entity) {
    if (!member) return {};
    return logical::bad_request("invalid entity ID \"" + entity_id + "\"");
  }
  const store::Entity before = **entity;
  const bool changed = member ? store::add_sorted((*entity)->groups, group_id)
                              : store::remove_sorted((*entity)->groups, group_id);
  if ((*entity)->groups.size() > store::kEntityGroupsMax) {
    return logical::bad_request("an entity is a member of too many groups");
  }
  if (changed) entities.save(&before, **entity);
  return {};
}

// Makes the members exactly `wanted`. Only what changes is touched.
Result<void> set_members(store::EntityStore& entities, const std::string& group_id,
                         std::vector<std::string> wanted) {
  auto present = entities.members(group_id);
  if (!present) return forward(present);
  std::ranges::sort(wanted);
  const auto rest = std::ranges::unique(wanted);
  wanted.erase(rest.begin(), rest.end());
  std::vector<std::string> added, removed;
  std::ranges::set_difference(wanted, *present, std::back_inserter(added));
  std::ranges::set_difference(*present, wanted, std::back_inserter(removed));
  if (added.size() + removed.size() > kMembersChangedMax) {
    return logical::bad_request("too many members changed in one request: at most " +
                                std::to_string(kMembersChangedMax));
  }
  for (const std::string& id : removed) {
    auto set = set_member(entities, group_id, id, false);
    if (!set) return set;
  }
  for (const std::string& id : added) {
    auto set = set_member(entities, group_id, id, true);
    if (!set) return set;
  }
  return {};
}

// ---- groups in groups

// Whether `wanted` is `group` or above it: then it can't be in it.
Result<bool> is_above(store::EntityStore& entities, const store::Group& group,
                      const std::string& wanted) {
  std::vector<std::string> open = group.parents;
  std::set<std::string> seen;
  while (!open.empty()) {
    const std::string id = std::move(open.back());
    open.pop_back();
    if (id == wanted) return true;
    if (!seen.insert(id).second) continue;
    if (seen.size() > store::kGroupsResolvedMax) {
      return logical::bad_request("too many groups in groups");
    }
    auto above = entities.group(id);
    if (!above) return forward(above);
    if (*above) open.insert(open.end(), (*above)->parents.begin(), (*above)->parents.end());
  }
  return false;
}

Result<void> set_parent(store::EntityStore& entities, const std::string& child_id,
                        const std::string& parent_id, bool parent) {
  auto child = entities.group(child_id);
  if (!child) return forward(child);
  if (!*child) {
    if (!parent) return {};
    return logical::bad_request("invalid member group ID \"" + child_id + "\"");
  }
  const store::Group before = **child;
  const bool changed = parent ? store::add_sorted((*child)->parents, parent_id)
                              : store::remove_sorted((*child)->parents, parent_id);
  if ((*child)->parents.size() > store::kGroupParentsMax) {
    return logical::bad_request("a group is in too many groups");
  }
  if (changed) entities.save(&before, **child);
  return {};
}

Result<void> set_children(store::EntityStore& entities, store::Group& group,
                          std::vector<std::string> wanted) {
  std::ranges::sort(wanted);
  const auto rest = std::ranges::unique(wanted);
  wanted.erase(rest.begin(), rest.end());
  if (wanted.size() > kMembersChangedMax) return logical::bad_request("too many groups");
  for (const std::string& id : wanted) {
    if (std::ranges::binary_search(group.children, id)) continue;
    if (id == group.id) {
      return logical::bad_request("member group ID \"" + id + "\" is same as the ID of the group");
    }
    auto above = is_above(entities, group, id);
    if (!above) return forward(above);
    if (*above) {
      return logical::bad_request("cyclic relationship detected for member group ID \"" + id +
                                  "\"");
    }
    auto set = set_parent(entities, id, group.id, true);
    if (!set) return set;
  }
  for (const std::string& id : group.children) {
    if (std::ranges::binary_search(wanted, id)) continue;
    auto set = set_parent(entities, id, group.id, false);
    if (!set) return set;
  }
  group.children = std::move(wanted);
  return {};
}

// ---- writing

Result<void> apply_type(const logical::Fields& fields, bool is_new, store::Group& group) {
  const std::string_view type = fields.text("type");
  if (type.empty()) return {};
  if (type != "internal" && type != "external") {
    return logical::bad_request("invalid group type \"" + std::string(type) + "\"");
  }
  const bool external = type == "external";
  if (!is_new && external != group.external) {
    return logical::bad_request("group type cannot be changed");
  }
  group.external = external;
  return {};
}

Result<void> apply(CallContext& call, const store::Group* before, store::Group& group) {
  const logical::Fields& fields = call.fields;
  auto entities = entities_of(call);
  if (auto read = apply_type(fields, before == nullptr, group); !read) return read;
  const std::string_view name = fields.text("name");
  if (!name.empty()) {
    if (auto good = store::check_name("group", name); !good) return good;
    group.name = name;
  }
  if (before == nullptr || before->name != group.name) {
    auto other = entities.group_by_name(group.name);
    if (!other) return forward(other);
    if (*other && (*other)->id != group.id) {
      return logical::bad_request("group name is already in use");
    }
  }
  if (auto read = read_policies(fields, group.policies); !read) return read;
  if (auto read = read_metadata(fields, group.metadata); !read) return read;
  if (fields.has("member_entity_ids")) {
    if (group.external) {
      return logical::bad_request("member entities can't be set manually for external groups");
    }
    auto set = set_members(entities, group.id, fields.strings("member_entity_ids"));
    if (!set) return set;
  }
  if (!fields.has("member_group_ids")) return {};
  return set_children(entities, group, fields.strings("member_group_ids"));
}

Result<Response> write(Context& context) {
  CallContext& call = CallContext::of(context);
  auto entities = entities_of(call);
  const std::string_view id = context.fields.text("id"), name = context.fields.text("name");
  Result<std::optional<store::Group>> known = std::optional<store::Group>();
  if (!id.empty()) {
    known = entities.group(id);
    if (known && !*known) return logical::bad_request("invalid group ID");
  } else if (!name.empty()) {
    known = entities.group_by_name(name);
  }
  if (!known) return forward(known);
  const store::Group* before = *known ? &**known : nullptr;
  store::Group group = before != nullptr ? *before : entities.new_group();
  auto applied = apply(call, before, group);
  if (!applied) return forward(applied);
  entities.save(before, group);
  if (before != nullptr) return Response{};
  return logical::with_data({{"id", group.id}, {"name", group.name}});
}

// Members beyond what fits in one commit keep a reference to a group that is no more; its id is
// never used again.
Result<Response> erase(Context& context, bool by_name) {
  CallContext& call = CallContext::of(context);
  auto group = find(call, by_name);
  if (!group) return forward(group);
  if (!*group) return Response{};
  auto entities = entities_of(call);
  auto members = entities.members((*group)->id);
  if (!members) return forward(members);
  if (members->size() > kMembersChangedMax) members->resize(kMembersChangedMax);
  for (const std::string& id : *members) {
    auto set = set_member(entities, (*group)->id, id, false);
    if (!set) return forward(set);
  }
  for (const std::string& id : (*group)->children) {
    auto set = set_parent(entities, id, (*group)->id, false);
    if (!set) return forward(set);
  }
  for (const std::string& id : (*group)->parents) {
    auto parent = entities.group(id);
    if (!parent) return forward(parent);
    if (!*parent) continue;
    const store::Group before = **parent;
    if (store::remove_sorted((*parent)->children, (*group)->id)) entities.save(&before, **parent);
  }
  entities.remove(**group);
  return Response{};
}

Result<bool> exists(Context& context, bool by_name) {
  auto group = find(CallContext::of(context), by_name);
  if (!group) return forward(group);
  return group->has_value();
}

Result<Response> list_by_id(Context& context) {
  CallContext& call = CallContext::of(context);
  return list_ids(call, "group/", [&](const std::string& id, JsonObject& info) -> Result<bool> {
    auto row = call.txn->peek(store::group_key(id));
    if (!row) return forward(row);
    if (!*row) return false;
    auto group = store::decode_group(**row);
    if (!group) return forward(group);
    auto members = entities_of(call).members(id);
    if (!members) return forward(members);
    info.set("name", group->name);
    info.set("num_member_entities", static_cast<int64_t>(members->size()));
    info.set("num_parent_groups", static_cast<int64_t>(group->parents.size()));
    return true;
  });
}

}  // namespace

void IdentityBackend::add_group_routes() {
  const std::vector<Field> fields = {
      {"id", FieldType::kString, "The group's id; made by the server."},
      {"name", FieldType::kString, "Its name."},
      {"type", FieldType::kString, "internal, or external: its members come with their logins."},
      {"metadata", FieldType::kStringMap, "Pairs of text that policies can refer to."},
      {"policies", FieldType::kStrings, "Policies of its members."},
      {"member_entity_ids", FieldType::kStrings, "Entities in it."},
      {"member_group_ids", FieldType::kStrings, "Groups in it, with their members."}};
  routes_.add({.pattern = "group",
               .fields = fields,
               .handlers = {{Operation::kUpdate, write}},
               .synopsis = "Makes or changes a group."});
  for (const bool by_name : {false, true}) {
    const std::string folder = by_name ? "group/name" : "group/id";
    const auto end = [by_name](Context& c) { return erase(c, by_name); };
    routes_.add({.pattern = folder,
                 .fields = {logical::after_field(), logical::limit_field()},
                 .handlers = {{Operation::kList,
                               [by_name](Context& c) {
                                 return by_name ? list_names(CallContext::of(c), "group-name/")
                                                : list_by_id(c);
                               }}},
                 .synopsis = "Lists the groups.",
                 .blocking = true});
    routes_.add(
        {.pattern = folder + (by_name ? "/{name}" : "/{id}"),
         .fields = fields,
         .handlers = {{Operation::kRead, [by_name](Context& c) { return read(c, by_name); }},
                      {Operation::kUpdate, write},
                      {Operation::kDelete, end}},
         .synopsis = "A group: policies for several entities at once.",
         .exists = [by_name](Context& c) { return exists(c, by_name); }});
  }
}

}  // namespace rekey::engine::identity
