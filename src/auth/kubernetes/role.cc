#include "auth/kubernetes/role.h"

#include <algorithm>

#include "auth/kubernetes/selector.h"
#include "base/codec.h"
#include "logical/answer.h"
#include "logical/named_rows.h"
#include "logical/row.h"

namespace rekey::auth::kubernetes {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Fields;

constexpr std::string_view kByUid = "serviceaccount_uid";
constexpr std::string_view kByName = "serviceaccount_name";

std::string row_of(std::string_view name) { return "role/" + base::to_lower(name); }

JsonObject own_members(const Role& role) {
  JsonObject out{{"alias_name_source", role.alias_by_name ? kByName : kByUid},
                 {"bound_service_account_names", Json::strings(role.accounts)},
                 {"bound_service_account_namespace_selector", role.selector},
                 {"bound_service_account_namespaces", Json::strings(role.namespaces)}};
  if (!role.audience.empty()) out.set("audience", role.audience);
  return out;
}

Result<Role> decode(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(base::ErrorKind::kCorrupt, "a role of auth/kubernetes can't be read");
  }
  Role role;
  role.name = row->string_or("name", "");
  role.accounts = logical::strings_at(*row, "bound_service_account_names");
  role.namespaces = logical::strings_at(*row, "bound_service_account_namespaces");
  role.selector = row->string_or("bound_service_account_namespace_selector", "");
  role.audience = row->string_or("audience", "");
  role.alias_by_name = row->string_or("alias_name_source", "") == kByName;
  role.token = logical::parse_token_params(*row);
  return role;
}

Result<void> check(const Role& role) {
  if (role.accounts.empty()) {
    return logical::bad_request("\"bound_service_account_names\" can not be empty");
  }
  if (role.namespaces.empty() && role.selector.empty()) {
    return logical::bad_request(
        "\"bound_service_account_namespaces\" can not be empty if "
        "\"bound_service_account_namespace_selector\" is not set");
  }
  for (const auto* names : {&role.accounts, &role.namespaces}) {
    if (names->size() > kBoundNamesMax) return logical::bad_request("a list is too long");
    if (names->size() > 1 && std::ranges::find(*names, "*") != names->end()) {
      return logical::bad_request("can not mix \"*\" with values");
    }
  }
  return {};
}

}  // namespace

bool is_role_name(std::string_view name) { return logical::is_name(name, kRoleNameBytesMax); }

JsonObject describe(const Role& role) {
  JsonObject data = own_members(role);
  logical::describe_token_params(role.token, data);
  return data;
}

Result<std::optional<Role>> read_role(Context& context, std::string_view name) {
  if (!is_role_name(name)) return std::optional<Role>();
  return logical::read_row(context, row_of(name), decode);
}

Result<void> save_role(Context& context, const Role& role) {
  JsonObject row = own_members(role);
  row.set("name", role.name);
  logical::store_token_params(role.token, row);
  return context.storage->put(row_of(role.name), Json(std::move(row)).dump());
}

Result<void> apply_fields(const Fields& fields, Role& role) {
  auto read = logical::read_token_params(fields, kOlderNames, role.token);
  if (!read) return read;
  for (const auto& [name, into] : {std::pair{"bound_service_account_names", &role.accounts},
                                   {"bound_service_account_namespaces", &role.namespaces}}) {
    if (!fields.has(name)) continue;
    *into = fields.strings(name);
    std::erase(*into, "");
  }
  if (fields.has("bound_service_account_namespace_selector")) {
    role.selector = fields.text("bound_service_account_namespace_selector");
    const auto selector = role.selector.empty() ? Selector() : Selector::parse(role.selector);
    if (!selector) {
      return logical::bad_request(
          "failed to parse \"bound_service_account_namespace_selector\" as "
          "k8s.io/api/meta/v1/LabelSelector object: " +
          selector.error().message());
    }
  }
  if (fields.has("audience")) role.audience = fields.text("audience");
  if (fields.has("alias_name_source")) {
    const std::string_view source = fields.text("alias_name_source");
    if (source != kByUid && source != kByName) {
      return logical::bad_request("invalid alias_name_source, must be one of: " +
                                  std::string(kByUid) + ", " + std::string(kByName));
    }
    role.alias_by_name = source == kByName;
  }
  return check(role);
}

}  // namespace rekey::auth::kubernetes
