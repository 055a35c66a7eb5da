// auth/kubernetes/config and auth/kubernetes/role.
#include "auth/kubernetes/kubernetes.h"

#include "auth/kubernetes/config.h"
#include "auth/kubernetes/role.h"
#include "base/codec.h"
#include "logical/answer.h"
#include "logical/named_rows.h"

namespace rekey::auth::kubernetes {
namespace {

using base::ErrorKind;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

Result<Response> show_config(Context& context) {
  auto config = read_config(context);
  if (!config) return forward(config);
  if (!*config) return logical::nothing_there();
  return logical::with_data(describe(**config));
}

Result<Response> write_config(Context& context) {
  if (!context.may_block) return context.to_pool();  // may read the pod's files
  auto config = config_of(context.fields);
  if (!config) return forward(config);
  auto saved = save_config(context, *config);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> list_roles(Context& context) { return logical::list_rows(context, "role/"); }

Result<Response> show_role(Context& context) {
  auto role = read_role(context, context.fields.text("name"));
  if (!role) return forward(role);
  if (!*role) return logical::nothing_there();
  return logical::with_data(describe(**role));
}

Result<Response> write_role(Context& context) {
  const std::string_view name = context.fields.text("name");
  if (!is_role_name(name)) return base::fail(ErrorKind::kNotFound, "unsupported path");
  auto known = read_role(context, name);
  if (!known) return forward(known);
  Role role = *known ? std::move(**known) : Role{};
  role.name = base::to_lower(name);
  auto applied = apply_fields(context.fields, role);
  if (!applied) return forward(applied);
  auto saved = save_role(context, role);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> erase_role(Context& context) {
  const std::string_view name = context.fields.text("name");
  if (!is_role_name(name)) return Response{};
  auto erased = context.storage->erase("role/" + base::to_lower(name));
  if (!erased) return forward(erased);
  return Response{};
}

Result<bool> role_exists(Context& context) {
  auto role = read_role(context, context.fields.text("name"));
  if (!role) return forward(role);
  return role->has_value();
}

}  // namespace

Kubernetes::Kubernetes(std::shared_ptr<const net::Outgoing> outgoing)
    : outgoing_(std::move(outgoing)) {
  add_config_routes();
  add_role_routes();
  add_login_routes();
}

void Kubernetes::add_config_routes() {
  routes_.add(
      {.pattern = "config",
       .fields = {{"kubernetes_host", FieldType::kString, "URL of Kubernetes' API."},
                  {"kubernetes_ca_cert", FieldType::kString, "CAs that it is checked against."},
                  {"token_reviewer_jwt", FieldType::kString, "Asks for reviews; never shown."},
                  {"pem_keys", FieldType::kStrings, "Keys that sign the cluster's tokens."},
                  {"issuer", FieldType::kString, "The issuer of its tokens."},
                  {"disable_iss_validation", FieldType::kBoolean,
                   "Whatever the issuer; the default."},
                  {"disable_local_ca_jwt", FieldType::kBoolean, "Use nothing of our own pod."}},
       .handlers = {{Operation::kRead, show_config}, {Operation::kUpdate, write_config}},
       .synopsis = "The cluster whose tokens are taken.",
       .waits = true});
}

void Kubernetes::add_role_routes() {
  const std::vector<Field> own = {
      {"bound_service_account_names", FieldType::kStrings, "Accounts, with globs."},
      {"bound_service_account_namespaces", FieldType::kStrings, "Namespaces, with globs."},
      {"bound_service_account_namespace_selector", FieldType::kString,
       "A LabelSelector, JSON or YAML, of more namespaces."},
      {"audience", FieldType::kString, "The audience that tokens must have."},
      {"alias_name_source", FieldType::kString, "serviceaccount_uid or serviceaccount_name."}};
  routes_.add({.pattern = "role",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list_roles}},
               .synopsis = "Lists the roles."});
  routes_.add({.pattern = "role/{name}",
               .fields = logical::with_token_fields(own, kOlderNames),
               .handlers = {{Operation::kRead, show_role},
                            {Operation::kUpdate, write_role},
                            {Operation::kDelete, erase_role}},
               .synopsis = "A role: which accounts log in as it, and what they get.",
               .exists = role_exists});
}

}  // namespace rekey::auth::kubernetes
