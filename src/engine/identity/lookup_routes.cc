// identity/lookup/entity and identity/lookup/group: by id, name or alias.
#include "engine/identity/identity_backend.h"
#include "engine/identity/view.h"

namespace rekey::engine::identity {
namespace {

using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

// Exactly one way to say who is meant.
Result<void> check(const logical::Fields& fields) {
  const auto given = [&](std::string_view name) { return !fields.text(name).empty(); };
  const bool half = given("alias_name") != given("alias_mount_accessor");
  if (half) {
    return logical::bad_request("both 'alias_name' and 'alias_mount_accessor' needs to be set");
  }
  const int ways = given("id") + given("name") + given("alias_id") + given("alias_name");
  if (ways == 0) return logical::bad_request("query parameter not supplied");
  if (ways > 1) {
    return logical::bad_request(
        "query parameter conflict; please supply distinct set of query parameters");
  }
  return {};
}

Result<std::string> entity_id(CallContext& call) {
  const logical::Fields& fields = call.fields;
  auto entities = entities_of(call);
  if (!fields.text("id").empty()) return std::string(fields.text("id"));
  if (!fields.text("alias_id").empty()) {
    auto owner = entities.owner_of_alias(fields.text("alias_id"));
    if (!owner) return forward(owner);
    return owner->value_or("");
  }
  auto place = entities.alias_of(fields.text("alias_mount_accessor"), fields.text("alias_name"));
  if (!place) return forward(place);
  return *place ? (*place)->owner : "";
}

Result<Response> lookup_entity(Context& context) {
  if (auto good = check(context.fields); !good) return forward(good);
  CallContext& call = CallContext::of(context);
  auto entities = entities_of(call);
  Result<std::optional<store::Entity>> entity = std::optional<store::Entity>();
  if (!context.fields.text("name").empty()) {
    entity = entities.entity_by_name(context.fields.text("name"));
  } else {
    auto id = entity_id(call);
    if (!id) return forward(id);
    entity = entities.entity_or_merged(*id);
  }
  if (!entity) return forward(entity);
  if (!*entity) return Response{};
  return show_entity(call, **entity);
}

Result<std::string> group_id(CallContext& call) {
  const logical::Fields& fields = call.fields;
  auto entities = entities_of(call);
  if (!fields.text("id").empty()) return std::string(fields.text("id"));
  if (!fields.text("alias_id").empty()) {
    auto owner = entities.owner_of_group_alias(fields.text("alias_id"));
    if (!owner) return forward(owner);
    return owner->value_or("");
  }
  auto place =
      entities.group_alias_of(fields.text("alias_mount_accessor"), fields.text("alias_name"));
  if (!place) return forward(place);
  return *place ? (*place)->owner : "";
}

Result<Response> lookup_group(Context& context) {
  if (auto good = check(context.fields); !good) return forward(good);
  CallContext& call = CallContext::of(context);
  auto entities = entities_of(call);
  Result<std::optional<store::Group>> group = std::optional<store::Group>();
  if (!context.fields.text("name").empty()) {
    group = entities.group_by_name(context.fields.text("name"));
  } else {
    auto id = group_id(call);
    if (!id) return forward(id);
    group = entities.group(*id);
  }
  if (!group) return forward(group);
  if (!*group) return Response{};
  return show_group(call, **group);
}

}  // namespace

void IdentityBackend::add_lookup_routes() {
  const std::vector<Field> fields = {
      {"id", FieldType::kString, "Its id."},
      {"name", FieldType::kString, "Its name."},
      {"alias_id", FieldType::kString, "The id of an alias of it."},
      {"alias_name", FieldType::kString, "The name of an alias of it."},
      {"alias_mount_accessor", FieldType::kString, "The mount of that alias."}};
  routes_.add({.pattern = "lookup/entity",
               .fields = fields,
               .handlers = {{Operation::kUpdate, lookup_entity}},
               .synopsis = "Finds an entity."});
  routes_.add({.pattern = "lookup/group",
               .fields = fields,
               .handlers = {{Operation::kUpdate, lookup_group}},
               .synopsis = "Finds a group."});
}

}  // namespace rekey::engine::identity
