// auth/approle/role/<name> and the parts of it that have paths of their own.
#include <algorithm>

#include "auth/approle/approle.h"
#include "auth/approle/role.h"
#include "auth/approle/secret_id.h"
#include "logical/answer.h"
#include "logical/named_rows.h"

namespace rekey::auth::approle {
namespace {

using base::ErrorKind;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

std::string_view role_name(const Context& context) { return context.fields.text("role_name"); }

Result<Response> list_roles(Context& context) { return logical::list_rows(context, "role/"); }

Result<Response> read(Context& context) {
  auto role = read_role(context, role_name(context));
  if (!role) return forward(role);
  if (!*role) return logical::nothing_there();
  return logical::with_data(describe(**role));
}

Role new_role(Context& context) {
  Role role;
  role.name = role_name(context);
  role.uid = context.random.uuid();
  role.role_id = context.random.uuid();
  role.local_secret_ids = context.fields.flag("local_secret_ids");
  return role;
}

// What a mount can't give: said when the role is written, not when somebody logs in.
void warn(const Context& context, const Role& role, Response& response) {
  const int64_t longest = context.lease_limits.max_lease_ttl.count() / 1'000'000'000;
  if (role.token.max_ttl_s <= longest) return;
  response.warnings.push_back(
      "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max "
      "TTL value will be truncated");
}

Result<Response> write(Context& context) {
  if (role_name(context).size() > kRoleNameBytesMax) {
    return logical::bad_request("the role's name is too long");
  }
  auto known = read_role(context, role_name(context));
  if (!known) return forward(known);
  Role role = *known ? **known : new_role(context);
  if (*known && context.fields.has("local_secret_ids")) {
    return logical::bad_request("local_secret_ids can only be modified during role creation");
  }
  auto applied = apply_fields(context, role);
  if (!applied) return forward(applied);
  auto saved = save_role(context, *known ? &**known : nullptr, role);
  if (!saved) return forward(saved);
  Response response;
  warn(context, role, response);
  return response;
}

Result<Response> erase(Context& context) {
  auto role = read_role(context, role_name(context));
  if (!role) return forward(role);
  if (!*role) return Response{};
  auto erased = SecretIds(context, **role).erase_all();
  if (erased) erased = erase_role(context, **role);
  if (!erased) return forward(erased);
  return Response{};
}

Result<bool> exists(Context& context) {
  auto role = read_role(context, role_name(context));
  if (!role) return forward(role);
  return role->has_value();
}

Result<Response> read_role_id(Context& context) {
  auto role = read_role(context, role_name(context));
  if (!role) return forward(role);
  if (!*role) return logical::nothing_there();
  return logical::with_data({{"role_id", (*role)->role_id}});
}

// One part of a role at a path of its own.
struct Part {
  std::string_view path;
  std::string_view field;
  FieldType type;
  std::string_view older;               // an older name of the field; may be empty
  std::string_view missing;             // what an empty write is told is missing; empty: fine
  void (*reset)(Role& role) = nullptr;  // null: it can only be read
};

constexpr Part kParts[] = {
    {"policies", "token_policies", FieldType::kStrings, "policies", "token_policies",
     [](Role& role) { role.token.policies.clear(); }},
    {"period", "token_period", FieldType::kDuration, "period", "period",
     [](Role& role) { role.token.period_s = 0; }},
    {"token-ttl", "token_ttl", FieldType::kDuration, "", "token_ttl",
     [](Role& role) { role.token.ttl_s = 0; }},
    {"token-max-ttl", "token_max_ttl", FieldType::kDuration, "", "token_max_ttl",
     [](Role& role) { role.token.max_ttl_s = 0; }},
    {"token-num-uses", "token_num_uses", FieldType::kInteger, "", "token_num_uses",
     [](Role& role) { role.token.num_uses = 0; }},
    {"token-bound-cidrs", "token_bound_cidrs", FieldType::kStrings, "", "",
     [](Role& role) { role.token.bound_cidrs.clear(); }},
    {"bind-secret-id", "bind_secret_id", FieldType::kBoolean, "", "bind_secret_id",
     [](Role& role) { role.bind_secret_id = true; }},
    {"local-secret-ids", "local_secret_ids", FieldType::kBoolean, "", "", nullptr},
    {"secret-id-num-uses", "secret_id_num_uses", FieldType::kInteger, "", "secret_id_num_uses",
     [](Role& role) { role.secret_id_num_uses = 0; }},
    {"secret-id-ttl", "secret_id_ttl", FieldType::kDuration, "", "secret_id_ttl",
     [](Role& role) { role.secret_id_ttl_s = 0; }},
    {"secret-id-bound-cidrs", "secret_id_bound_cidrs", FieldType::kStrings, "", "",
     [](Role& role) { role.secret_id_bound_cidrs.clear(); }},
    {"bound-cidr-list", "secret_id_bound_cidrs", FieldType::kStrings, "bound_cidr_list", "",
     [](Role& role) { role.secret_id_bound_cidrs.clear(); }},
};

constexpr std::string_view kOldList = "bound-cidr-list";

Result<Response> read_part(Context& context, const Part& part) {
  auto role = read_role(context, role_name(context));
  if (!role) return forward(role);
  if (!*role) return logical::nothing_there();
  const JsonObject all = describe(**role);
  const base::Json* value = all.find(part.field);
  JsonObject data;
  const bool old_list = part.path == kOldList;
  const bool empty_list =
      value->as_array() != nullptr && value->as_array()->empty() && part.field != "token_policies";
  data.set(old_list ? part.older : part.field, empty_list ? base::Json() : *value);
  if (const base::Json* older = part.older.empty() ? nullptr : all.find(part.older)) {
    data.set(part.older, *older);
  }
  Response response = logical::with_data(std::move(data));
  if (old_list) {
    response.warnings.push_back(
        "The \"bound_cidr_list\" field is deprecated and will be removed. Please use "
        "\"secret_id_bound_cidrs\" instead.");
  }
  return response;
}

Result<Response> change(Context& context, const Part& part, bool reset) {
  auto known = read_role(context, role_name(context));
  if (!known) return forward(known);
  if (!*known) {
    if (reset) return logical::nothing_there();
    return base::fail(ErrorKind::kNotFound, "unsupported path");
  }
  Role role = **known;
  if (reset) {
    part.reset(role);
    std::erase_if(role.token.older_names,
                  [&](const auto& names) { return names.first == part.older; });
  }
  const bool sent =
      context.fields.has(part.field) || (!part.older.empty() && context.fields.has(part.older));
  if (!reset && !sent && !part.missing.empty()) {
    return logical::bad_request("missing " + std::string(part.missing));
  }
  auto applied = apply_fields(context, role);
  if (!applied) return forward(applied);
  auto saved = save_role(context, &**known, role);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> write_role_id(Context& context) {
  auto known = read_role(context, role_name(context));
  if (!known) return forward(known);
  if (!*known) return base::fail(ErrorKind::kNotFound, "unsupported path");
  if (context.fields.text("role_id").empty()) return logical::bad_request("missing role_id");
  Role role = **known;
  auto applied = apply_fields(context, role);
  if (!applied) return forward(applied);
  auto saved = save_role(context, &**known, role);
  if (!saved) return forward(saved);
  return Response{};
}

}  // namespace

void AppRole::add_role_routes() {
  routes_.add({.pattern = "role",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list_roles}},
               .synopsis = "Lists the roles."});
  routes_.add(
      {.pattern = "role/{role_name}",
       .fields = logical::with_token_fields(
           {{"bind_secret_id", FieldType::kBoolean, "Whether a login needs a secret id."},
            {"local_secret_ids", FieldType::kBoolean, "Kept; has no meaning on a single cluster."},
            {"role_id", FieldType::kString, "By which the role logs in; made if not given."},
            {"secret_id_bound_cidrs", FieldType::kStrings, "Blocks that logins may come from."},
            {"bound_cidr_list", FieldType::kStrings, "Older name of secret_id_bound_cidrs."},
            {"secret_id_num_uses", FieldType::kInteger, "Logins that a secret id is good for."},
            {"secret_id_ttl", FieldType::kDuration, "How long a secret id lives."}},
           kOlderNames),
       .handlers = {{Operation::kRead, read},
                    {Operation::kUpdate, write},
                    {Operation::kDelete, erase}},
       .synopsis = "A role: what its logins need and what they get.",
       .exists = exists});
  routes_.add({.pattern = "role/{role_name}/role-id",
               .fields = {{"role_id", FieldType::kString, "By which the role logs in."}},
               .handlers = {{Operation::kRead, read_role_id}, {Operation::kUpdate, write_role_id}},
               .synopsis = "The role's id."});
}

void AppRole::add_part_routes() {
  for (const Part& part : kParts) {
    logical::Route route;
    route.pattern = "role/{role_name}/" + std::string(part.path);
    route.fields = {{part.field, part.type, "As at the role itself."}};
    if (!part.older.empty()) {
      route.fields.push_back({part.older, part.type, "An older name."});
    }
    route.handlers = {{Operation::kRead, [&part](Context& c) { return read_part(c, part); }}};
    if (part.reset != nullptr) {
      route.handlers.emplace_back(Operation::kUpdate,
                                  [&part](Context& c) { return change(c, part, false); });
      route.handlers.emplace_back(Operation::kDelete,
                                  [&part](Context& c) { return change(c, part, true); });
    }
    route.synopsis = "One part of a role.";
    routes_.add(std::move(route));
  }
}

AppRole::AppRole() {
  add_role_routes();
  add_part_routes();
  add_secret_id_routes();
  add_login_routes();
}

}  // namespace rekey::auth::approle
