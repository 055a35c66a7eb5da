// auth/approle/login.
#include "auth/approle/approle.h"
#include "auth/approle/role.h"
#include "auth/approle/secret_id.h"
#include "logical/answer.h"
#include "logical/cidr.h"
#include "logical/lockout.h"

namespace rekey::auth::approle {
namespace {

using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;

// One text for every reason, so that nobody learns which half was right.
std::unexpected<base::Error> refused(std::string detail) {
  return base::fail(base::ErrorKind::kInvalid, "invalid role or secret ID", std::move(detail));
}

std::unexpected<base::Error> wrong_address(const Context& context, std::string_view of) {
  return logical::bad_request("source address \"" + std::string(context.request.origin.address) +
                              "\" unauthorized by CIDR restrictions on the " + std::string(of));
}

// What came of an attempt. Of role ids that don't exist only those count that could be real ones,
// so that nobody fills memory with their names.
bool finish(Context& context, std::string_view role_id, bool exists, bool right) {
  if (!exists && role_id.size() > logical::kLockoutNameBytesMax) return right;
  return context.lockout->finish(context.mount, role_id, right, context.clock.wall());
}

// Counts one use. The last one ends the secret id; of two logins at once with it, one loses.
Result<void> use(Context& context, const Role& role, SecretId& secret) {
  if (secret.num_uses == 0) return {};
  SecretIds secrets(context, role);
  if (secret.num_uses == 1) return secrets.erase(secret);
  secret.num_uses--;
  secret.updated = base::format_rfc3339(context.clock.wall());
  return secrets.update(secret);
}

Result<SecretId> check_secret_id(Context& context, const Role& role, std::string_view text) {
  auto found = SecretIds(context, role).find(text);
  if (!found) return forward(found);
  const bool right = *found && !expired(**found, context.clock.wall());
  if (!finish(context, role.role_id, true, right)) {
    return refused(right    ? "the role id was locked meanwhile"
                   : *found ? "the secret id is expired"
                            : "no such secret id");
  }
  SecretId& secret = **found;
  if (!logical::address_allowed(context.request.origin.address, secret.cidrs)) {
    return wrong_address(context, "secret ID");
  }
  auto used = use(context, role, secret);
  if (!used) return forward(used);
  return std::move(secret);
}

// What a wrong secret id costs where the role id exists, so that time doesn't tell which do.
Result<void> pretend(Context& context, std::string_view text) {
  auto role = find_any_role(context);
  if (!role) return forward(role);
  if (!*role) return {};
  auto found = SecretIds(context, **role).find(text);
  if (!found) return forward(found);
  return {};
}

Result<Response> login(Context& context) {
  const std::string_view role_id = context.fields.text("role_id");
  const std::string_view text = context.fields.text("secret_id");
  if (role_id.empty()) return logical::bad_request("missing role_id");
  if (context.lockout->locked(context.mount, role_id, context.clock.wall())) {
    return base::fail(base::ErrorKind::kUnauthenticated, "permission denied",
                      "the role id is locked");
  }
  if (text.size() > kSecretIdBytesMax) return refused("the secret id is too long");
  auto role = find_by_role_id(context, role_id);
  if (!role) return forward(role);
  if (!*role) {
    if (text.empty()) return logical::bad_request("missing secret_id");
    auto pretended = pretend(context, text);
    if (!pretended) return forward(pretended);
    (void)finish(context, role_id, false, false);
    return refused("no such role id");
  }
  SecretId secret;
  if ((*role)->bind_secret_id) {
    if (text.empty()) return logical::bad_request("missing secret_id");
    auto checked = check_secret_id(context, **role, text);
    if (!checked) return forward(checked);
    secret = std::move(*checked);
  }
  if (!logical::address_allowed(context.request.origin.address, (*role)->secret_id_bound_cidrs)) {
    return wrong_address(context, "role");
  }
  logical::Login granted;
  granted.alias_name = (*role)->role_id;
  granted.role = (*role)->name;
  granted.alias_metadata = {{"role_name", (*role)->name}};
  granted.metadata = std::move(secret.metadata);
  std::erase_if(granted.metadata, [](const auto& pair) { return pair.first == "role_name"; });
  granted.metadata.emplace_back("role_name", (*role)->name);
  granted.token = std::move((*role)->token);
  if (!secret.token_cidrs.empty()) granted.token.bound_cidrs = std::move(secret.token_cidrs);
  Response response;
  response.login = std::move(granted);
  return response;
}

}  // namespace

Result<std::optional<logical::TokenParams>> AppRole::renew_login(
    Context& context, const logical::Renewal& renewal) const {
  auto role = read_role(context, renewal.role);
  if (!role) return forward(role);
  if (!*role) {
    return logical::bad_request("role \"" + renewal.role + "\" does not exist during renewal");
  }
  return std::move((*role)->token);
}

Result<std::string> AppRole::login_role(Context& context) const {
  const base::Json* role_id = context.request.data.find("role_id");
  if (role_id == nullptr || role_id->as_string() == nullptr) return std::string();
  auto role = find_by_role_id(context, *role_id->as_string());
  if (!role) return forward(role);
  return *role ? std::move((*role)->name) : std::string();
}

void AppRole::add_login_routes() {
  routes_.add({.pattern = "login",
               .fields = {{"role_id", FieldType::kString, "The role's id."},
                          {"secret_id", FieldType::kString, "One of its secret ids."}},
               .handlers = {{Operation::kUpdate, login}},
               .synopsis = "Logs in.",
               .unauthenticated = true});
}

}  // namespace rekey::auth::approle
