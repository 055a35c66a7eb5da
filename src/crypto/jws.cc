#include "crypto/jws.h"

#include "base/check.h"
#include "base/codec.h"
#include "crypto/digest.h"

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;

enum class Family { kPkcs1, kPss, kEcdsa, kEd25519 };

struct Algorithm {
  JwsAlgorithm id;
  std::string_view name;
  Family family;
  std::string_view hash;
  KeyPairKind kind;  // RSA: of a new key
};

constexpr Algorithm kAlgorithms[] = {
    {JwsAlgorithm::kRs256, "RS256", Family::kPkcs1, "sha2-256", KeyPairKind::kRsa2048},
    {JwsAlgorithm::kRs384, "RS384", Family::kPkcs1, "sha2-384", KeyPairKind::kRsa2048},
    {JwsAlgorithm::kRs512, "RS512", Family::kPkcs1, "sha2-512", KeyPairKind::kRsa2048},
    {JwsAlgorithm::kPs256, "PS256", Family::kPss, "sha2-256", KeyPairKind::kRsa2048},
    {JwsAlgorithm::kPs384, "PS384", Family::kPss, "sha2-384", KeyPairKind::kRsa2048},
    {JwsAlgorithm::kPs512, "PS512", Family::kPss, "sha2-512", KeyPairKind::kRsa2048},
    {JwsAlgorithm::kEs256, "ES256", Family::kEcdsa, "sha2-256", KeyPairKind::kP256},
    {JwsAlgorithm::kEs384, "ES384", Family::kEcdsa, "sha2-384", KeyPairKind::kP384},
    {JwsAlgorithm::kEs512, "ES512", Family::kEcdsa, "sha2-512", KeyPairKind::kP521},
    {JwsAlgorithm::kEdDsa, "EdDSA", Family::kEd25519, "", KeyPairKind::kEd25519},
};

const Algorithm& facts_of(JwsAlgorithm id) {
  for (const Algorithm& algorithm : kAlgorithms) {
    if (algorithm.id == id) return algorithm;
  }
  REKEY_CHECK(false);
  return kAlgorithms[0];
}

SignatureScheme scheme_of(const Algorithm& algorithm) {
  return {.hash = algorithm.hash,
          .padding = algorithm.family == Family::kPss ? Padding::kPss : Padding::kPkcs1,
          .salt_bytes = kPssSaltHash};
}

// What the key pair is given: Ed25519 takes the message itself.
Result<std::string> digest_for(const Algorithm& algorithm, std::string_view message) {
  if (algorithm.family == Family::kEd25519) return std::string(message);
  return digest(algorithm.hash, message);
}

std::unexpected<base::Error> malformed(std::string detail) {
  return base::fail(ErrorKind::kInvalid, "malformed JWS: " + detail);
}

// Without padding, as RFC 7515 section 2 has it, and in the one form that encoding gives: bits left
// over in the last character are zero (RFC 4648 section 3.5), so that no token has two spellings.
Result<std::string> decode_part(std::string_view text) {
  if (text.contains('=')) return malformed("a part is padded");
  auto bytes = base::base64url_decode(text);
  if (!bytes || base::base64url_encode(*bytes) != text) {
    return malformed("a part is not base64url");
  }
  return std::move(*bytes);
}

Result<JsonObject> parse_header(std::string_view text) {
  auto bytes = decode_part(text);
  if (!bytes) return forward(bytes);
  if (bytes->size() > kJwsHeaderBytesMax) {
    return base::fail(ErrorKind::kTooLarge, "malformed JWS: the header is too large");
  }
  auto json = Json::parse(*bytes, {.depth_max = 8, .members_max = 256});
  if (!json || !json->is_object()) return malformed("the header is not a JSON object");
  return std::move(*json->as_object());
}

}  // namespace

std::string_view jws_algorithm_name(JwsAlgorithm algorithm) { return facts_of(algorithm).name; }

std::optional<JwsAlgorithm> jws_algorithm_named(std::string_view name) {
  for (const Algorithm& algorithm : kAlgorithms) {
    if (algorithm.name == name) return algorithm.id;
  }
  return std::nullopt;
}

