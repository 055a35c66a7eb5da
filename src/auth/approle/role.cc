#include "auth/approle/role.h"

#include <algorithm>

#include "base/codec.h"
#include "crypto/digest.h"
#include "logical/answer.h"
#include "logical/cidr.h"
#include "logical/named_rows.h"
#include "logical/row.h"

namespace rekey::auth::approle {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;

std::string role_row(std::string_view name) { return "role/" + base::to_lower(name); }

std::string role_id_row(std::string_view role_id) {
  return "roleid/" + base::hex_encode(crypto::as_bytes(crypto::sha256(role_id)));
}

Json strings_or_null(const std::vector<std::string>& items) {
  return items.empty() ? Json() : Json::strings(items);
}

std::string encode(const Role& role) {
  JsonObject row{{"name", role.name},
                 {"uid", role.uid},
                 {"role_id", role.role_id},
                 {"bind_secret_id", role.bind_secret_id},
                 {"local_secret_ids", role.local_secret_ids},
                 {"secret_id_bound_cidrs", Json::strings(role.secret_id_bound_cidrs)},
                 {"secret_id_num_uses", role.secret_id_num_uses},
                 {"secret_id_ttl", role.secret_id_ttl_s}};
  logical::store_token_params(role.token, row);
  return Json(std::move(row)).dump();
}

Result<Role> decode(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(base::ErrorKind::kCorrupt, "an AppRole role can't be read");
  }
  Role role;
  role.name = row->string_or("name", "");
  role.uid = row->string_or("uid", "");
  role.role_id = row->string_or("role_id", "");
  role.bind_secret_id = logical::flag_at(*row, "bind_secret_id", true);
  role.local_secret_ids = logical::flag_at(*row, "local_secret_ids");
  role.secret_id_bound_cidrs = logical::strings_at(*row, "secret_id_bound_cidrs");
  role.secret_id_num_uses = logical::int_at(*row, "secret_id_num_uses");
  role.secret_id_ttl_s = logical::int_at(*row, "secret_id_ttl");
  role.token = logical::parse_token_params(*row);
  return role;
}

}  // namespace

JsonObject describe(const Role& role) {
  JsonObject data{{"bind_secret_id", role.bind_secret_id},
                  {"local_secret_ids", role.local_secret_ids},
                  {"secret_id_bound_cidrs", strings_or_null(role.secret_id_bound_cidrs)},
                  {"secret_id_num_uses", role.secret_id_num_uses},
                  {"secret_id_ttl", role.secret_id_ttl_s}};
  logical::describe_token_params(role.token, data);
  return data;
}

Result<std::optional<Role>> read_role(Context& context, std::string_view name) {
  if (name.empty() || name.size() > kRoleNameBytesMax) return std::optional<Role>();
  return logical::read_row(context, role_row(name), decode);
}

Result<std::optional<Role>> find_by_role_id(Context& context, std::string_view role_id) {
  if (role_id.empty() || role_id.size() > kRoleIdBytesMax) return std::optional<Role>();
  auto name = context.storage->get(role_id_row(role_id));
  if (!name) return forward(name);
  if (!*name) return std::optional<Role>();
  return read_role(context, **name);
}

Result<std::optional<Role>> find_any_role(Context& context) {
  auto ids = context.storage->list("roleid/", {}, 1);
  if (!ids) return forward(ids);
  if (ids->empty()) return std::optional<Role>();
  auto name = context.storage->get("roleid/" + ids->front());
  if (!name) return forward(name);
  return *name ? read_role(context, **name) : std::optional<Role>();
}

Result<void> save_role(Context& context, const Role* before, const Role& role) {
  if (before == nullptr || before->role_id != role.role_id) {
    auto taken = context.storage->get(role_id_row(role.role_id));
    if (!taken) return forward(taken);
    if (*taken) return logical::bad_request("role_id already in use");
    if (before != nullptr) {
      auto erased = context.storage->erase(role_id_row(before->role_id));
      if (!erased) return erased;
    }
    auto put = context.storage->put(role_id_row(role.role_id), base::to_lower(role.name));
    if (!put) return put;
  }
  return context.storage->put(role_row(role.name), encode(role));
}

Result<void> erase_role(Context& context, const Role& role) {
  auto erased = context.storage->erase(role_id_row(role.role_id));
  if (!erased) return erased;
  return context.storage->erase(role_row(role.name));
}

Result<std::vector<std::string>> parse_blocks(const std::vector<std::string>& given) {
  std::vector<std::string> out;
  for (const std::string& text : given) {
    if (text.empty()) continue;
    auto block = logical::parse_cidr(text);
    if (!block || text.find('/') == std::string::npos) {
      return logical::bad_request("failed to validate CIDR blocks: invalid CIDR address: " + text);
    }
    out.push_back(text);
  }
  return out;
}

Result<void> apply_fields(Context& context, Role& role) {
  const logical::Fields& fields = context.fields;
  role.bind_secret_id = fields.flag("bind_secret_id", role.bind_secret_id);
  const std::string_view blocks =
      fields.has("secret_id_bound_cidrs") ? "secret_id_bound_cidrs" : "bound_cidr_list";
  if (fields.has(blocks)) {
    auto parsed = parse_blocks(fields.strings(blocks));
    if (!parsed) return forward(parsed);
    role.secret_id_bound_cidrs = std::move(*parsed);
  }
  role.secret_id_num_uses = fields.integer("secret_id_num_uses", role.secret_id_num_uses);
  if (role.secret_id_num_uses < 0) {
    return logical::bad_request("secret_id_num_uses cannot be negative");
  }
  auto ttl = logical::seconds_of(fields, "secret_id_ttl");
  if (!ttl) return forward(ttl);
  role.secret_id_ttl_s = ttl->value_or(role.secret_id_ttl_s);
  auto read = logical::read_token_params(fields, kOlderNames, role.token);
  if (!read) return read;
  if (fields.has("role_id")) {
    const std::string_view role_id = fields.text("role_id");
    if (role_id.empty())
      return logical::bad_request(
          "invalid role_id supplied, or failed to "
          "generate a role_id");
    if (role_id.size() > kRoleIdBytesMax) return logical::bad_request("the role_id is too long");
    role.role_id = role_id;
  }
  if (!role.bind_secret_id && role.secret_id_bound_cidrs.empty() &&
      role.token.bound_cidrs.empty()) {
    return logical::bad_request("at least one constraint should be enabled on the role");
  }
  return {};
}

}  // namespace rekey::auth::approle
