// identity/mfa/method/totp: generate, admin-generate, admin-destroy: an entity's key.
#include "base/codec.h"
#include "engine/identity/identity_backend.h"
#include "engine/identity/qr_picture.h"
#include "engine/identity/view.h"
#include "identity/mfa.h"

namespace rekey::engine::identity {
namespace {

using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;
using store::MfaMethod;
using store::MfaStore;

Result<MfaMethod> totp_method(MfaStore& methods, std::string_view id) {
  if (id.empty()) return logical::bad_request("missing method ID");
  auto method = methods.method(id);
  if (!method) return forward(method);
  if (!*method) {
    return logical::bad_request("configuration for method ID \"" + std::string(id) +
                                "\" does not exist");
  }
  if (!(*method)->is_totp()) {
    return logical::bad_request("generate not available for MFA type \"" + (*method)->type + "\"");
  }
  return std::move(**method);
}

Result<store::Entity> known_entity(CallContext& call, std::string_view id) {
  auto entity = entities_of(call).entity_or_merged(id);
  if (!entity) return forward(entity);
  if (!*entity) return logical::bad_request("invalid entity ID");
  return std::move(**entity);
}

Result<Response> generate(CallContext& call, std::string_view entity_id) {
  MfaStore methods(*call.txn);
  auto method = totp_method(methods, call.fields.text("method_id"));
  if (!method) return forward(method);
  if (entity_id.empty()) return logical::bad_request("missing entityID");
  auto entity = known_entity(call, entity_id);
  if (!entity) return forward(entity);
  auto known = methods.secret(method->id, entity->id);
  if (!known) return forward(known);
  if (*known) {
    // Shown once, when it is made: whoever has a token doesn't get the second factor with it.
    Response response;
    response.warnings.push_back("Entity already has a secret for MFA method \"" + method->name +
                                "\"");
    return response;
  }
  const store::TotpSecret secret{call.random.secret(static_cast<size_t>(method->key_bytes)),
                                 method->totp, method->issuer, entity->name};
  methods.save(method->id, entity->id, secret);
  const std::string url =
      crypto::otpauth_url({secret.issuer, secret.account, secret.params, secret.key.clone()});
  std::string picture;
  if (method->qr_pixels > 0) {
    auto png = qr_png(url, static_cast<size_t>(method->qr_pixels));
    if (!png) return forward(png);
    picture = base::base64_encode(*png);
  }
  return logical::with_data({{"barcode", std::move(picture)}, {"url", url}});
}

Result<Response> destroy(Context& context) {
  CallContext& call = CallContext::of(context);
  MfaStore methods(*call.txn);
  if (call.fields.text("method_id").empty()) return logical::bad_request("missing method ID");
  if (call.fields.text("entity_id").empty()) return logical::bad_request("missing entity ID");
  auto entity = known_entity(call, call.fields.text("entity_id"));
  if (!entity) return forward(entity);
  auto method = totp_method(methods, call.fields.text("method_id"));
  if (!method) return forward(method);
  methods.remove_secret(method->id, entity->id);
  // Whoever waits because of the old key's codes begins anew with the next one.
  call.after_commit.push_back(
      [factors = call.state->second_factors, key = pipeline::factor_key(method->id, entity->id)] {
        return factors->right(key), Result<void>();
      });
  return Response{};
}

}  // namespace

void IdentityBackend::add_mfa_totp_routes() {
  const Field method{"method_id", FieldType::kString, "The method's id."};
  const Field entity{"entity_id", FieldType::kString, "Whose key."};
  routes_.add(
      {.pattern = "mfa/method/totp/generate",
       .fields = {method},
       .handlers = {{Operation::kUpdate,
                     [](Context& c) { return generate(CallContext::of(c), c.caller.entity_id); }}},
       .synopsis = "Makes the key of whoever asks, and shows it once.",
       .blocking = true});
  routes_.add({.pattern = "mfa/method/totp/admin-generate",
               .fields = {method, entity},
               .handlers = {{Operation::kUpdate,
                             [](Context& c) {
                               return generate(CallContext::of(c), c.fields.text("entity_id"));
                             }}},
               .synopsis = "Makes the key of an entity, and shows it once.",
               .blocking = true});
  routes_.add({.pattern = "mfa/method/totp/admin-destroy",
               .fields = {method, entity},
               .handlers = {{Operation::kUpdate, destroy}},
               .synopsis = "Forgets an entity's key, so that a new one can be made."});
}

Result<void> forget_factors(CallContext& call, std::string_view entity_id) {
  MfaStore methods(*call.txn);
  auto ids = methods.methods_of(entity_id);
  if (!ids) return forward(ids);
  for (const std::string& id : *ids) methods.remove_secret(id, entity_id);
  return {};
}

Result<void> move_factors(CallContext& call, std::string_view from, std::string_view to,
                          bool replace) {
  MfaStore methods(*call.txn);
  auto ids = methods.methods_of(from);
  if (!ids) return forward(ids);
  for (const std::string& id : *ids) {
    auto moved = methods.secret(id, from);
    if (!moved) return forward(moved);
    auto present = methods.secret(id, to);
    if (!present) return forward(present);
    if (*moved && *present && !replace) {
      return logical::bad_request("conflicting MFA config ID \"" + id + "\" in entity ID \"" +
                                  std::string(from) + "\"");
    }
    methods.remove_secret(id, from);
    if (*moved) methods.save(id, to, **moved);
  }
  return {};
}

}  // namespace rekey::engine::identity
