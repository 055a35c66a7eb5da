// roles/<name> and creds/<name>: users that live as long as their lease.
#include <algorithm>

#include "engine/database/database.h"
#include "engine/database/statement.h"
#include "engine/database/username_template.h"
#include "logical/answer.h"
#include "logical/named_rows.h"

namespace rekey::engine::database {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

namespace {

int64_t whole_seconds(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

// How long a new user lives, as the pipeline will say of its lease.
int64_t lifetime_s(const Role& role, const logical::Limits& limits) {
  int64_t ttl =
      role.default_ttl_s > 0 ? role.default_ttl_s : whole_seconds(limits.default_lease_ttl);
  if (role.max_ttl_s > 0) ttl = std::min(ttl, role.max_ttl_s);
  return std::min(ttl, whole_seconds(limits.max_lease_ttl));
}

Result<Response> list_roles(Context& context) { return logical::list_rows(context, "role/"); }

Result<Response> read_role(Context& context) {
  auto role = find_role(*context.storage, context.fields.text("name"));
  if (!role) return forward(role);
  if (!*role) return logical::nothing_there();
  return logical::with_json(show(**role));
}

}  // namespace

Result<Response> DatabaseEngine::write_dynamic_role(Context& context) const {
  const logical::Fields& fields = context.fields;
  const std::string name(fields.text("name"));
  if (name.empty() || name.size() > kNameBytesMax) {
    return logical::bad_request("empty or too long role name attribute given");
  }
  auto found = find_role(*context.storage, name);
  if (!found) return forward(found);
  Role role = *found ? std::move(**found) : Role{};
  role.name = name;
  if (fields.has("db_name")) role.config = fields.text("db_name");
  if (role.config.empty()) return logical::bad_request("empty database name attribute");
  const std::string_view type = fields.text("credential_type", "password");
  if (type != "password") {
    return logical::bad_request("credential_type \"" + std::string(type) +
                                "\" is not supported by this build");
  }
  for (const auto& [field, into] :
       {std::pair<const char*, std::vector<std::string>*>{"creation_statements", &role.creation},
        {"revocation_statements", &role.revocation},
        {"rollback_statements", &role.rollback},
        {"renew_statements", &role.renewal}}) {
    const Json* sent = fields.find(field);
    if (sent == nullptr) continue;
    auto statements = read_statements(*sent);
    if (!statements) return forward(statements);
    *into = std::move(*statements);
  }
  if (const auto ttl = fields.duration("default_ttl")) role.default_ttl_s = whole_seconds(*ttl);
  if (const auto ttl = fields.duration("max_ttl")) role.max_ttl_s = whole_seconds(*ttl);
  if (role.max_ttl_s > 0 && role.default_ttl_s > role.max_ttl_s) {
    return logical::bad_request("default_ttl cannot be greater than max_ttl");
  }
  auto written = write_role(*context.storage, role);
  if (!written) return forward(written);
  return Response{};
}

Result<Response> DatabaseEngine::make_credentials(Context& context) const {
  const std::string name(context.fields.text("name"));
  auto role = find_role(*context.storage, name);
  if (!role) return forward(role);
  if (!*role) return logical::bad_request("unknown role: " + name);
  auto config = read_config(*context.storage, (*role)->config);
  if (!config) return forward(config);
  if (!config->allows(name)) {
    return logical::bad_request("\"" + name + "\" is not an allowed role");
  }
  auto plugin = plugin_of(*config);
  if (!plugin) return forward(plugin);
  if ((*role)->creation.empty() && (*plugin)->needs_creation_statements()) {
    return logical::bad_request("empty creation statements");
  }
  const base::WallTime now = context.clock.wall();
  auto username = expand_username(
      config->username_template.empty() ? (*plugin)->default_username_template()
                                        : std::string_view(config->username_template),
      {.display_name = context.caller.display_name, .role_name = name, .now = now}, context.random);
  if (!username) return forward(username);
  auto password = new_password(context, *config);
  if (!password) return forward(password);
  logical::LeaseGrant grant;
  grant.ttl = std::chrono::seconds((*role)->default_ttl_s);
  grant.max_ttl = std::chrono::seconds((*role)->max_ttl_s);
  grant.role = name;
  grant.target = config->name;
  grant.data = {{"username", *username},
                {"config", config->name},
                {"revocation", Json::strings((*role)->revocation)}};
  const int64_t expires = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count() +
                          lifetime_s(**role, context.lease_limits) + kExpirationGraceS;
  // A connection first: where there is none, nothing was intended and nothing is to be undone.
  auto made = with_session(context, *config, [&](Session& session) -> Result<void> {
    auto intended = context.intend(grant);
    if (!intended) return intended;
    return session.create_user({.username = *username,
                                .password = *password,
                                .expires_s = expires,
                                .creation = (*role)->creation,
                                .rollback = (*role)->rollback});
  });
  if (!made) return forward(made);
  Response response = logical::with_data({{"username", *username}, {"password", *password}});
  response.lease = std::move(grant);
  return response;
}

void DatabaseEngine::add_role_routes() {
  routes_.add({.pattern = "roles",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list_roles}},
               .synopsis = "Lists the roles."});
  routes_.add(
      {.pattern = "roles/{name}",
       .fields = {{"db_name", FieldType::kString, "The configuration."},
                  {"creation_statements", FieldType::kAny, "How a user is made."},
                  {"revocation_statements", FieldType::kAny, "How it is removed."},
                  {"rollback_statements", FieldType::kAny, "How half a user is removed."},
                  {"renew_statements", FieldType::kAny, "How it lives longer."},
                  {"default_ttl", FieldType::kDuration, "How long a user lives."},
                  {"max_ttl", FieldType::kDuration, "How long with renewals."},
                  {"credential_type", FieldType::kString, "password."},
                  {"credential_config", FieldType::kAny, "Of other types."}},
       .handlers = {{Operation::kRead, read_role},
                    {Operation::kUpdate, [this](Context& c) { return write_dynamic_role(c); }},
                    {Operation::kDelete,
                     [](Context& c) -> Result<Response> {
                       auto erased = c.storage->erase("role/" + std::string(c.fields.text("name")));
                       if (!erased) return forward(erased);
                       return Response{};
                     }}},
       .synopsis = "What users are made as.",
       .exists = [](Context& c) -> Result<bool> {
         auto found = find_role(*c.storage, c.fields.text("name"));
         if (!found) return forward(found);
         return found->has_value();
       }});
}

void DatabaseEngine::add_creds_routes() {
  routes_.add({.pattern = "creds/{name}",
               .handlers = {{Operation::kRead, [this](Context& c) { return make_credentials(c); }}},
               .synopsis = "Makes a user.",
               .outside = true});
}

}  // namespace rekey::engine::database
