// derive-key/: a symmetric key that two parties agree on (ECDH), kept as an imported key.
// OpenBao's.
#include "crypto/digest.h"
#include "engine/transit/ciphertext.h"
#include "engine/transit/common.h"
#include "engine/transit/transit.h"

namespace rekey::engine::transit {
namespace {

using base::Result;
using logical::bad_request;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;

// The secret that the base key and the peer's key have in common.
Result<base::SecretBytes> agreed_secret(Context& context, Keys& keys) {
  const std::string_view base_name = context.fields.text("base_key_name");
  const std::string_view pem = context.fields.text("peer_public_key");
  if (pem.empty()) return bad_request("peer public key not provided");
  if (!is_key_name(base_name)) return bad_request("specified base key not found");
  auto base_key = keys.find_for_use(base_name);
  if (!base_key) return forward(base_key);
  if (*base_key == nullptr) return bad_request("specified base key not found");
  const TypeInfo& info = (*base_key)->settings.info();
  if (!info.pair || info.is_rsa() || info.type == KeyType::kEd25519) {
    return bad_request("base key type " + std::string(info.name) +
                       " does not support key agreement");
  }
  const int64_t asked = context.fields.integer("base_key_version");
  auto number = writing_version((*base_key)->settings, asked, "derivation");
  if (!number) return forward(number);
  auto peer = crypto::KeyPair::from_public_pem(pem);
  if (!peer) return bad_request("failed to parse supplied peer public key PEM");
  if (peer->kind() != *info.pair) {
    return bad_request("base private key type " + std::string(info.name) +
                       " does not match peer public key curve");
  }
  auto material = keys.material(**base_key, *number);
  if (!material) return forward(material);
  return (*material)->pair->agree(*peer);
}

Result<Response> derive_key(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  const std::string_view algorithm = context.fields.text("key_derivation_algorithm", "ecdh");
  if (algorithm != "ecdh") {
    return bad_request("key derivation algorithm " + std::string(algorithm) + " not supported");
  }
  const std::string_view type_name = context.fields.text("derived_key_type", "aes256-gcm96");
  const TypeInfo* type = type_named(type_name);
  if (type == nullptr || !type->cipher) {
    return bad_request("unknown key type " + std::string(type_name));
  }
  Keys keys(context);
  auto there = keys.settings_to_change(*name);
  if (!there) return forward(there);
  KeySettings settings;
  if (*there) {
    settings = **there;
    if (!settings.imported || settings.type != type->type) {
      return bad_request("there is another key of this name");
    }
  } else {
    settings.type = type->type;
    settings.imported = true;
    settings.allow_rotation = false;
  }
  auto secret = agreed_secret(context, keys);
  if (!secret) return forward(secret);
  auto key = crypto::hkdf_sha256(*secret, {}, {}, crypto::cipher_key_bytes(*type->cipher));
  auto version = adopt_version(settings, std::move(key), context.clock.wall(), context.random);
  if (!version) return forward(version);
  auto added = keys.add_version(*name, settings, *version);
  if (!added) return forward(added);
  return Response{};
}

}  // namespace

void Engine::add_derive_routes() {
  routes_.add(
      {.pattern = "derive-key/{name}",
       .fields = {{"base_key_name", FieldType::kString, "An ECDSA key of this mount."},
                  {"base_key_version", FieldType::kInteger, "Which version; 0 for the latest."},
                  {"peer_public_key", FieldType::kString, "The other party's, in PEM."},
                  {"derived_key_type", FieldType::kString, "aes256-gcm96 (default) and the like."},
                  {"key_derivation_algorithm", FieldType::kString, "ecdh."}},
       .handlers = {{Operation::kUpdate, derive_key}},
       .synopsis = "Makes the key that this mount and another party agree on.",
       .blocking = true});
}

}  // namespace rekey::engine::transit
