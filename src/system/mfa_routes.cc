// sys/mfa/validate: the second half of a login.
#include "logical/answer.h"
#include "pipeline/login_mfa.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;

Result<Response> validate(Context& context) {
  const std::string_view id = context.fields.text("mfa_request_id");
  if (id.empty()) return logical::bad_request("missing request ID");
  const base::JsonObject* payload = context.fields.object("mfa_payload");
  auto credentials = pipeline::read_mfa_payload(payload == nullptr ? base::JsonObject() : *payload);
  if (!credentials) return forward(credentials);
  return pipeline::complete_login(pipeline::CallContext::of(context), id, *credentials);
}

}  // namespace

void SystemBackend::add_mfa_routes() {
  routes_.add({.pattern = "mfa/validate",
               .fields = {{"mfa_request_id", FieldType::kString, "As the login was answered."},
                          {"mfa_payload", FieldType::kObject,
                           "For each method's id a list with its passcode."}},
               .handlers = {{Operation::kUpdate, validate}},
               .synopsis = "Completes a login that waits for its second factor.",
               .unauthenticated = true});
}

}  // namespace rekey::system
