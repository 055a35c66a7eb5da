// sign/, verify/, hmac/.
#include "crypto/digest.h"
#include "engine/transit/batch.h"
#include "engine/transit/common.h"
#include "engine/transit/signature.h"
#include "engine/transit/transit.h"

namespace rekey::engine::transit {
namespace {

using base::JsonWriter;
using base::Result;
using logical::bad_request;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

constexpr std::string_view kBadInput = "unable to decode input as base64: illegal base64 data";

// Items of a batch must have an input; a request without one signs nothing, the empty text.
Result<std::string> input_of(const Item& item, bool batch, std::string_view missing) {
  if (batch && !item.has("input")) return bad_request(std::string(missing));
  auto input = decode_base64(item.text("input"));
  if (!input) return bad_request(std::string(kBadInput));
  return input;
}

Result<std::string> context_of(const Item& item) { return decode_context(item.text("context")); }

// A batch of public-key operations, a long body and the slow kinds of keys: for the pool.
bool takes_long(const Context& context, const LoadedKey& key, const Items& items, bool signing) {
  if (context.may_block) return false;
  if (context.request.body_bytes > kInlineBodyBytesMax) return true;
  const TypeInfo& info = key.settings.info();
  if (!info.pair) return false;
  return items.batch || (info.slow() && (signing || !info.is_rsa()));
}

Result<std::shared_ptr<LoadedKey>> key_for(Context& context, Keys& keys, std::string_view missing) {
  auto name = key_name(context);
  if (!name) return forward(name);
  auto key = keys.find_for_use(*name);
  if (key && *key == nullptr) return bad_request(std::string(missing));
  return key;
}

Result<Response> sign_items(Context& context) {
  Keys keys(context);
  auto options = read_sign_options(context);
  if (!options) return forward(options);
  auto key = key_for(context, keys, "signing key not found");
  if (!key) return forward(key);
  const TypeInfo& info = (*key)->settings.info();
  if (!info.signs()) {
    return bad_request("key type " + std::string(info.name) + " does not support signing");
  }
  auto items = read_items(context);
  if (!items) return forward(items);
  if (takes_long(context, **key, *items, true)) return context.to_pool();
  const int64_t key_version = context.fields.integer("key_version");
  Results results(context, *items);
  for (const Item& item : items->items) {
    const auto made = [&]() -> Result<Signed> {
      auto input = input_of(item, items->batch, "missing input");
      if (!input) return forward(input);
      auto derivation = context_of(item);
      if (!derivation) return forward(derivation);
      return sign(keys, **key, *options, *derivation, key_version, *input);
    }();
    if (!made) {
      if (!items->batch) return std::unexpected(made.error());
      JsonWriter& json = results.begin_failed();
      json.member("error", made.error().message());
      json.member("key_version", 0);
      results.end(item);
      continue;
    }
    JsonWriter& json = results.begin();
    json.member("key_version", made->version);
    if (!made->public_key.empty()) {
      json.member(items->batch ? "publickey" : "public_key", made->public_key);
    }
    json.member("signature", made->signature);
    results.end(item);
  }
  return results.finish();
}

// Whether all items are to be verified by their HMAC; false: by their signature.
Result<bool> by_hmac(const Items& items) {
  size_t signatures = 0, hmacs = 0;
  for (const Item& item : items.items) {
    const bool signature = !item.text("signature").empty();
    signatures += signature ? 1 : 0;
    hmacs += !signature && !item.text("hmac").empty() ? 1 : 0;
  }
  if (signatures > 0 && hmacs > 0) {
    return bad_request(
        "elements of batch_input must all provide 'signature' or all provide 'hmac'");
  }
  if (signatures + hmacs == 0) {
    return bad_request("neither a 'signature' nor an 'hmac' were given to verify");
  }
  if (signatures + hmacs < items.items.size()) {
    return bad_request(std::string("some elements of batch_input are missing ") +
                       (hmacs > 0 ? "'hmac'" : "'signature'"));
  }
  return hmacs > 0;
}

Result<Response> verify_items(Context& context) {
  Keys keys(context);
  auto options = read_sign_options(context);
  if (!options) return forward(options);
  auto items = read_items(context);
  if (!items) return forward(items);
  auto hmac = by_hmac(*items);
  if (!hmac) return forward(hmac);
  auto key = key_for(context, keys, "signature verification key not found");
  if (!key) return forward(key);
  const TypeInfo& info = (*key)->settings.info();
  if (!*hmac && !info.signs()) {
    return bad_request("key type " + std::string(info.name) + " does not support verification");
  }
  if (*hmac && options->hash == "none") return bad_request("algorithm cannot be none");
  if (!*hmac && takes_long(context, **key, *items, false)) return context.to_pool();
  Results results(context, *items);
  for (const Item& item : items->items) {
    const auto valid = [&]() -> Result<bool> {
      auto input = input_of(item, items->batch, "missing input");
      if (!input) return forward(input);
      if (*hmac) return verify_hmac(keys, **key, options->hash, *input, item.text("hmac"));
      auto derivation = context_of(item);
      if (!derivation) return forward(derivation);
      return verify(keys, **key, *options, *derivation, *input, item.text("signature"));
    }();
    if (!valid) {
      if (!items->batch) return std::unexpected(valid.error());
      JsonWriter& json = results.begin_failed();
      json.member("error", valid.error().message());
      json.member("valid", false);
      results.end(item);
      continue;
    }
    results.begin().member("valid", *valid);
    results.end(item);
  }
  return results.finish();
}

Result<uint32_t> hmac_version(const KeySettings& settings, int64_t asked) {
  if (asked == 0 || asked == settings.latest) return settings.latest;
  if (asked < 0 || asked > settings.latest) {
    return bad_request("key version does not exist; latest key version is " +
                       std::to_string(settings.latest));
  }
  if (asked < settings.min_encryption) {
    return bad_request("cannot generate HMAC: version is too old (disallowed by policy)");
  }
  if (asked < settings.min_decryption) return bad_request("no such key version");
  return static_cast<uint32_t>(asked);
}

Result<Response> hmac_items(Context& context) {
  Keys keys(context);
  auto key = key_for(context, keys, "encryption key not found");
  if (!key) return forward(key);
  auto version = hmac_version((*key)->settings, context.fields.integer("key_version"));
  if (!version) return forward(version);
  std::string hash(context.fields.text("urlalgorithm"));
  if (hash.empty()) hash = context.fields.text("algorithm", "sha2-256");
  if (hash == "none") return bad_request("algorithm cannot be none");
  if (crypto::openssl_digest_name(hash) == nullptr) {
    return bad_request("unsupported algorithm \"" + hash + "\"");
  }
  auto items = read_items(context);
  if (!items) return forward(items);
  if (!context.may_block && context.request.body_bytes > kInlineBodyBytesMax) {
    return context.to_pool();
  }
  Results results(context, *items);
  for (const Item& item : items->items) {
    const auto made = [&]() -> Result<std::string> {
      auto input = input_of(item, true, "missing input for HMAC");
      if (!input) return input;
      return make_hmac(keys, **key, hash, *version, *input);
    }();
    if (!made) {
      if (!items->batch) return std::unexpected(made.error());
      results.failed(item, made.error());
      continue;
    }
    results.begin().member("hmac", *made);
    results.end(item);
  }
  return results.finish();
}

const Field kInput{"input", FieldType::kString, "Base64 of what it is about."};
const Field kHash{"hash_algorithm", FieldType::kString, "sha2-256 (default), sha3-512, sha1 ..."};
const Field kOldHash{"algorithm", FieldType::kString, "The same, under its older name."};
const Field kPrehashed{"prehashed", FieldType::kBoolean, "The input is the digest."};
const Field kAlgorithm{"signature_algorithm", FieldType::kString, "Of RSA: pss or pkcs1v15."};
const Field kMarshaling{"marshaling_algorithm", FieldType::kString, "asn1 (default) or jws."};
const Field kSalt{"salt_length", FieldType::kString, "Of PSS: auto, hash or a number of bytes."};
const Field kContext{"context", FieldType::kString, "Base64: of a derived key."};
const Field kVersion{"key_version", FieldType::kInteger, "Which version; 0 for the latest."};
const Field kBatch{"batch_input", FieldType::kAny, "A list of objects with these fields."};

}  // namespace

void Engine::add_sign_routes() {
  for (const char* pattern : {"sign/{name}", "sign/{name}/{urlalgorithm}"}) {
    routes_.add({.pattern = pattern,
                 .fields = {kInput, kHash, kOldHash, kPrehashed, kAlgorithm, kMarshaling, kSalt,
                            kContext, kVersion, kBatch},
                 .handlers = {{Operation::kUpdate, sign_items}},
                 .synopsis = "Signs with a key."});
  }
  for (const char* pattern : {"verify/{name}", "verify/{name}/{urlalgorithm}"}) {
    routes_.add({.pattern = pattern,
                 .fields = {kInput,
                            kHash,
                            kOldHash,
                            kPrehashed,
                            kAlgorithm,
                            kMarshaling,
                            kSalt,
                            kContext,
                            kBatch,
                            {"signature", FieldType::kString, "What sign answered."},
                            {"hmac", FieldType::kString, "What hmac answered."}},
                 .handlers = {{Operation::kUpdate, verify_items}},
                 .synopsis = "Whether a signature or HMAC is right."});
  }
  for (const char* pattern : {"hmac/{name}", "hmac/{name}/{urlalgorithm}"}) {
    routes_.add({.pattern = pattern,
                 .fields = {kInput, kOldHash, kVersion, kBatch},
                 .handlers = {{Operation::kUpdate, hmac_items}},
                 .synopsis = "The HMAC of an input under a key."});
  }
}

}  // namespace rekey::engine::transit
