// JSON Web Signatures in their compact form (RFC 7515), the envelope of JWTs: parse, verify, sign.
//
// The algorithm is the key's business as much as the text's: a signature is only looked at by an
// algorithm that belongs to the key's kind, so that no text chooses how it is checked. `none` and
// the HMAC algorithms don't exist here at all: a public key is never a secret. Nothing that a
// header brings or points to (jwk, jku, x5c, x5u) is ever used as a key. Knows no claims. Pure; any
// thread, but signing with RSA takes milliseconds.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "crypto/jwk.h"
#include "crypto/key_pair.h"

namespace rekey::crypto {

constexpr size_t kJwsBytesMax = 128 * 1024;      // of a compact text
constexpr size_t kJwsHeaderBytesMax = 8 * 1024;  // of its header, decoded

enum class JwsAlgorithm {
  kRs256,
  kRs384,
  kRs512,
  kPs256,
  kPs384,
  kPs512,
  kEs256,
  kEs384,
  kEs512,
  kEdDsa
};

std::string_view jws_algorithm_name(JwsAlgorithm algorithm);  // "RS256", "EdDSA"
// Nothing for any other name, `none` and HS256 among them. Names are case-sensitive.
std::optional<JwsAlgorithm> jws_algorithm_named(std::string_view name);
// Whether keys of this kind sign and verify with the algorithm.
bool jws_algorithm_fits(JwsAlgorithm algorithm, KeyPairKind kind);
// The kind of a new key for the algorithm: of RSA's the smallest.
KeyPairKind jws_key_kind(JwsAlgorithm algorithm);

// A text that has the form of a signature and is not proved to be one.
struct Jws {
  JwsAlgorithm algorithm{};
  std::string key_id;  // "kid" as the text has it: whoever made the text chose it
  base::JsonObject header;
  std::string payload;
  std::string signing_input;
  std::string signature;
};

// Failure: kInvalid for what is no compact JWS with one of the algorithms above, and for one with
// critical extensions ("crit"), which we don't know; kTooLarge over a limit.
base::Result<Jws> parse_jws(std::string_view text);

// Whether `key` signed it, with the algorithm that the text names.
bool jws_signed_by(const Jws& jws, const KeyPair& key);
// The key of a set that did; null where none did. A text with a key id is only checked against the
// keys with that id; keys for another use or another algorithm are passed over.
const Jwk* find_signer(const Jws& jws, std::span<const Jwk> keys);

// The compact text. The header has alg, and kid and typ where they aren't empty. Failure: kInvalid
// where the algorithm doesn't fit the key or there is no private half.
base::Result<std::string> sign_jws(const KeyPair& key, JwsAlgorithm algorithm,
                                   std::string_view payload, std::string_view key_id = {},
                                   std::string_view type = {});

}  // namespace rekey::crypto
