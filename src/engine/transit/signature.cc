#include "engine/transit/signature.h"

#include <charconv>

#include "base/codec.h"
#include "crypto/digest.h"
#include "engine/transit/ciphertext.h"
#include "engine/transit/common.h"

namespace rekey::engine::transit {
namespace {

using base::Result;
using crypto::KeyPair;
using crypto::KeyPairKind;
using logical::bad_request;

constexpr std::string_view kBadSignature = "invalid signature";
constexpr std::string_view kBadHmac = "invalid HMAC";
constexpr size_t kEd25519SeedBytes = 32;

// "auto", "hash" or a number; 0 and -1 are Go's numbers for the two words.
Result<int> salt_length(std::string_view text) {
  if (text.empty() || text == "auto") return crypto::kPssSaltAuto;
  if (text == "hash") return crypto::kPssSaltHash;
  int number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size()) {
    return bad_request("salt length neither 'auto', 'hash', nor an int: " + std::string(text));
  }
  if (number < -1) return bad_request("salt length is invalid: " + std::to_string(number));
  if (number == 0) return crypto::kPssSaltAuto;
  return number == -1 ? crypto::kPssSaltHash : number;
}

std::string_view chosen_hash(const logical::Context& context) {
  for (const char* field : {"urlalgorithm", "hash_algorithm", "algorithm"}) {
    const std::string_view name = context.fields.text(field);
    if (!name.empty()) return name;
  }
  return "sha2-256";
}

// The pair that signs: the version's own, or the one derived for the context.
Result<KeyPair> derived_pair(const LoadedKey& key, const Material& material,
                             std::string_view context) {
  auto seed = derive(key.settings, material.version, context, kEd25519SeedBytes);
  if (!seed) return bad_request("error deriving key: " + seed.error().message());
  return KeyPair::from_seed(*seed);
}

// What is signed: the input itself for Ed25519, otherwise its digest.
Result<std::string> digest_of(const KeyPair& pair, const SignOptions& options,
                              std::string_view input) {
  if (pair.kind() == KeyPairKind::kEd25519 || options.prehashed) return std::string(input);
  return crypto::digest_or_sha1(options.hash, input);
}

Result<void> check_options(const KeyPair& pair, const SignOptions& options,
                           std::string_view digest) {
  if (!pair.is_rsa()) return {};
  if (!options.algorithm.empty() && options.algorithm != "pss" && options.algorithm != "pkcs1v15") {
    return bad_request("unsupported rsa signature algorithm " + options.algorithm);
  }
  const size_t key_bytes = pair.kind() == KeyPairKind::kRsa2048   ? 256
                           : pair.kind() == KeyPairKind::kRsa3072 ? 384
                                                                  : 512;
  // RFC 8017 9.1.1: the encoded message holds the digest, the salt and two bytes more.
  if (options.salt_bytes > 0 &&
      digest.size() + static_cast<size_t>(options.salt_bytes) + 2 > key_bytes) {
    return bad_request("requested salt length " + std::to_string(options.salt_bytes) +
                       " is invalid");
  }
  return {};
}

Result<std::string> to_text(const KeyPair& pair, const SignOptions& options, uint32_t version,
                            std::string signature) {
  const bool ecdsa = !pair.is_rsa() && pair.kind() != KeyPairKind::kEd25519;
  if (options.jws && ecdsa) {
    auto fixed = crypto::ecdsa_to_fixed(pair.kind(), signature);
    if (!fixed) return fixed;
    signature = std::move(*fixed);
  }
  std::string out;
  append_prefix(out, version);
  out += options.jws ? base::base64url_encode(signature) : base::base64_encode(signature);
  return out;
}

// The signature in the form that KeyPair takes; empty for one that can't be right.
Result<std::string> from_text(const KeyPair& pair, const SignOptions& options,
                              std::string_view payload) {
  auto decoded = options.jws
                     ? (payload.ends_with('=') ? bad_request("") : base::base64url_decode(payload))
                     : decode_base64(payload);
  if (!decoded) return bad_request("invalid base64 signature value");
  const bool ecdsa = !pair.is_rsa() && pair.kind() != KeyPairKind::kEd25519;
  if (!ecdsa) return decoded;
  if (!options.jws) {
    if (!crypto::is_ecdsa_der(*decoded)) return bad_request("supplied signature is invalid");
    return decoded;
  }
  auto der = crypto::ecdsa_to_der(pair.kind(), *decoded);
  return der ? *der : std::string();
}

}  // namespace

crypto::SignatureScheme SignOptions::scheme() const {
  return {.hash = hash,
          .padding = algorithm == "pkcs1v15" ? crypto::Padding::kPkcs1 : crypto::Padding::kPss,
          .salt_bytes = salt_bytes};
}

