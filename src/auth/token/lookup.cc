// auth/token/lookup*, accessors: what a token says of itself.
#include "auth/token/token_backend.h"
#include "logical/answer.h"
#include "pipeline/authenticate.h"
#include "pipeline/call_context.h"

namespace rekey::auth::token {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using identity::Token;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

std::string time_text(int64_t seconds) {
  return base::format_rfc3339(base::WallTime(std::chrono::seconds(seconds)));
}

// `text` is the token itself, or empty where it isn't known (by accessor).
Response describe(const Token& token, std::string_view text, base::WallTime now) {
  JsonObject data{
      {"accessor", token.accessor},
      {"creation_time", token.created_s},
      {"creation_ttl", token.creation_ttl_s},
      {"display_name",
       token.is_root() && token.display_name.empty() ? std::string("root") : token.display_name},
      {"entity_id", token.entity_id},
      {"explicit_max_ttl", token.explicit_max_ttl_s},
      {"id", text},
      {"num_uses", token.num_uses},
      {"orphan", token.orphan},
      {"path", token.path},
      {"policies", Json::strings(token.policies)},
      {"ttl", token.ttl_left_s(now)},
      {"type", token.type == logical::TokenType::kBatch ? "batch" : "service"}};
  if (token.meta.empty()) {
    data.set("meta", nullptr);
  } else {
    JsonObject meta;
    for (const auto& [key, value] : token.meta) meta.set(key, value);
    data.set("meta", std::move(meta));
  }
  if (token.expires_s != 0) {
    data.set("expire_time", time_text(token.expires_s));
    data.set("issue_time", time_text(token.created_s));
    data.set("renewable", token.renewable);
  } else {
    data.set("expire_time", nullptr);
  }
  if (token.last_renewal_s != 0) {
    data.set("last_renewal", time_text(token.last_renewal_s));
    data.set("last_renewal_time", token.last_renewal_s);
  }
  if (token.period_s != 0) data.set("period", token.period_s);
  if (!token.role.empty()) data.set("role", token.role);
  if (!token.bound_cidrs.empty()) data.set("bound_cidrs", Json::strings(token.bound_cidrs));
  return logical::with_data(std::move(data));
}

std::unexpected<base::Error> bad_token() {
  return base::fail(ErrorKind::kUnauthenticated, "bad token");
}

bool usable(const CallContext& context, const Token& token) {
  return !token.expired(context.clock.wall()) && !context.state->cutoffs->revokes(token);
}

Result<Response> lookup_text(CallContext& context, std::string_view text) {
  if (text.starts_with(identity::kBatchPrefix)) {
    auto token = pipeline::open_batch_token(*context.state, text);
    if (!token || !usable(context, *token)) return bad_token();
    return describe(*token, text, context.clock.wall());
  }
  auto token = context.tokens().find(text);
  if (!token) return forward(token);
  if (!*token || !usable(context, **token)) return bad_token();
  return describe(**token, text, context.clock.wall());
}

Result<Response> lookup(Context& context) {
  std::string_view text = context.fields.text("token");
  if (text.empty()) text = context.request.token;
  return lookup_text(CallContext::of(context), text);
}

// The caller's own row was read on the way here; nothing to look up again.
Result<Response> lookup_self(Context& context) {
  const CallContext& call = CallContext::of(context);
  Token token = *call.token;
  if (token.num_uses > 0) token.num_uses--;  // this request is one of them
  return describe(token, context.request.token, context.clock.wall());
}

Result<Response> lookup_accessor(Context& context) {
  const std::string_view accessor = context.fields.text("accessor");
  if (accessor.empty()) return logical::bad_request("missing accessor");
  CallContext& call = CallContext::of(context);
  auto token = call.tokens().find_by_accessor(accessor);
  if (!token) return forward(token);
  if (!*token || !usable(call, **token)) {
    return base::fail(ErrorKind::kDenied, "invalid accessor");
  }
  return describe(**token, "", context.clock.wall());
}

Result<Response> list_accessors(Context& context) {
  auto page = logical::read_page(context.fields);
  if (!page) return forward(page);
  auto accessors = CallContext::of(context).tokens().accessors(page->after, page->limit);
  if (!accessors) return forward(accessors);
  return logical::with_keys(*accessors);
}

}  // namespace

void TokenBackend::add_lookup_routes() {
  const logical::Field token{"token", FieldType::kString, "The token; the caller's if not given."};
  routes_.add({.pattern = "lookup",
               .fields = {token},
               .handlers = {{Operation::kRead, lookup}, {Operation::kUpdate, lookup}},
               .synopsis = "Shows a token's properties."});
  routes_.add({.pattern = "lookup-self",
               .fields = {token},
               .handlers = {{Operation::kRead, lookup_self}, {Operation::kUpdate, lookup_self}},
               .synopsis = "Shows the properties of the token that asks."});
  routes_.add({.pattern = "lookup-accessor",
               .fields = {{"accessor", FieldType::kString, "The token's accessor."}},
               .handlers = {{Operation::kUpdate, lookup_accessor}},
               .synopsis = "Shows the properties of the token with this accessor."});
  routes_.add({.pattern = "accessors",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list_accessors}},
               .synopsis = "Lists the accessors of all tokens.",
               .sudo = true});
}

TokenBackend::TokenBackend(pipeline::Keeper& keeper) : keeper_(keeper) {
  add_create_routes();
  add_lookup_routes();
  add_lifecycle_routes();
  add_role_routes();
}

}  // namespace rekey::auth::token
