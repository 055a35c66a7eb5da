// JSON Web Keys and sets of them (RFC 7517, RFC 7518 section 6, RFC 8037): public keys as texts
// that other programs read and write.
//
// Knows only asymmetric keys: a symmetric one ("oct") is never taken for a key that verifies, and
// of a private one only the public half is read. Pure; any thread, but a set of many keys takes
// milliseconds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "crypto/key_pair.h"

namespace rekey::crypto {

constexpr size_t kJwksBytesMax = 1 << 20;  // of a set's text
constexpr size_t kJwksKeysMax = 256;       // keys in a set

struct Jwk {
  std::string key_id;     // "kid"; may be empty
  std::string algorithm;  // "alg", as it was written; may be empty
  std::string use;        // "sig", "enc" or empty
  KeyPair key;            // the public half
};

// The public half of `key` as a JWK: kty, the numbers, and of the others those that aren't empty.
base::JsonObject to_jwk(const KeyPair& key, std::string_view key_id, std::string_view algorithm,
                        std::string_view use = "sig");
base::JsonObject to_jwk(const Jwk& jwk);

// RSA, EC and OKP keys of the kinds that KeyPair has. Failure: kInvalid for any other, for numbers
// that are no key and for an RSA exponent with which nothing is proved.
base::Result<Jwk> parse_jwk(const base::Json& json);

// {"keys": [...]}. Keys of other kinds are left out, as RFC 7517 section 5 asks. Failure: kInvalid
// for another text, kTooLarge over a limit.
base::Result<std::vector<Jwk>> parse_jwks(std::string_view text);

}  // namespace rekey::crypto
