// identity/mfa/login-enforcement: which logins need which second factor.
#include <algorithm>

#include "engine/identity/identity_backend.h"
#include "engine/identity/view.h"
#include "identity/mfa.h"

namespace rekey::engine::identity {
namespace {

using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;
using store::MfaEnforcement;
using store::MfaStore;

JsonObject describe(const MfaEnforcement& one) {
  return {{"auth_method_accessors", base::Json::strings(one.accessors)},
          {"auth_method_types", base::Json::strings(one.types)},
          {"id", one.id},
          {"identity_entity_ids", base::Json::strings(one.entity_ids)},
          {"identity_group_ids", base::Json::strings(one.group_ids)},
          {"mfa_method_ids", base::Json::strings(one.method_ids)},
          {"name", one.name},
          {"namespace_id", "root"},
          {"namespace_path", ""}};
}

// One of its lists where it was sent; `known` says whether an item is there.
template <class Known>
Result<bool> read_list(const CallContext& call, std::string_view name, std::string_view refusal,
                       const Known& known, std::vector<std::string>& into) {
  if (!call.fields.has(name)) return false;
  std::vector<std::string> items = call.fields.strings(name);
  if (items.size() > store::kMfaEnforcementItemsMax) {
    return logical::bad_request("too many " + std::string(name));
  }
  for (const std::string& item : items) {
    Result<bool> there = known(item);
    if (!there) return there;
    if (!*there) return logical::bad_request(std::string(refusal));
  }
  into = std::move(items);
  return true;
}

bool any_auth_mount(const CallContext& call, const auto& is_it) {
  return std::ranges::any_of(call.state->mounts->rows(), [&](const auto& row) {
    return row.second->is_auth() && is_it(*row.second);
  });
}

Result<void> read_scopes(CallContext& call, MfaEnforcement& one) {
  auto entities = entities_of(call);
  const Result<bool> read[] = {
      read_list(
          call, "auth_method_accessors", "one of the auth method accessors provided is invalid",
          [&](const std::string& id) -> Result<bool> {
            return any_auth_mount(call, [&](const auto& mount) { return mount.accessor == id; });
          },
          one.accessors),
      read_list(
          call, "auth_method_types", "one of the auth method types provided is invalid",
          [&](const std::string& type) -> Result<bool> {
            return any_auth_mount(call, [&](const auto& mount) { return mount.type == type; });
          },
          one.types),
      read_list(
          call, "identity_group_ids", "one of the provided group ids doesn't exist",
          [&](const std::string& id) -> Result<bool> {
            auto group = entities.group(id);
            if (!group) return forward(group);
            return group->has_value();
          },
          one.group_ids),
      read_list(
          call, "identity_entity_ids", "one of the provided entity ids doesn't exist",
          [&](const std::string& id) -> Result<bool> {
            auto entity = entities.entity(id);
            if (!entity) return forward(entity);
            return entity->has_value();
          },
          one.entity_ids)};
  bool any = false;
  for (const Result<bool>& one_read : read) {
    if (!one_read) return std::unexpected(one_read.error());
    any = any || *one_read;
  }
  if (!any || (one.accessors.empty() && one.types.empty() && one.group_ids.empty() &&
               one.entity_ids.empty())) {
    return logical::bad_request(
        "One of auth_method_accessors, auth_method_types, identity_group_ids, "
        "identity_entity_ids must be specified");
  }
  return {};
}

Result<void> read_methods(CallContext& call, MfaStore& methods, MfaEnforcement& one) {
  auto read = read_list(
      call, "mfa_method_ids", "one of the provided method ids doesn't exist",
      [&](const std::string& id) -> Result<bool> {
        auto method = methods.method(id);
        if (!method) return forward(method);
        return method->has_value();
      },
      one.method_ids);
  if (!read) return forward(read);
  if (!*read || one.method_ids.empty()) return logical::bad_request("missing method ids");
  return {};
}

Result<Response> write(Context& context) {
  CallContext& call = CallContext::of(context);
  const std::string_view name = call.fields.text("name");
  if (name.empty()) return logical::bad_request("missing enforcement name");
  if (auto good = store::check_name("enforcement", name); !good) return forward(good);
  MfaStore rows(*call.txn);
  auto all = rows.enforcements();
  if (!all) return forward(all);
  auto at = std::ranges::find(*all, name, &MfaEnforcement::name);
  MfaEnforcement one;
  if (at != all->end()) {
    one = *at;
  } else {
    if (all->size() >= store::kMfaEnforcementsMax) {
      return logical::bad_request("too many login enforcements: at most " +
                                  std::to_string(store::kMfaEnforcementsMax));
    }
    one.id = call.random.uuid();
    one.name = name;
  }
  if (auto read = read_methods(call, rows, one); !read) return forward(read);
  if (auto read = read_scopes(call, one); !read) return forward(read);
  if (at != all->end()) {
    *at = std::move(one);
  } else {
    all->insert(std::ranges::lower_bound(*all, one.name, {}, &MfaEnforcement::name), one);
  }
  rows.save(*all);
  return Response{};
}

Result<Response> read(Context& context) {
  CallContext& call = CallContext::of(context);
  auto all = MfaStore(*call.txn).enforcements();
  if (!all) return forward(all);
  const auto at = std::ranges::find(*all, call.fields.text("name"), &MfaEnforcement::name);
  if (at == all->end()) return logical::nothing_there();
  return logical::with_data(describe(*at));
}

Result<Response> erase(Context& context) {
  CallContext& call = CallContext::of(context);
  MfaStore rows(*call.txn);
  auto all = rows.enforcements();
  if (!all) return forward(all);
  const std::string_view name = call.fields.text("name");
  const size_t erased =
      std::erase_if(*all, [&](const MfaEnforcement& one) { return one.name == name; });
  if (erased > 0) rows.save(*all);
  return Response{};
}

Result<Response> list(Context& context) {
  CallContext& call = CallContext::of(context);
  auto all = MfaStore(*call.txn).enforcements();
  if (!all) return forward(all);
  if (all->empty()) return logical::nothing_there();
  JsonArray keys;
  JsonObject infos;
  for (const MfaEnforcement& one : *all) {
    keys.emplace_back(one.name);
    infos.set(one.name, describe(one));
  }
  return logical::with_data({{"key_info", std::move(infos)}, {"keys", std::move(keys)}});
}

}  // namespace

void IdentityBackend::add_mfa_enforcement_routes() {
  routes_.add({.pattern = "mfa/login-enforcement",
               .handlers = {{Operation::kList, list}},
               .synopsis = "Lists which logins need a second factor."});
  routes_.add(
      {.pattern = "mfa/login-enforcement/{name}",
       .fields = {{"name", FieldType::kString, "The enforcement's name."},
                  {"mfa_method_ids", FieldType::kStrings, "Methods; any one of them will do."},
                  {"auth_method_accessors", FieldType::kStrings, "Logins at these auth mounts."},
                  {"auth_method_types", FieldType::kStrings, "Logins by these auth methods."},
                  {"identity_group_ids", FieldType::kStrings, "Logins of members of these groups."},
                  {"identity_entity_ids", FieldType::kStrings, "Logins of these entities."}},
       .handlers = {{Operation::kRead, read},
                    {Operation::kUpdate, write},
                    {Operation::kDelete, erase}},
       .synopsis = "Which logins need a second factor, and which."});
}

}  // namespace rekey::engine::identity
