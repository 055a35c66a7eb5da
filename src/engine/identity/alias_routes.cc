// identity/entity-alias and identity/group-alias: the names by which mounts know somebody.
#include <algorithm>

#include "engine/identity/identity_backend.h"
#include "engine/identity/view.h"

namespace rekey::engine::identity {
namespace {

using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

constexpr std::string_view kTaken = "combination of mount and alias name is already in use";

std::string_view canonical_id(const logical::Fields& fields) {
  const std::string_view id = fields.text("canonical_id");
  return id.empty() ? fields.text("entity_id") : id;
}

Response named(std::string_view owner, std::string_view alias) {
  return logical::with_data({{"canonical_id", owner}, {"id", alias}});
}

Result<void> check_alias_name(std::string_view name) {
  if (name.size() > store::kAliasNameBytesMax) {
    return logical::bad_request("the alias name is too long");
  }
  return {};
}

// What the request says of the alias itself; moving it between owners is the caller's.
Result<void> apply(CallContext& call, store::Alias& alias) {
  const logical::Fields& fields = call.fields;
  const std::string_view name = fields.text("name"), accessor = fields.text("mount_accessor");
  if (!accessor.empty()) {
    if (auto good = check_accessor(call, accessor); !good) return good;
    alias.mount_accessor = accessor;
  }
  if (!name.empty()) {
    if (auto good = check_alias_name(name); !good) return good;
    alias.name = name;
  }
  if (fields.has("custom_metadata")) {
    alias.custom_metadata = fields.string_map("custom_metadata");
    if (auto good = store::check_metadata(alias.custom_metadata); !good) return good;
  }
  alias.updated = entities_of(call).now_text();
  return {};
}

// ---- of entities

struct Owned {
  store::Entity owner;
  store::Alias alias;
};

Result<std::optional<Owned>> find(CallContext& call, std::string_view alias_id) {
  auto entities = entities_of(call);
  auto owner = entities.owner_of_alias(alias_id);
  if (!owner) return forward(owner);
  if (!*owner) return std::optional<Owned>();
  auto entity = entities.entity(**owner);
  if (!entity) return forward(entity);
  store::Alias* alias = *entity ? (*entity)->alias(alias_id) : nullptr;
  if (alias == nullptr) return std::optional<Owned>();
  store::Alias copy = *alias;
  return Owned{std::move(**entity), std::move(copy)};
}

Result<Response> read(Context& context) {
  CallContext& call = CallContext::of(context);
  auto found = find(call, context.fields.text("id"));
  if (!found) return forward(found);
  if (!*found) return logical::nothing_there();
  return show_alias(call, (*found)->alias, (*found)->owner.id);
}

Result<Response> erase(Context& context) {
  CallContext& call = CallContext::of(context);
  auto found = find(call, context.fields.text("id"));
  if (!found) return forward(found);
  if (!*found) return Response{};
  const store::Entity& before = (*found)->owner;
  store::Entity after = before;
  std::erase_if(after.aliases, [&](const store::Alias& a) { return a.id == (*found)->alias.id; });
  entities_of(call).save(&before, after);
  return Response{};
}

Result<void> check_room(const store::Entity& entity, const store::Alias& alias) {
  const bool taken = std::ranges::any_of(entity.aliases, [&](const store::Alias& other) {
    return other.mount_accessor == alias.mount_accessor && other.id != alias.id;
  });
  if (taken) {
    return logical::bad_request("Alias already exists for requested entity and mount accessor");
  }
  if (entity.aliases.size() >= store::kAliasesMax) {
    return logical::bad_request("too many aliases");
  }
  return {};
}

Result<Response> change(CallContext& call, Owned found) {
  auto entities = entities_of(call);
  store::Alias alias = found.alias;
  if (auto applied = apply(call, alias); !applied) return forward(applied);
  auto place = entities.alias_of(alias.mount_accessor, alias.name);
  if (!place) return forward(place);
  if (*place && (*place)->alias != alias.id) return logical::bad_request(std::string(kTaken));
  const store::Entity before = found.owner;
  store::Entity& owner = found.owner;
  const std::string_view wanted = canonical_id(call.fields);
  if (wanted.empty() || wanted == owner.id) {
    if (auto room = check_room(owner, alias); !room) return forward(room);
    *owner.alias(alias.id) = alias;
    entities.save(&before, owner);
    return named(owner.id, alias.id);
  }
  auto other = entities.entity(wanted);
  if (!other) return forward(other);
  if (!*other) return logical::bad_request("invalid canonical ID");
  if (auto room = check_room(**other, alias); !room) return forward(room);
  std::erase_if(owner.aliases, [&](const store::Alias& a) { return a.id == alias.id; });
  entities.save(&before, owner);
  const store::Entity other_before = **other;
  (*other)->aliases.push_back(alias);
  entities.save(&other_before, **other);
  return named((*other)->id, alias.id);
}

Result<Response> make(CallContext& call) {
  auto entities = entities_of(call);
  store::Alias alias = entities.new_alias("", "");
  if (auto applied = apply(call, alias); !applied) return forward(applied);
  const std::string_view wanted = canonical_id(call.fields);
  if (wanted.empty()) {
    store::Entity entity = entities.new_entity();
    entity.aliases.push_back(alias);
    entities.save(nullptr, entity);
    return named(entity.id, alias.id);
  }
  auto entity = entities.entity(wanted);
  if (!entity) return forward(entity);
  if (!*entity) return logical::bad_request("invalid canonical ID");
  if (auto room = check_room(**entity, alias); !room) return forward(room);
  const store::Entity before = **entity;
  (*entity)->aliases.push_back(alias);
  entities.save(&before, **entity);
  return named((*entity)->id, alias.id);
}

Result<Response> write(Context& context) {
  CallContext& call = CallContext::of(context);
  const logical::Fields& fields = context.fields;
  if (!fields.text("id").empty()) {
    auto found = find(call, fields.text("id"));
    if (!found) return forward(found);
    if (!*found) return logical::bad_request("invalid alias ID provided");
    return change(call, std::move(**found));
  }
  if (fields.text("name").empty() || fields.text("mount_accessor").empty()) {
    return logical::bad_request("'id' or 'mount_accessor' and 'name' must be provided");
  }
  auto place = entities_of(call).alias_of(fields.text("mount_accessor"), fields.text("name"));
  if (!place) return forward(place);
  if (!*place) return make(call);
  auto found = find(call, (*place)->alias);
  if (!found) return forward(found);
  if (!*found) return base::fail(base::ErrorKind::kCorrupt, "an alias leads to no entity");
  return change(call, std::move(**found));
}

Result<Response> list(Context& context) {
  CallContext& call = CallContext::of(context);
  return list_ids(call, "alias/", [&](const std::string& id, JsonObject& info) -> Result<bool> {
    auto found = find(call, id);
    if (!found) return forward(found);
    if (!*found) return false;
    info = describe_alias(call, (*found)->alias, (*found)->owner.id);
    for (const char* rest :
         {"id", "creation_time", "last_update_time", "merged_from_canonical_ids"}) {
      info.erase(rest);
    }
    return true;
  });
}

// ---- of groups

Result<std::optional<store::Group>> group_of(CallContext& call, std::string_view alias_id) {
  auto entities = entities_of(call);
  auto owner = entities.owner_of_group_alias(alias_id);
  if (!owner) return forward(owner);
  if (!*owner) return std::optional<store::Group>();
  auto group = entities.group(**owner);
  if (group && *group && (*group)->aliases.empty()) group->reset();
  return group;
}

Result<Response> read_of_group(Context& context) {
  CallContext& call = CallContext::of(context);
  auto group = group_of(call, context.fields.text("id"));
  if (!group) return forward(group);
  if (!*group) return logical::nothing_there();
  return show_alias(call, (*group)->aliases[0], (*group)->id);
}

Result<Response> erase_of_group(Context& context) {
  CallContext& call = CallContext::of(context);
  auto group = group_of(call, context.fields.text("id"));
  if (!group) return forward(group);
  if (!*group) return Response{};
  const store::Group before = **group;
  (*group)->aliases.clear();
  entities_of(call).save(&before, **group);
  return Response{};
}

// The group that the alias is to name: the one asked for, the one it names already, or a new one.
Result<std::optional<store::Group>> target(CallContext& call, std::optional<store::Group> present) {
  const std::string_view wanted = canonical_id(call.fields);
  if (wanted.empty() || (present && present->id == wanted)) return present;
  auto group = entities_of(call).group(wanted);
  if (!group) return forward(group);
  if (!*group) return logical::bad_request("invalid group ID given in 'canonical_id'");
  return group;
}

Result<Response> write_of_group(Context& context) {
  CallContext& call = CallContext::of(context);
  const logical::Fields& fields = context.fields;
  auto entities = entities_of(call);
  std::optional<store::Group> present;
  std::string alias_id(fields.text("id"));
  if (alias_id.empty()) {
    if (fields.text("name").empty()) return logical::bad_request("missing alias name");
    if (fields.text("mount_accessor").empty()) {
      return logical::bad_request("missing mount_accessor");
    }
    auto place = entities.group_alias_of(fields.text("mount_accessor"), fields.text("name"));
    if (!place) return forward(place);
    if (*place) alias_id = (*place)->alias;
  }
  if (!alias_id.empty()) {
    auto found = group_of(call, alias_id);
    if (!found) return forward(found);
    if (!*found) return logical::bad_request("invalid group alias ID");
    present = std::move(**found);
  }
  auto group = target(call, present);
  if (!group) return forward(group);
  if (*group && !(*group)->external) {
    return logical::bad_request("alias can't be set on an internal group");
  }
  store::Alias alias = present ? present->aliases[0] : entities.new_alias("", "");
  if (auto applied = apply(call, alias); !applied) return forward(applied);
  auto place = entities.group_alias_of(alias.mount_accessor, alias.name);
  if (!place) return forward(place);
  if (*place && (*place)->alias != alias.id) return logical::bad_request(std::string(kTaken));
  const std::optional<store::Group> before = *group;
  store::Group after = *group ? **group : entities.new_group();
  if (present && present->id != after.id) {
    store::Group emptied = *present;
    emptied.aliases.clear();
    entities.save(&*present, emptied);
  }
  after.external = true;
  after.aliases = {alias};
  entities.save(before ? &*before : nullptr, after);
  return named(after.id, alias.id);
}

Result<Response> list_of_groups(Context& context) {
  CallContext& call = CallContext::of(context);
  return list_ids(call, "group-alias/",
                  [&](const std::string& id, JsonObject& info) -> Result<bool> {
                    auto group = group_of(call, id);
                    if (!group) return forward(group);
                    if (!*group) return false;
                    info = describe_alias(call, (*group)->aliases[0], (*group)->id);
                    for (const char* rest :
                         {"id", "creation_time", "last_update_time", "merged_from_canonical_ids"}) {
                      info.erase(rest);
                    }
                    return true;
                  });
}

const std::vector<Field>& alias_fields() {
  static const std::vector<Field> fields = {
      {"id", FieldType::kString, "The alias' id; made by the server."},
      {"name", FieldType::kString, "The name by which the mount knows them."},
      {"canonical_id", FieldType::kString, "The entity or group that it stands for."},
      {"entity_id", FieldType::kString, "Older name of canonical_id."},
      {"mount_accessor", FieldType::kString, "Of the auth mount."},
      {"custom_metadata", FieldType::kStringMap, "Pairs of text that policies can refer to."}};
  return fields;
}

}  // namespace

void IdentityBackend::add_entity_alias_routes() {
  routes_.add({.pattern = "entity-alias",
               .fields = alias_fields(),
               .handlers = {{Operation::kUpdate, write}},
               .synopsis = "Makes or changes an entity's alias."});
  routes_.add({.pattern = "entity-alias/id",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list}},
               .synopsis = "Lists the aliases of all entities.",
               .blocking = true});
  routes_.add({.pattern = "entity-alias/id/{id}",
               .fields = alias_fields(),
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, write},
                            {Operation::kDelete, erase}},
               .synopsis = "An entity's alias: how an auth mount knows it."});
}

void IdentityBackend::add_group_alias_routes() {
  routes_.add({.pattern = "group-alias",
               .fields = alias_fields(),
               .handlers = {{Operation::kUpdate, write_of_group}},
               .synopsis = "Makes or changes an external group's alias."});
  routes_.add({.pattern = "group-alias/id",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list_of_groups}},
               .synopsis = "Lists the aliases of all groups.",
               .blocking = true});
  routes_.add({.pattern = "group-alias/id/{id}",
               .fields = alias_fields(),
               .handlers = {{Operation::kRead, read_of_group},
                            {Operation::kUpdate, write_of_group},
                            {Operation::kDelete, erase_of_group}},
               .synopsis = "An external group's alias: what an auth mount calls it."});
}

}  // namespace rekey::engine::identity
