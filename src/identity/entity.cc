#include "identity/entity.h"

#include <algorithm>

namespace rekey::identity {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using logical::object_of;
using logical::pairs_at;
using logical::strings_at;

Json encode_alias(const Alias& alias) {
  JsonObject row{{"id", alias.id},
                 {"name", alias.name},
                 {"mount_accessor", alias.mount_accessor},
                 {"created", alias.created},
                 {"updated", alias.updated}};
  if (!alias.metadata.empty()) row.set("metadata", object_of(alias.metadata));
  if (!alias.custom_metadata.empty()) row.set("custom_metadata", object_of(alias.custom_metadata));
  if (!alias.merged_from.empty()) row.set("merged_from", Json::strings(alias.merged_from));
  return row;
}

Alias decode_alias(const Json& row) {
  Alias alias;
  alias.id = row.string_or("id", "");
  alias.name = row.string_or("name", "");
  alias.mount_accessor = row.string_or("mount_accessor", "");
  alias.metadata = pairs_at(row, "metadata");
  alias.custom_metadata = pairs_at(row, "custom_metadata");
  alias.merged_from = strings_at(row, "merged_from");
  alias.created = row.string_or("created", "");
  alias.updated = row.string_or("updated", "");
  return alias;
}

void set_aliases(JsonObject& row, const std::vector<Alias>& aliases) {
  if (aliases.empty()) return;
  JsonArray list;
  for (const Alias& alias : aliases) list.push_back(encode_alias(alias));
  row.set("aliases", std::move(list));
}

std::vector<Alias> aliases_at(const Json& row) {
  std::vector<Alias> out;
  const Json* list = row.find("aliases");
  if (list == nullptr || list->as_array() == nullptr) return out;
  for (const Json& item : *list->as_array()) out.push_back(decode_alias(item));
  return out;
}

void set_strings(JsonObject& row, std::string_view name, const std::vector<std::string>& items) {
  if (!items.empty()) row.set(name, Json::strings(items));
}

}  // namespace

Alias* Entity::alias_of(std::string_view mount_accessor, std::string_view alias_name) {
  const auto at = std::ranges::find_if(aliases, [&](const Alias& alias) {
    return alias.mount_accessor == mount_accessor && alias.name == alias_name;
  });
  return at == aliases.end() ? nullptr : &*at;
}

Alias* Entity::alias(std::string_view alias_id) {
  const auto at = std::ranges::find(aliases, alias_id, &Alias::id);
  return at == aliases.end() ? nullptr : &*at;
}

std::string encode_entity(const Entity& entity) {
  JsonObject row{{"id", entity.id},
                 {"name", entity.name},
                 {"created", entity.created},
                 {"updated", entity.updated}};
  set_strings(row, "policies", entity.policies);
  if (!entity.metadata.empty()) row.set("metadata", object_of(entity.metadata));
  if (entity.disabled) row.set("disabled", true);
  set_aliases(row, entity.aliases);
  set_strings(row, "groups", entity.groups);
  set_strings(row, "merged", entity.merged);
  return Json(std::move(row)).dump();
}

base::Result<Entity> decode_entity(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object() || row->string_or("id", "").empty()) {
    return base::fail(ErrorKind::kCorrupt, "an entity's row can't be read");
  }
  Entity entity;
  entity.id = row->string_or("id", "");
  entity.name = row->string_or("name", "");
  entity.policies = strings_at(*row, "policies");
  entity.metadata = pairs_at(*row, "metadata");
  entity.disabled = logical::flag_at(*row, "disabled");
  entity.aliases = aliases_at(*row);
  entity.groups = strings_at(*row, "groups");
  entity.merged = strings_at(*row, "merged");
  entity.created = row->string_or("created", "");
  entity.updated = row->string_or("updated", "");
  return entity;
}

std::string encode_group(const Group& group) {
  JsonObject row{{"id", group.id},
                 {"name", group.name},
                 {"type", group.external ? "external" : "internal"},
                 {"revision", group.revision},
                 {"created", group.created},
                 {"updated", group.updated}};
  set_strings(row, "policies", group.policies);
  if (!group.metadata.empty()) row.set("metadata", object_of(group.metadata));
  set_strings(row, "children", group.children);
  set_strings(row, "parents", group.parents);
  set_aliases(row, group.aliases);
  return Json(std::move(row)).dump();
}

base::Result<Group> decode_group(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object() || row->string_or("id", "").empty()) {
    return base::fail(ErrorKind::kCorrupt, "a group's row can't be read");
  }
  Group group;
  group.id = row->string_or("id", "");
  group.name = row->string_or("name", "");
  group.external = row->string_or("type", "") == "external";
  group.revision = logical::int_at(*row, "revision");
  group.policies = strings_at(*row, "policies");
  group.metadata = pairs_at(*row, "metadata");
  group.children = strings_at(*row, "children");
  group.parents = strings_at(*row, "parents");
  group.aliases = aliases_at(*row);
  group.created = row->string_or("created", "");
  group.updated = row->string_or("updated", "");
  return group;
}

bool add_sorted(std::vector<std::string>& list, std::string_view item) {
  const auto at = std::ranges::lower_bound(list, item);
  if (at != list.end() && *at == item) return false;
  list.insert(at, std::string(item));
  return true;
}

bool remove_sorted(std::vector<std::string>& list, std::string_view item) {
  const auto at = std::ranges::lower_bound(list, item);
  if (at == list.end() || *at != item) return false;
  list.erase(at);
  return true;
}

}  // namespace rekey::identity
