// sys/wrapping/*: response wrapping. The answer of any other route is wrapped by the pipeline.
#include "logical/answer.h"
#include "pipeline/wrapping.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

// The wrapping token: named in the body, or the one that the request was made with.
std::string_view token_of(const Context& context) {
  const std::string_view named = context.fields.text("token");
  return named.empty() ? context.request.token : named;
}

Result<Response> wrap(Context& context) {
  if (!context.request.wrap_ttl) {
    return logical::bad_request("endpoint requires response wrapping to be used");
  }
  if (!context.request.data.is_object()) return logical::bad_request("no data to wrap");
  return logical::with_json(context.request.data);
}

Result<Response> lookup(Context& context) {
  auto found = pipeline::find_wrapping_token(CallContext::of(context), token_of(context));
  if (!found) return forward(found);
  const base::WallTime created{std::chrono::seconds(found->token.created_s)};
  return logical::with_data({{"creation_path", found->creation_path},
                             {"creation_time", base::format_rfc3339(created)},
                             {"creation_ttl", found->ttl_s}});
}

// Whoever has a wrapping token may use it. Who names it in the body must be somebody, and allowed.
Result<void> may_unwrap(Context& context) {
  if (context.fields.text("token").empty()) {
    if (!context.request.token.empty()) return {};
    return base::fail(base::ErrorKind::kUnauthenticated,
                      "error validating wrapping token: token is empty");
  }
  const CallContext& call = CallContext::of(context);
  if (call.rights == nullptr) {
    return base::fail(base::ErrorKind::kUnauthenticated, "permission denied");
  }
  const auto decision = call.rights->acl->decide(
      {.path = context.request.path, .needed = policy::Capability::kUpdate});
  if (!decision.allowed && !decision.root) {
    return base::fail(base::ErrorKind::kDenied, "permission denied");
  }
  return {};
}

Result<Response> unwrap(Context& context) {
  auto may = may_unwrap(context);
  if (!may) return forward(may);
  return pipeline::unwrap_response(CallContext::of(context), token_of(context));
}

Result<Response> rewrap(Context& context) {
  return pipeline::rewrap_response(CallContext::of(context), token_of(context));
}

}  // namespace

void SystemBackend::add_wrapping_routes() {
  const logical::Field token{"token", FieldType::kString,
                             "The wrapping token; the request's own if not given."};
  routes_.add({.pattern = "wrapping/wrap",
               .handlers = {{Operation::kUpdate, wrap}},
               .synopsis = "Wraps any data; needs X-Vault-Wrap-TTL.",
               .any_input = true});
  routes_.add({.pattern = "wrapping/lookup",
               .fields = {token},
               .handlers = {{Operation::kRead, lookup}, {Operation::kUpdate, lookup}},
               .synopsis = "What a wrapping token holds, without using it up.",
               .unauthenticated = true});
  routes_.add({.pattern = "wrapping/unwrap",
               .fields = {token},
               .handlers = {{Operation::kUpdate, unwrap}},
               .synopsis = "The wrapped answer; the token is used up.",
               .unauthenticated = true});
  routes_.add({.pattern = "wrapping/rewrap",
               .fields = {token},
               .handlers = {{Operation::kUpdate, rewrap}},
               .synopsis = "The same wrapped answer under a new token.",
               .unauthenticated = true});
}

}  // namespace rekey::system
