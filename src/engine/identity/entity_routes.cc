// identity/entity: by id and by name, batch-delete.
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

Result<std::optional<store::Entity>> find(CallContext& call, bool by_name) {
  auto entities = entities_of(call);
  return by_name ? entities.entity_by_name(call.fields.text("name"))
                 : entities.entity(call.fields.text("id"));
}

Result<Response> read(Context& context, bool by_name) {
  CallContext& call = CallContext::of(context);
  auto entity = find(call, by_name);
  if (!entity) return forward(entity);
  if (!*entity) return logical::nothing_there();
  return show_entity(call, **entity);
}

Result<Response> erase(Context& context, bool by_name) {
  CallContext& call = CallContext::of(context);
  auto entity = find(call, by_name);
  if (!entity) return forward(entity);
  // Its tokens are refused from now on: there is nobody any more whom they stand for.
  if (!*entity) return Response{};
  if (auto forgotten = forget_factors(call, (*entity)->id); !forgotten) return forward(forgotten);
  entities_of(call).remove(**entity);
  return Response{};
}

Result<void> apply(CallContext& call, const store::Entity* before, store::Entity& entity) {
  const logical::Fields& fields = call.fields;
  const std::string_view name = fields.text("name");
  if (!name.empty() && name != entity.name) {
    if (auto good = store::check_name("entity", name); !good) return good;
    entity.name = name;
  }
  if (before == nullptr || before->name != entity.name) {
    auto other = entities_of(call).entity_by_name(entity.name);
    if (!other) return forward(other);
    if (*other && (*other)->id != entity.id) {
      return logical::bad_request("entity name is already in use");
    }
  }
  if (auto read = read_policies(fields, entity.policies); !read) return read;
  if (auto read = read_metadata(fields, entity.metadata); !read) return read;
  entity.disabled = fields.flag("disabled", entity.disabled);
  return {};
}

// By the id if one is given, else by the name, else a new one.
Result<Response> write(Context& context) {
  CallContext& call = CallContext::of(context);
  auto entities = entities_of(call);
  const std::string_view id = context.fields.text("id"), name = context.fields.text("name");
  Result<std::optional<store::Entity>> known = std::optional<store::Entity>();
  if (!id.empty()) {
    known = entities.entity(id);
    if (known && !*known) return logical::bad_request("entity not found from id");
  } else if (!name.empty()) {
    known = entities.entity_by_name(name);
  }
  if (!known) return forward(known);
  const store::Entity* before = *known ? &**known : nullptr;
  store::Entity entity = before != nullptr ? *before : entities.new_entity();
  auto applied = apply(call, before, entity);
  if (!applied) return forward(applied);
  entities.save(before, entity);
  if (before != nullptr) return Response{};
  return logical::with_data({{"aliases", nullptr}, {"id", entity.id}, {"name", entity.name}});
}

Result<bool> exists(Context& context, bool by_name) {
  auto entity = find(CallContext::of(context), by_name);
  if (!entity) return forward(entity);
  return entity->has_value();
}

Result<Response> list_by_id(Context& context) {
  CallContext& call = CallContext::of(context);
  return list_ids(call, "entity/", [&](const std::string& id, JsonObject& info) -> Result<bool> {
    auto row = call.txn->peek(store::entity_key(id));
    if (!row) return forward(row);
    if (!*row) return false;
    auto entity = store::decode_entity(**row);
    if (!entity) return forward(entity);
    info.set("name", entity->name);
    if (entity->aliases.empty()) return true;
    base::JsonArray aliases;
    for (const store::Alias& alias : entity->aliases) {
      JsonObject shown = describe_alias(call, alias, id);
      for (const char* rest :
           {"canonical_id", "creation_time", "custom_metadata", "last_update_time", "local",
            "metadata", "merged_from_canonical_ids"}) {
        shown.erase(rest);
      }
      aliases.emplace_back(std::move(shown));
    }
    info.set("aliases", std::move(aliases));
    return true;
  });
}

Result<Response> batch_delete(Context& context) {
  const std::vector<std::string> ids = context.fields.strings("entity_ids");
  if (ids.empty()) return logical::bad_request("missing entity ids to delete");
  if (ids.size() > kBatchDeleteMax) {
    return logical::bad_request("too many entities in one request: at most " +
                                std::to_string(kBatchDeleteMax));
  }
  CallContext& call = CallContext::of(context);
  auto entities = entities_of(call);
  for (const std::string& id : ids) {
    auto entity = entities.entity(id);
    if (!entity) return forward(entity);
    if (!*entity) continue;
    if (auto forgotten = forget_factors(call, id); !forgotten) return forward(forgotten);
    entities.remove(**entity);
  }
  return Response{};
}

}  // namespace

void IdentityBackend::add_entity_routes() {
  const std::vector<Field> fields = {
      {"id", FieldType::kString, "The entity's id; made by the server."},
      {"name", FieldType::kString, "Its name."},
      {"metadata", FieldType::kStringMap, "Pairs of text that policies can refer to."},
      {"policies", FieldType::kStrings, "Policies that its tokens have besides their own."},
      {"disabled", FieldType::kBoolean, "Refuses its tokens and logins."}};
  const std::vector<Field> pages = {logical::after_field(), logical::limit_field()};
  routes_.add({.pattern = "entity",
               .fields = fields,
               .handlers = {{Operation::kUpdate, write}},
               .synopsis = "Makes or changes an entity."});
  for (const bool by_name : {false, true}) {
    const std::string folder = by_name ? "entity/name" : "entity/id";
    const auto end = [by_name](Context& c) { return erase(c, by_name); };
    routes_.add({.pattern = folder,
                 .fields = pages,
                 .handlers = {{Operation::kList,
                               [by_name](Context& c) {
                                 return by_name ? list_names(CallContext::of(c), "entity-name/")
                                                : list_by_id(c);
                               }}},
                 .synopsis = "Lists the entities.",
                 .blocking = true});
    routes_.add(
        {.pattern = folder + (by_name ? "/{name}" : "/{id}"),
         .fields = fields,
         .handlers = {{Operation::kRead, [by_name](Context& c) { return read(c, by_name); }},
                      {Operation::kUpdate, write},
                      {Operation::kDelete, end}},
         .synopsis = "An entity: somebody, whichever way they log in.",
         .exists = [by_name](Context& c) { return exists(c, by_name); }});
  }
  routes_.add({.pattern = "entity/batch-delete",
               .fields = {{"entity_ids", FieldType::kStrings, "The entities' ids."}},
               .handlers = {{Operation::kUpdate, batch_delete}},
               .synopsis = "Deletes several entities at once."});
}

IdentityBackend::IdentityBackend(std::string api_address) : api_address_(std::move(api_address)) {
  add_entity_routes();
  add_merge_routes();
  add_entity_alias_routes();
  add_group_routes();
  add_group_alias_routes();
  add_lookup_routes();
  add_mfa_totp_routes();
  add_mfa_method_routes();
  add_mfa_enforcement_routes();
  add_oidc_key_routes();
  add_oidc_role_routes();
  add_oidc_token_routes();
}

}  // namespace rekey::engine::identity