bool jws_algorithm_fits(JwsAlgorithm algorithm, KeyPairKind kind) {
  const Algorithm& facts = facts_of(algorithm);
  if (facts.family == Family::kPkcs1 || facts.family == Family::kPss) {
    return kind >= KeyPairKind::kRsa2048;
  }
  return kind == facts.kind;
}

KeyPairKind jws_key_kind(JwsAlgorithm algorithm) { return facts_of(algorithm).kind; }

Result<Jws> parse_jws(std::string_view text) {
  if (text.size() > kJwsBytesMax) {
    return base::fail(ErrorKind::kTooLarge, "malformed JWS: it is too large");
  }
  const size_t first = text.find('.');
  const size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos) {
    return malformed("compact JWS format must have three parts");
  }
  auto header = parse_header(text.substr(0, first));
  if (!header) return forward(header);
  const Json whole(*header);
  const auto algorithm = jws_algorithm_named(whole.string_or("alg", ""));
  if (!algorithm) return malformed("the signature algorithm is not supported");
  if (header->contains("crit")) return malformed("critical extensions are not supported");
  auto payload = decode_part(text.substr(first + 1, second - first - 1));
  if (!payload) return forward(payload);
  auto signature = decode_part(text.substr(second + 1));
  if (!signature) return forward(signature);
  if (signature->empty()) return malformed("there is no signature");
  return Jws{.algorithm = *algorithm,
             .key_id = whole.string_or("kid", ""),
             .header = std::move(*header),
             .payload = std::move(*payload),
             .signing_input = std::string(text.substr(0, second)),
             .signature = std::move(*signature)};
}

bool jws_signed_by(const Jws& jws, const KeyPair& key) {
  const Algorithm& algorithm = facts_of(jws.algorithm);
  if (!jws_algorithm_fits(jws.algorithm, key.kind())) return false;
  std::string signature = jws.signature;
  if (algorithm.family == Family::kEcdsa) {
    auto der = ecdsa_to_der(key.kind(), signature);
    if (!der) return false;
    signature = std::move(*der);
  }
  const auto message = digest_for(algorithm, jws.signing_input);
  if (!message) return false;
  const auto valid = key.verify(scheme_of(algorithm), *message, signature);
  return valid.has_value() && *valid;
}

const Jwk* find_signer(const Jws& jws, std::span<const Jwk> keys) {
  for (const Jwk& jwk : keys) {
    if (!jws.key_id.empty() && jwk.key_id != jws.key_id) continue;
    if (!jwk.use.empty() && jwk.use != "sig") continue;
    if (!jwk.algorithm.empty() && jwk.algorithm != jws_algorithm_name(jws.algorithm)) continue;
    if (jws_signed_by(jws, jwk.key)) return &jwk;
  }
  return nullptr;
}

Result<std::string> sign_jws(const KeyPair& key, JwsAlgorithm algorithm, std::string_view payload,
                             std::string_view key_id, std::string_view type) {
  const Algorithm& facts = facts_of(algorithm);
  if (!jws_algorithm_fits(algorithm, key.kind())) {
    return base::fail(ErrorKind::kInvalid, "the key doesn't sign with " + std::string(facts.name));
  }
  JsonObject header{{"alg", facts.name}};
  if (!key_id.empty()) header.set("kid", key_id);
  if (!type.empty()) header.set("typ", type);
  std::string text = base::base64url_encode(Json(std::move(header)).dump());
  text += "." + base::base64url_encode(payload);
  const auto message = digest_for(facts, text);
  if (!message) return base::fail(ErrorKind::kInternal, "a digest is missing");
  auto signature = key.sign(scheme_of(facts), *message);
  if (!signature) return forward(signature);
  if (facts.family == Family::kEcdsa) {
    signature = ecdsa_to_fixed(key.kind(), *signature);
    if (!signature) return forward(signature);
  }
  return text + "." + base::base64url_encode(*signature);
}

}  // namespace rekey::crypto
