#include "engine/identity/view.h"

#include <algorithm>

#include "engine/identity/identity_backend.h"
#include "identity/standing.h"
#include "logical/token_params.h"
#include "pipeline/login.h"

namespace rekey::engine::identity {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Response;
using pipeline::CallContext;

Json object_or_null(const logical::StringPairs& pairs) {
  return pairs.empty() ? Json() : Json(logical::object_of(pairs));
}

Json strings_or_null(const std::vector<std::string>& items) {
  return items.empty() ? Json() : Json::strings(items);
}

}  // namespace

JsonObject describe_alias(const CallContext& call, const store::Alias& alias,
                          std::string_view owner) {
  const auto mount = pipeline::mount_by_accessor(*call.state, alias.mount_accessor);
  return {{"canonical_id", owner},
          {"creation_time", alias.created},
          {"custom_metadata", object_or_null(alias.custom_metadata)},
          {"id", alias.id},
          {"last_update_time", alias.updated},
          {"local", false},
          {"merged_from_canonical_ids", strings_or_null(alias.merged_from)},
          {"metadata", object_or_null(alias.metadata)},
          {"mount_accessor", alias.mount_accessor},
          {"mount_path", mount == nullptr ? std::string() : mount->path},
          {"mount_type", mount == nullptr ? std::string() : mount->type},
          {"name", alias.name}};
}

Response show_alias(const CallContext& call, const store::Alias& alias, std::string_view owner) {
  JsonObject data = describe_alias(call, alias, owner);
  data.set("namespace_id", "root");
  return logical::with_data(std::move(data));
}

Result<Response> show_entity(CallContext& call, const store::Entity& entity) {
  auto standing = store::find_standing(*call.txn, entity.id, nullptr);
  if (!standing) return forward(standing);
  JsonArray aliases, direct, inherited, all;
  for (const store::Alias& alias : entity.aliases) {
    aliases.emplace_back(describe_alias(call, alias, entity.id));
  }
  if (*standing != nullptr) {
    for (const auto& group : (*standing)->names.groups) {
      const bool member = std::ranges::binary_search(entity.groups, group.id);
      (member ? direct : inherited).emplace_back(group.id);
      all.emplace_back(group.id);
    }
  }
  return logical::with_data({{"aliases", std::move(aliases)},
                             {"creation_time", entity.created},
                             {"direct_group_ids", std::move(direct)},
                             {"disabled", entity.disabled},
                             {"group_ids", std::move(all)},
                             {"id", entity.id},
                             {"inherited_group_ids", std::move(inherited)},
                             {"last_update_time", entity.updated},
                             {"merged_entity_ids", strings_or_null(entity.merged)},
                             {"metadata", object_or_null(entity.metadata)},
                             {"name", entity.name},
                             {"namespace_id", "root"},
                             {"policies", Json::strings(entity.policies)}});
}

Result<Response> show_group(CallContext& call, const store::Group& group) {
  auto members = entities_of(call).members(group.id);
  if (!members) return forward(members);
  JsonObject alias;
  if (!group.aliases.empty()) {
    alias = describe_alias(call, group.aliases[0], group.id);
    alias.erase("custom_metadata");
    alias.erase("local");
  }
  return logical::with_data({{"alias", std::move(alias)},
                             {"creation_time", group.created},
                             {"id", group.id},
                             {"last_update_time", group.updated},
                             {"member_entity_ids", strings_or_null(*members)},
                             {"member_group_ids", strings_or_null(group.children)},
                             {"metadata", object_or_null(group.metadata)},
                             {"modify_index", group.revision},
                             {"name", group.name},
                             {"namespace_id", "root"},
                             {"parent_group_ids", strings_or_null(group.parents)},
                             {"policies", Json::strings(group.policies)},
                             {"type", group.external ? "external" : "internal"}});
}

Result<Response> list_ids(CallContext& call, std::string_view folder, const Info& info) {
  auto page = logical::read_page(call.fields);
  if (!page) return forward(page);
  auto ids = call.storage->list(folder, page->after, page->limit);
  if (!ids) return forward(ids);
  if (ids->empty()) return logical::nothing_there();
  JsonArray keys;
  JsonObject infos;
  for (const std::string& id : *ids) {
    JsonObject entry;
    auto shown = info(id, entry);
    if (!shown) return forward(shown);
    if (!*shown) continue;
    keys.emplace_back(id);
    infos.set(id, std::move(entry));
  }
  return logical::with_data({{"keys", std::move(keys)}, {"key_info", std::move(infos)}});
}

Result<Response> list_names(CallContext& call, std::string_view folder) {
  auto page = logical::read_page(call.fields);
  if (!page) return forward(page);
  std::vector<std::string> names;
  auto scanned = call.storage->scan(folder, "", [&](std::string_view, std::string_view place) {
    const size_t space = place.find(' ');
    std::string name(place.substr(space == place.npos ? 0 : space + 1));
    if (page->after.empty() || name > page->after) names.push_back(std::move(name));
    return names.size() < page->limit;
  });
  if (!scanned) return forward(scanned);
  return logical::with_keys(names);
}

Result<void> read_policies(const logical::Fields& fields, std::vector<std::string>& into) {
  if (!fields.has("policies")) return {};
  into = logical::clean_policies(fields.strings("policies"));
  if (std::ranges::binary_search(into, std::string_view("root"))) {
    return logical::bad_request("policies cannot contain root");
  }
  if (into.size() > kPoliciesMax) return logical::bad_request("too many policies");
  return {};
}

Result<void> read_metadata(const logical::Fields& fields, logical::StringPairs& into) {
  if (!fields.has("metadata")) return {};
  into = fields.string_map("metadata");
  return store::check_metadata(into);
}

Result<void> check_accessor(const CallContext& call, std::string_view accessor) {
  const auto mount = pipeline::mount_by_accessor(*call.state, accessor);
  if (mount != nullptr && mount->is_auth()) return {};
  return logical::bad_request("invalid mount accessor \"" + std::string(accessor) + "\"");
}

}  // namespace rekey::engine::identity
