// identity/oidc/key: what signs identity tokens, and its rotation.
#include <algorithm>

#include "engine/identity/identity_backend.h"
#include "identity/entity_store.h"
#include "identity/oidc.h"
#include "logical/answer.h"
#include "logical/context.h"

namespace rekey::engine::identity {
namespace {

namespace store = rekey::identity;
using base::Result;
using logical::Context;
using logical::Field;
using logical::Fields;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using store::OidcKey;
using store::OidcStore;

OidcStore store_of(Context& context) {
  return OidcStore(*context.storage, context.clock, context.random);
}

int64_t seconds_or(const Fields& fields, std::string_view name, int64_t otherwise) {
  const auto sent = fields.duration(name);
  return sent ? std::chrono::floor<std::chrono::seconds>(*sent).count() : otherwise;
}

Result<void> read_fields(Context& context, OidcKey& key) {
  const Fields& fields = context.fields;
  key.rotation_period_s = seconds_or(fields, "rotation_period", key.rotation_period_s);
  if (key.rotation_period_s < store::kOidcRotationMinS) {
    return logical::bad_request("rotation_period must be at least one minute");
  }
  key.verification_ttl_s = seconds_or(fields, "verification_ttl", key.verification_ttl_s);
  if (key.verification_ttl_s < 0) return logical::bad_request("verification_ttl is negative");
  if (key.verification_ttl_s / 10 > key.rotation_period_s ||
      key.verification_ttl_s > 10 * key.rotation_period_s) {
    return logical::bad_request("verification_ttl cannot be longer than 10x rotation_period");
  }
  if (fields.has("allowed_client_ids")) {
    key.allowed_client_ids = fields.strings("allowed_client_ids");
    if (key.allowed_client_ids.size() > store::kOidcClientIdsMax) {
      return logical::bad_request("too many allowed_client_ids");
    }
  }
  if (fields.has("algorithm")) {
    const std::string_view name = fields.text("algorithm");
    const auto algorithm = store::oidc_algorithm_named(name);
    if (!algorithm) {
      return logical::bad_request("unknown signing algorithm \"" + std::string(name) + "\"");
    }
    key.algorithm = *algorithm;
  }
  return {};
}

Result<void> check_roles(OidcStore& rows, const OidcKey& key) {
  auto roles = rows.roles_with_key(key.name);
  if (!roles) return forward(roles);
  for (const store::OidcRole& role : *roles) {
    if (role.ttl_s <= key.verification_ttl_s) continue;
    return logical::bad_request("unable to update key \"" + key.name +
                                "\" because it is currently referenced by one or more roles with a "
                                "token ttl greater than " +
                                std::to_string(key.verification_ttl_s) + " seconds");
  }
  return {};
}

Result<Response> write(Context& context) {
  OidcStore rows = store_of(context);
  const std::string_view name = context.fields.text("name");
  if (auto good = store::check_name("key", name); !good) return forward(good);
  auto known = rows.key(name);
  if (!known) return forward(known);
  OidcKey key = *known ? **known : OidcKey{};
  key.name = name;
  if (auto read = read_fields(context, key); !read) return forward(read);
  if (!*known) {
    auto names = rows.key_names();
    if (!names) return forward(names);
    if (names->size() >= store::kOidcKeysMax) return logical::bad_request("too many keys");
  } else if (auto good = check_roles(rows, key); !good) {
    return forward(good);
  }
  const int64_t now =
      std::chrono::floor<std::chrono::seconds>(context.clock.wall()).time_since_epoch().count();
  // A shorter period is in force at once.
  const int64_t next = now + key.rotation_period_s;
  if (key.next_rotation_s == 0 || next < key.next_rotation_s) key.next_rotation_s = next;
  const bool new_pairs = !*known || (*known)->algorithm != key.algorithm;
  auto saved = new_pairs ? rows.save_with_new_pairs(key) : rows.save(key);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> read(Context& context) {
  auto key = store_of(context).key(context.fields.text("name"));
  if (!key) return forward(key);
  if (!*key) return logical::nothing_there();
  return logical::with_data(
      {{"algorithm", crypto::jws_algorithm_name((*key)->algorithm)},
       {"allowed_client_ids", base::Json::strings((*key)->allowed_client_ids)},
       {"rotation_period", (*key)->rotation_period_s},
       {"verification_ttl", (*key)->verification_ttl_s}});
}

Result<Response> erase(Context& context) {
  OidcStore rows = store_of(context);
  const std::string name(context.fields.text("name"));
  if (name == store::kOidcDefaultKey) {
    return logical::bad_request("deletion of key \"default\" not allowed");
  }
  auto key = rows.key(name);
  if (!key) return forward(key);
  if (!*key) return Response{};
  auto roles = rows.roles_with_key(name);
  if (!roles) return forward(roles);
  if (!roles->empty()) {
    std::string names;
    for (const store::OidcRole& role : *roles) {
      names.append(names.empty() ? "" : ", ").append(role.name);
    }
    return logical::bad_request("unable to delete key \"" + name +
                                "\" because it is currently referenced by these roles: " + names);
  }
  auto removed = rows.remove(**key);
  if (!removed) return forward(removed);
  return Response{};
}

Result<bool> exists(Context& context) {
  auto key = store_of(context).key(context.fields.text("name"));
  if (!key) return forward(key);
  return key->has_value();
}

Result<Response> rotate(Context& context) {
  OidcStore rows = store_of(context);
  const std::string name(context.fields.text("name"));
  auto key = rows.key(name);
  if (!key) return forward(key);
  if (!*key) return logical::bad_request("no named key found at \"" + name + "\"");
  const int64_t ttl = seconds_or(context.fields, "verification_ttl", (*key)->verification_ttl_s);
  if (ttl < 0 || ttl > 10 * (*key)->rotation_period_s) {
    return logical::bad_request("verification_ttl cannot be longer than 10x rotation_period");
  }
  auto rotated = rows.rotate(**key, ttl);
  if (!rotated) return forward(rotated);
  return Response{};
}

Result<Response> list(Context& context) {
  auto names = store_of(context).key_names();
  if (!names) return forward(names);
  return logical::with_keys(*names);
}

}  // namespace

void IdentityBackend::add_oidc_key_routes() {
  const Field name{"name", FieldType::kString, "The key's name."};
  const Field ttl{"verification_ttl", FieldType::kDuration,
                  "How long what it signed can be verified after it was rotated; 24h."};
  routes_.add({.pattern = "oidc/key",
               .handlers = {{Operation::kList, list}},
               .synopsis = "Lists the keys that sign identity tokens."});
  routes_.add({.pattern = "oidc/key/{name}",
               .fields = {name,
                          ttl,
                          {"rotation_period", FieldType::kDuration, "How long it signs; 24h."},
                          {"allowed_client_ids", FieldType::kStrings,
                           "Of the roles that may use it; * for all."},
                          {"algorithm", FieldType::kString,
                           "RS256, RS384, RS512, ES256, ES384, ES512 or EdDSA."}},
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, write},
                            {Operation::kDelete, erase}},
               .synopsis = "A key that signs identity tokens.",
               .exists = exists,
               .blocking = true});
  routes_.add({.pattern = "oidc/key/{name}/rotate",
               .fields = {name, ttl},
               .handlers = {{Operation::kUpdate, rotate}},
               .synopsis = "Lets the key's next pair sign from now on.",
               .blocking = true});
}

// Rotation that falls due, and old public halves that nobody needs any more: one key each time.
Result<bool> IdentityBackend::tend(Context& context) const {
  OidcStore rows = store_of(context);
  auto names = rows.key_names();
  if (!names) return forward(names);
  for (const std::string& name : *names) {
    auto key = rows.key(name);
    if (!key) return forward(key);
    if (!*key) continue;
    auto changed = rows.bring_up_to_date(**key);
    if (!changed || *changed) return changed;
  }
  return false;
}

}  // namespace rekey::engine::identity