Result<SignOptions> read_sign_options(const logical::Context& context) {
  SignOptions out;
  out.hash = chosen_hash(context);
  if (out.hash != "none" && crypto::openssl_digest_name(out.hash) == nullptr) {
    return bad_request("invalid hash algorithm \"" + out.hash + "\"");
  }
  out.prehashed = context.fields.flag("prehashed");
  out.algorithm = context.fields.text("signature_algorithm");
  if (out.hash == "none" && (!out.prehashed || out.algorithm != "pkcs1v15")) {
    return bad_request(
        "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15");
  }
  const std::string_view marshaling = context.fields.text("marshaling_algorithm", "asn1");
  if (marshaling != "asn1" && marshaling != "jws" && !marshaling.empty()) {
    return bad_request("invalid marshaling type \"" + std::string(marshaling) + "\"");
  }
  out.jws = marshaling == "jws";
  auto salt = salt_length(context.fields.text("salt_length", "auto"));
  if (!salt) return forward(salt);
  out.salt_bytes = *salt;
  return out;
}

Result<Signed> sign(Keys& keys, LoadedKey& key, const SignOptions& options,
                    std::string_view derivation_context, int64_t key_version,
                    std::string_view input) {
  auto number = writing_version(key.settings, key_version, "signing");
  if (!number) return forward(number);
  auto material = keys.material(key, *number);
  if (!material) return forward(material);
  if (!(*material)->pair->has_private()) {
    return bad_request("requested version for signing does not contain a private part");
  }
  std::optional<KeyPair> derived;
  if (key.settings.derived) {
    auto pair = derived_pair(key, **material, derivation_context);
    if (!pair) return forward(pair);
    derived.emplace(std::move(*pair));
  }
  const KeyPair& pair = derived ? *derived : *(*material)->pair;
  auto digest = digest_of(pair, options, input);
  if (!digest) return forward(digest);
  auto possible = check_options(pair, options, *digest);
  if (!possible) return forward(possible);
  auto made = pair.sign(options.scheme(), *digest);
  if (!made) return forward(made);
  auto text = to_text(pair, options, *number, std::move(*made));
  if (!text) return forward(text);
  Signed out{.signature = std::move(*text), .version = *number};
  if (derived) out.public_key = base::base64_encode(derived->ed25519_public());
  return out;
}

Result<bool> verify(Keys& keys, LoadedKey& key, const SignOptions& options,
                    std::string_view derivation_context, std::string_view input,
                    std::string_view signature) {
  auto parts = split_versioned(signature, kBadSignature);
  if (!parts) return forward(parts);
  auto readable = check_readable(key.settings, parts->version, kBadSignature);
  if (!readable) return forward(readable);
  auto material = keys.material(key, parts->version);
  if (!material) return forward(material);
  std::optional<KeyPair> derived;
  if (key.settings.derived) {
    auto pair = derived_pair(key, **material, derivation_context);
    if (!pair) return forward(pair);
    derived.emplace(std::move(*pair));
  }
  const KeyPair& pair = derived ? *derived : *(*material)->pair;
  auto bytes = from_text(pair, options, parts->payload);
  if (!bytes) return forward(bytes);
  auto digest = digest_of(pair, options, input);
  if (!digest) return forward(digest);
  auto possible = check_options(pair, options, *digest);
  if (!possible) return forward(possible);
  if (bytes->empty()) return false;
  return pair.verify(options.scheme(), *digest, *bytes);
}

Result<std::string> make_hmac(Keys& keys, LoadedKey& key, std::string_view hash, uint32_t version,
                              std::string_view input) {
  auto material = keys.material(key, version);
  if (!material) return forward(material);
  auto mac = crypto::hmac(hash, (*material)->version.hmac_key, input);
  if (!mac) return mac;
  std::string out;
  append_prefix(out, version);
  base::append_base64(out, *mac);
  return out;
}

Result<bool> verify_hmac(Keys& keys, LoadedKey& key, std::string_view hash, std::string_view input,
                         std::string_view text) {
  if (!text.starts_with("vault:v")) return bad_request("invalid HMAC to verify: no prefix");
  auto parts = split_versioned(text, kBadHmac);
  if (!parts) return forward(parts);
  auto readable = check_readable(key.settings, parts->version, kBadHmac);
  if (!readable) return forward(readable);
  auto sent = decode_base64(parts->payload);
  if (!sent) {
    return bad_request("unable to decode verification HMAC as base64: illegal base64 data");
  }
  auto material = keys.material(key, parts->version);
  if (!material) return forward(material);
  auto mac = crypto::hmac(hash, (*material)->version.hmac_key, input);
  if (!mac) return forward(mac);
  return base::equal_constant_time(*mac, *sent);
}

}  // namespace rekey::engine::transit
