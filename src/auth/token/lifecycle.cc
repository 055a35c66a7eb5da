// auth/token/renew*, revoke*, tidy.
#include <algorithm>

#include "auth/token/token_backend.h"
#include "identity/token_ttl.h"
#include "logical/answer.h"
#include "logical/token_params.h"
#include "pipeline/authenticate.h"
#include "pipeline/call_context.h"
#include "pipeline/login.h"

namespace rekey::auth::token {
namespace {

using base::ErrorKind;
using base::Result;
using identity::Token;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

int64_t seconds(base::Duration duration) { return duration.count() / 1'000'000'000; }

// A token of ours: as it was made. One of a login: as its role has it now.
Result<logical::TokenParams> params_of(CallContext& context, const Token& token) {
  logical::TokenParams params;
  // What it got last, unless more is asked for now.
  params.ttl_s = token.expires_s - std::max(token.created_s, token.last_renewal_s);
  params.max_ttl_s = token.max_ttl_s;
  params.period_s = token.period_s;
  params.explicit_max_ttl_s = token.explicit_max_ttl_s;
  if (token.mount_accessor.empty() || token.mount_accessor == context.mount.accessor) return params;
  auto now = pipeline::ask_for_renewal(context, token, params);
  // What was said when the token was made is the end of it, whatever its role says by now.
  if (now) now->explicit_max_ttl_s = params.explicit_max_ttl_s;
  return now;
}

Result<int64_t> new_ttl(CallContext& context, const Token& token, int64_t now,
                        std::vector<std::string>& warnings) {
  if (!token.renewable) return logical::bad_request("lease is not renewable");
  auto increment = logical::seconds_of(context.fields, "increment");
  if (!increment) return forward(increment);
  auto params = params_of(context, token);
  if (!params) return forward(params);
  const auto mount = pipeline::mount_by_accessor(*context.state, token.mount_accessor);
  const logical::Limits limits =
      mount == nullptr ? context.lease_limits : logical::narrowed(context.server_limits, *mount);
  return identity::choose_token_ttl({.increment_s = increment->value_or(0),
                                     .ttl_s = params->ttl_s,
                                     .max_ttl_s = params->max_ttl_s,
                                     .period_s = params->period_s,
                                     .explicit_max_ttl_s = params->explicit_max_ttl_s,
                                     .default_ttl_s = seconds(limits.default_lease_ttl),
                                     .longest_s = seconds(limits.max_lease_ttl),
                                     .age_s = now - token.created_s},
                                    warnings);
}

Result<Response> renew(CallContext& context, Token token, std::string_view text) {
  auto rights = pipeline::rights_of(*context.state, *context.txn, token);
  if (!rights) return forward(rights);
  const int64_t now =
      std::chrono::floor<std::chrono::seconds>(context.clock.wall()).time_since_epoch().count();
  Response response;
  // One that never ends has no lease.
  if (token.expires_s == 0) return logical::bad_request("lease not found");
  auto ttl = new_ttl(context, token, now, response.warnings);
  if (!ttl) return forward(ttl);
  const int64_t old_expires = token.expires_s;
  token.expires_s = now + *ttl;
  token.last_renewal_s = now;
  context.tokens().update(token, old_expires);
  logical::Auth auth;
  auth.client_token = text;
  auth.accessor = token.accessor;
  auth.policies = (*rights)->policies;
  auth.token_policies = token.policies;
  auth.identity_policies = (*rights)->identity_policies;
  auth.metadata = token.meta;
  auth.lease_duration_s = token.expires_s - now;
  auth.renewable = true;
  auth.entity_id = token.entity_id;
  auth.orphan = token.orphan;
  auth.num_uses = token.num_uses;
  response.auth = std::move(auth);
  return response;
}

// One that has expired is only to be revoked: until it is swept its children live, and a revocation
// that returned ends them.
enum class Expired { kRefused, kTaken };

bool is_gone(CallContext& context, const Token& token, Expired expired) {
  return (expired == Expired::kRefused && token.expired(context.clock.wall())) ||
         context.state->cutoffs->revokes(token);
}

// The token that a request names, if it is still good.
Result<Token> find(CallContext& context, std::string_view text,
                   Expired expired = Expired::kRefused) {
  if (text.starts_with(identity::kBatchPrefix)) {
    return logical::bad_request("batch tokens cannot be renewed or revoked");
  }
  auto token = context.tokens().find(text);
  if (!token) return forward(token);
  if (!*token || is_gone(context, **token, expired)) {
    return logical::bad_request("token not found");
  }
  return std::move(**token);
}

// Nothing where it isn't good any more.
Result<std::optional<Token>> find_by_accessor(CallContext& context,
                                              Expired expired = Expired::kRefused) {
  const std::string_view accessor = context.fields.text("accessor");
  if (accessor.empty()) return logical::bad_request(logical::listed("missing accessor"));
  auto token = context.tokens().find_by_accessor(accessor);
  if (!token) return forward(token);
  if (!*token || is_gone(context, **token, expired)) return std::optional<Token>();
  return token;
}

Result<Response> renew_token(Context& context) {
  CallContext& call = CallContext::of(context);
  const std::string_view text = context.fields.text("token");
  if (text.empty()) return logical::bad_request("missing token ID");
  auto token = find(call, text);
  if (!token) return forward(token);
  return renew(call, std::move(*token), text);
}

Result<Response> renew_self(Context& context) {
  CallContext& call = CallContext::of(context);
  auto token = find(call, context.request.token);
  if (!token) return forward(token);
  return renew(call, std::move(*token), context.request.token);
}

Result<Response> renew_accessor(Context& context) {
  CallContext& call = CallContext::of(context);
  auto token = find_by_accessor(call);
  if (!token) return forward(token);
  if (!*token) return logical::bad_request(logical::listed("invalid accessor"));
  return renew(call, std::move(**token), "");
}

Result<Response> revoke(CallContext& context, pipeline::Keeper& keeper, const Token& token,
                        bool orphan_children) {
  auto cut =
      orphan_children ? context.tokens().revoke_and_orphan(token) : context.tokens().revoke(token);
  if (!cut) return forward(cut);
  if (*cut) context.after_commit.push_back([&keeper] { return keeper.reload_cutoffs(); });
  return Response{};
}

}  // namespace

void TokenBackend::add_lifecycle_routes() {
  const Field token{"token", FieldType::kString, "The token."};
  const Field accessor{"accessor", FieldType::kString, "The token's accessor."};
  const Field increment{"increment", FieldType::kDuration, "How much longer it is to live."};
  routes_.add({.pattern = "renew",
               .fields = {token, increment},
               .handlers = {{Operation::kUpdate, renew_token}},
               .synopsis = "Lets a token live longer."});
  routes_.add({.pattern = "renew-self",
               .fields = {token, increment},
               .handlers = {{Operation::kUpdate, renew_self}},
               .synopsis = "Lets the token that asks live longer."});
  routes_.add({.pattern = "renew-accessor",
               .fields = {accessor, increment},
               .handlers = {{Operation::kUpdate, renew_accessor}},
               .synopsis = "Lets the token with this accessor live longer."});
  add_revoke_routes();
}

void TokenBackend::add_revoke_routes() {
  const Field token{"token", FieldType::kString, "The token."};
  const Field accessor{"accessor", FieldType::kString, "The token's accessor."};
  const auto revoke_named = [this](bool orphan_children) {
    return [this, orphan_children](Context& context) -> Result<Response> {
      CallContext& call = CallContext::of(context);
      const std::string_view text = context.fields.text("token");
      if (text.empty()) return logical::bad_request("missing token ID");
      auto found = find(call, text, orphan_children ? Expired::kRefused : Expired::kTaken);
      // What is already gone is revoked; only a batch token can't be.
      if (!found && text.starts_with(identity::kBatchPrefix)) return forward(found);
      if (!found && found.error().kind() == ErrorKind::kInvalid) {
        if (orphan_children) return logical::bad_request("token to revoke not found");
        return Response{};
      }
      if (!found) return forward(found);
      return revoke(call, keeper_, *found, orphan_children);
    };
  };
  routes_.add({.pattern = "revoke",
               .fields = {token},
               .handlers = {{Operation::kUpdate, revoke_named(false)}},
               .synopsis = "Ends a token and all its children."});
  routes_.add({.pattern = "revoke-orphan",
               .fields = {token},
               .handlers = {{Operation::kUpdate, revoke_named(true)}},
               .synopsis = "Ends a token; its children become orphans.",
               .sudo = true});
  routes_.add({.pattern = "revoke-self",
               .handlers = {{Operation::kUpdate,
                             [this](Context& context) -> Result<Response> {
                               CallContext& call = CallContext::of(context);
                               auto found = find(call, context.request.token);
                               if (!found) return forward(found);
                               return revoke(call, keeper_, *found, false);
                             }}},
               .synopsis = "Ends the token that asks, and all its children."});
  routes_.add({.pattern = "revoke-accessor",
               .fields = {accessor},
               .handlers = {{Operation::kUpdate,
                             [this](Context& context) -> Result<Response> {
                               CallContext& call = CallContext::of(context);
                               auto found = find_by_accessor(call, Expired::kTaken);
                               if (!found) return forward(found);
                               if (!*found) {
                                 Response response;
                                 response.warnings.push_back("No token found with this accessor");
                                 return response;
                               }
                               return revoke(call, keeper_, **found, false);
                             }}},
               .synopsis = "Ends the token with this accessor, and all its children."});
  routes_.add({.pattern = "tidy",
               .handlers = {{Operation::kUpdate,
                             [](Context&) -> Result<Response> {
                               Response response;
                               response.status = 202;
                               response.warnings.push_back(
                                   "Tidying is continuous in Rekey: expired and revoked tokens "
                                   "are removed in the background.");
                               return response;
                             }}},
               .synopsis = "Removes what expired or revoked tokens left behind."});
}

}  // namespace rekey::auth::token
