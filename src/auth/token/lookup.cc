// auth/token/lookup*, accessors: what a token says of itself.
#include <map>
#include <span>

#include "auth/token/token_backend.h"
#include "logical/answer.h"
#include "pipeline/authenticate.h"
#include "pipeline/call_context.h"

namespace rekey::auth::token {
namespace {

using base::ErrorKind;
using base::JsonWriter;
using base::Result;
using identity::Token;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

void write_time(JsonWriter& json, std::string_view name, int64_t seconds) {
  json.key(name);
  if (seconds == 0) return json.null();
  json.value(base::format_rfc3339(base::WallTime(std::chrono::seconds(seconds))));
}

void write_strings(JsonWriter& json, std::string_view name, std::span<const std::string> items) {
  json.key(name);
  json.begin_array();
  for (const std::string& item : items) json.value(item);
  json.end_array();
}

void write_meta(JsonWriter& json, const Token& token) {
  json.key("meta");
  if (token.meta.empty()) return json.null();
  std::map<std::string_view, std::string_view> sorted(token.meta.begin(), token.meta.end());
  json.begin_object();
  for (const auto& [key, value] : sorted) {
    json.dynamic_key(key);
    json.value(value);
  }
  json.end_object();
}

struct Shown {
  const Token& token;
  int64_t uses_left;
  std::string_view text;  // the token itself, or empty where it isn't known (by accessor)
  std::span<const std::string> identity_policies;
};

// Written without a tree: every client asks for this, some at every step.
Response describe(const CallContext& context, const Shown& shown) {
  const base::WallTime now = context.clock.wall();
  const Token& token = shown.token;
  const bool nameless_root = token.is_root() && token.display_name.empty();
  Response response;
  response.data.reserve(640);
  JsonWriter json(response.data);
  json.begin_object();
  json.member("accessor", token.accessor);
  if (!token.bound_cidrs.empty()) write_strings(json, "bound_cidrs", token.bound_cidrs);
  json.member("creation_time", token.created_s);
  json.member("creation_ttl", token.creation_ttl_s);
  json.member("display_name", nameless_root ? std::string_view("root") : token.display_name);
  json.member("entity_id", token.entity_id);
  write_time(json, "expire_time", token.expires_s);
  json.member("explicit_max_ttl", token.explicit_max_ttl_s);
  json.member("id", shown.text);
  if (!shown.identity_policies.empty()) {
    write_strings(json, "identity_policies", shown.identity_policies);
  }
  if (token.expires_s != 0) write_time(json, "issue_time", token.created_s);
  if (token.last_renewal_s != 0) {
    write_time(json, "last_renewal", token.last_renewal_s);
    json.member("last_renewal_time", token.last_renewal_s);
  }
  write_meta(json, token);
  json.member("num_uses", shown.uses_left);
  json.member("orphan", token.orphan || context.state->cutoffs->orphaned(token));
  json.member("path", token.path);
  if (token.period_s != 0) json.member("period", token.period_s);
  write_strings(json, "policies", token.policies);
  if (token.expires_s != 0) json.member("renewable", token.renewable);
  if (!token.role.empty()) json.member("role", token.role);
  json.member("ttl", token.ttl_left_s(now));
  json.member("type", token.type == logical::TokenType::kBatch ? "batch" : "service");
  json.end_object();
  return response;
}

// Another token than the caller's: its entity is looked up for it. One that is gone adds nothing.
Response describe_other(const CallContext& context, const Token& token, std::string_view text) {
  const auto rights = pipeline::rights_of(*context.state, *context.txn, token);
  std::span<const std::string> added;
  if (rights) added = (*rights)->identity_policies;
  return describe(context, {token, token.num_uses, text, added});
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
    if (!pipeline::check_parent(context.lane.reader(), *context.state, *token)) {
      return bad_token();
    }
    return describe_other(context, *token, text);
  }
  auto token = context.tokens().find(text);
  if (!token) return forward(token);
  if (!*token || !usable(context, **token)) return bad_token();
  return describe_other(context, **token, text);
}

Result<Response> lookup(Context& context) {
  std::string_view text = context.fields.text("token");
  if (text.empty()) text = context.request.token;
  return lookup_text(CallContext::of(context), text);
}

// The caller's own row was read on the way here; nothing to look up again.
Result<Response> lookup_self(Context& context) {
  const CallContext& call = CallContext::of(context);
  const Token& token = *call.token;
  // This request is one of its uses.
  const int64_t uses_left = token.num_uses > 0 ? token.num_uses - 1 : token.num_uses;
  return describe(call, {token, uses_left, context.request.token, call.rights->identity_policies});
}

Result<Response> lookup_accessor(Context& context) {
  const std::string_view accessor = context.fields.text("accessor");
  if (accessor.empty()) return logical::bad_request(logical::listed("missing accessor"));
  CallContext& call = CallContext::of(context);
  auto token = call.tokens().find_by_accessor(accessor);
  if (!token) return forward(token);
  if (!*token || !usable(call, **token)) {
    return logical::bad_request(logical::listed("invalid accessor"));
  }
  return describe_other(call, **token, "");
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
