// keys/{name}/import and import_version, wrapping_key, byok-export: keys that come and go wrapped.
//
// A wrapped key is an AES-256 key under RSA-OAEP and, behind it, the key itself under that AES key
// (RFC 5649): PKCS #8 in DER for a key pair, the bytes themselves for others.
#include "base/codec.h"
#include "crypto/key_wrap.h"
#include "engine/transit/common.h"
#include "engine/transit/transit.h"

namespace rekey::engine::transit {
namespace {

using base::Result;
using base::SecretBytes;
using crypto::KeyPair;
using logical::bad_request;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

constexpr std::string_view kWrappingKeyRow = "wrapping-key";
constexpr size_t kWrappingKeyBytes = 512;  // RSA-4096's ciphertexts
// One text for both layers: which of them failed is nobody's business.
constexpr std::string_view kNotUnwrapped = "the key is not wrapped with the wrapping key";

// Vault's names of the hashes of OAEP as ours; empty for any other.
std::string_view oaep_hash(std::string_view name) {
  if (name == "SHA1") return "sha1";
  if (name == "SHA224") return "sha2-224";
  if (name == "SHA256") return "sha2-256";
  if (name == "SHA384") return "sha2-384";
  if (name == "SHA512") return "sha2-512";
  return {};
}

// The mount's wrapping key; made at its first use. May ask for the pool.
Result<KeyPair> wrapping_key(Context& context) {
  auto row = context.storage->get(kWrappingKeyRow);
  if (!row) return forward(row);
  if (*row) {
    auto der = base::base64_decode(**row);
    if (!der) return base::fail(base::ErrorKind::kCorrupt, "the wrapping key can't be read");
    return KeyPair::from_private_der(*der);
  }
  if (!context.may_block) return context.to_pool();
  KeyPair made = KeyPair::generate(crypto::KeyPairKind::kRsa4096);
  auto written =
      context.storage->put(kWrappingKeyRow, base::base64_encode(made.private_der().reveal()));
  if (!written) return forward(written);
  return made;
}

Result<Response> show_wrapping_key(Context& context) {
  auto key = wrapping_key(context);
  if (!key) return forward(key);
  return logical::with_data({{"public_key", key->public_pem()}});
}

Result<SecretBytes> unwrap(Context& context, std::string_view text) {
  const std::string_view hash = oaep_hash(context.fields.text("hash_function", "SHA256"));
  auto blob = decode_base64(text);
  if (!blob) return forward(blob);
  if (blob->size() <= kWrappingKeyBytes) return bad_request("provided ciphertext is too short");
  auto wrapping = wrapping_key(context);
  if (!wrapping) return forward(wrapping);
  const std::string_view whole = *blob;
  auto ephemeral = wrapping->decrypt_oaep(hash, whole.substr(0, kWrappingKeyBytes));
  if (!ephemeral || ephemeral->size() != crypto::kKeyWrapKeyBytes) {
    return bad_request(std::string(kNotUnwrapped));
  }
  auto key = crypto::key_unwrap(*ephemeral, whole.substr(kWrappingKeyBytes));
  if (!key) return bad_request(std::string(kNotUnwrapped));
  return key;
}

// The version that the request brings, private or public.
Result<KeyVersion> imported_version(Context& context, KeySettings& settings) {
  const std::string_view wrapped = context.fields.text("ciphertext");
  if (!wrapped.empty()) {
    auto key = unwrap(context, wrapped);
    if (!key) return forward(key);
    if (settings.type == KeyType::kHmac && settings.latest == 0) {
      settings.hmac_key_bytes =
          std::min(kHmacKeyBytesMax, std::max(kHmacKeyBytesMin, static_cast<int64_t>(key->size())));
    }
    return adopt_version(settings, std::move(*key), context.clock.wall(), context.random);
  }
  const std::string_view pem = context.fields.text("public_key");
  if (!settings.info().pair || settings.derived) {
    return bad_request("provided type does not support public_key import");
  }
  auto pair = KeyPair::from_public_pem(pem);
  if (!pair) return bad_request("error importing key: " + pair.error().message());
  return adopt_public(settings, *pair, context.clock.wall(), context.random);
}

Result<KeySettings> import_settings(Context& context) {
  if (oaep_hash(context.fields.text("hash_function", "SHA256")).empty()) {
    return bad_request("unknown hash function: " +
                       std::string(context.fields.text("hash_function")));
  }
  const std::string_view type_name = context.fields.text("type", "aes256-gcm96");
  const TypeInfo* type = type_named(type_name);
  if (type == nullptr) return bad_request("unknown key type: " + std::string(type_name));
  KeySettings settings;
  settings.type = type->type;
  settings.derived = context.fields.flag("derived");
  settings.exportable = context.fields.flag("exportable");
  settings.plaintext_backup = context.fields.flag("allow_plaintext_backup");
  settings.imported = true;
  settings.allow_rotation = context.fields.flag("allow_rotation");
  auto period = auto_rotate_seconds(context, 0);
  if (!period) return forward(period);
  settings.auto_rotate_s = *period;
  if (settings.auto_rotate_s > 0 && !settings.allow_rotation) {
    return bad_request("allow_rotation must be set to true if auto-rotation is enabled");
  }
  auto derivable = check_derivation(settings);
  if (!derivable) return forward(derivable);
  return settings;
}

Result<Response> import(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  auto settings = import_settings(context);
  if (!settings) return forward(settings);
  Keys keys(context);
  auto there = keys.settings_to_change(*name);
  if (!there) return forward(there);
  if (*there) {
    return bad_request(
        "the import path cannot be used with an existing key; use import-version to rotate an "
        "existing imported key");
  }
  auto version = imported_version(context, *settings);
  if (!version) return forward(version);
  auto added = keys.add_version(*name, *settings, *version);
  if (!added) return forward(added);
  return Response{};
}

// The private half for a version of which only the public one is there.
Result<void> complete_version(Context& context, Keys& keys, std::string_view name,
                              KeySettings& settings, uint32_t number) {
  auto old = keys.version(name, number);
  if (!old) return forward(old);
  if (!settings.info().pair || !old->key.empty()) {
    return bad_request("the version of the key has its private part");
  }
  auto fresh = imported_version(context, settings);
  if (!fresh) return forward(fresh);
  auto half = pair_of(settings.info(), *old);
  auto whole = pair_of(settings.info(), *fresh);
  if (!half || !whole || !half->same_public(*whole)) {
    return bad_request("error importing key: the private key does not belong to the public key");
  }
  fresh->hmac_key = std::move(old->hmac_key);
  fresh->created = old->created;
  auto written = keys.write_version(name, number, *fresh);
  if (!written) return written;
  return keys.write(name, settings);
}

Result<Response> import_version(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  if (oaep_hash(context.fields.text("hash_function", "SHA256")).empty()) {
    return bad_request("unknown hash function: " +
                       std::string(context.fields.text("hash_function")));
  }
  Keys keys(context);
  auto settings = keys.settings_to_change(*name);
  if (!settings) return forward(settings);
  if (!*settings) {
    return bad_request("no key found with name " + std::string(*name) +
                       "; to import a new key, use the import/ endpoint");
  }
  KeySettings& s = **settings;
  if (!s.imported) {
    return bad_request("the import_version endpoint can only be used with an imported key");
  }
  const int64_t asked = context.fields.integer("version");
  if (asked < 0 || asked > s.latest || (asked > 0 && asked < s.min_decryption)) {
    return bad_request("no such key version");
  }
  if (asked > 0) {
    auto completed = complete_version(context, keys, *name, s, static_cast<uint32_t>(asked));
    if (!completed) return forward(completed);
    return Response{};
  }
  auto latest = keys.version(*name, s.latest);
  if (!latest) return forward(latest);
  if (!context.fields.text("ciphertext").empty() && latest->key.empty()) {
    auto completed = complete_version(context, keys, *name, s, s.latest);
    if (!completed) return forward(completed);
    return Response{};
  }
  auto version = imported_version(context, s);
  if (!version) return forward(version);
  auto added = keys.add_version(*name, s, *version);
  if (!added) return forward(added);
  return Response{};
}

// One version of `key`, wrapped for the holder of `destination`.
Result<std::string> wrapped_version(Context& context, const KeyPair& destination,
                                    std::string_view hash, const KeySettings& settings,
                                    const KeyVersion& version) {
  if (version.key.empty()) return bad_request("the key has no private part");
  const SecretBytes ephemeral = context.random.secret(crypto::kKeyWrapKeyBytes);
  auto sealed = destination.encrypt_oaep(hash, ephemeral.reveal());
  if (!sealed) return sealed;
  SecretBytes plain = version.key.clone();
  if (settings.info().pair) {
    auto pair = pair_of(settings.info(), version);
    if (!pair) return forward(pair);
    plain = pair->private_der();
  }
  return base::base64_encode(*sealed + crypto::key_wrap(ephemeral, plain));
}

Result<Response> byok_export(Context& context) {
  const std::string_view to = context.fields.text("destination");
  const std::string_view from = context.fields.text("source");
  if (!is_key_name(to) || !is_key_name(from)) {
    return base::fail(base::ErrorKind::kNotFound, "unsupported path");
  }
  const std::string_view hash = oaep_hash(context.fields.text("hash", "SHA256"));
  if (hash.empty()) {
    return bad_request("unknown hash function: " + std::string(context.fields.text("hash")));
  }
  Keys keys(context);
  auto destination = keys.find(to);
  if (!destination) return forward(destination);
  if (*destination == nullptr) return bad_request("no such destination key to export to");
  auto source = keys.find(from);
  if (!source) return forward(source);
  if (*source == nullptr) return bad_request("no such source key for export");
  if (!(*destination)->settings.info().is_rsa()) {
    return bad_request("unsupported key type in use; must be a rsa key");
  }
  const KeySettings& s = (*source)->settings;
  if (!s.exportable) return bad_request("key is not exportable");
  auto range = versions_of(s, context.fields.text("version"));
  if (!range) return forward(range);
  auto holder = keys.material(**destination, (*destination)->settings.latest);
  if (!holder) return forward(holder);
  Response response;
  base::JsonWriter json(response.data);
  json.begin_object();
  json.key("keys");
  json.begin_object();
  for (uint32_t number = range->first; number <= range->last; number++) {
    auto version = keys.version(from, number);
    if (!version) return forward(version);
    auto text = wrapped_version(context, *(*holder)->pair, hash, s, *version);
    if (!text) return forward(text);
    json.dynamic_key(std::to_string(number));
    json.value(*text);
  }
  json.end_object();
  json.member("name", from);
  json.member("type", s.info().name);
  json.end_object();
  return response;
}

}  // namespace

void Engine::add_import_routes() {
  const Field ciphertext{"ciphertext", FieldType::kString, "The wrapped key, base64."};
  const Field hash{"hash_function", FieldType::kString, "Of OAEP: SHA256 (default), SHA1 ..."};
  const Field public_key{"public_key", FieldType::kString, "A public key in PEM, in its place."};
  routes_.add({.pattern = "wrapping_key",
               .handlers = {{Operation::kRead, show_wrapping_key}},
               .synopsis = "The public key to wrap keys with that are to be imported."});
  routes_.add({.pattern = "keys/{name}/import",
               .fields = {ciphertext,
                          hash,
                          public_key,
                          {"type", FieldType::kString, "Of the key."},
                          {"allow_rotation", FieldType::kBoolean, "New versions may be made here."},
                          {"derived", FieldType::kBoolean, "A key of its own for each `context`."},
                          {"exportable", FieldType::kBoolean, "The key may be exported."},
                          {"allow_plaintext_backup", FieldType::kBoolean, "As it says."},
                          {"auto_rotate_period", FieldType::kDuration, "At least an hour, or 0."}},
               .handlers = {{Operation::kUpdate, import}},
               .synopsis = "Takes over a key that was made elsewhere.",
               .blocking = true});
  routes_.add({.pattern = "keys/{name}/import_version",
               .fields = {ciphertext,
                          hash,
                          public_key,
                          {"version", FieldType::kInteger, "Whose private part this is."}},
               .handlers = {{Operation::kUpdate, import_version}},
               .synopsis = "Takes over a new version of an imported key.",
               .blocking = true});
  for (const char* pattern :
       {"byok-export/{destination}/{source}", "byok-export/{destination}/{source}/{version}"}) {
    routes_.add({.pattern = pattern,
                 .fields = {{"hash", FieldType::kString, "Of OAEP: SHA256 (default), SHA1 ..."}},
                 .handlers = {{Operation::kRead, byok_export}},
                 .synopsis = "A key wrapped with another mount's or server's public key.",
                 .blocking = true});
  }
}

}  // namespace rekey::engine::transit
