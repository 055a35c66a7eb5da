// Signatures and HMACs of transit keys, as texts ("vault:v1:...") and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "crypto/key_pair.h"
#include "engine/transit/keys.h"
#include "logical/context.h"

namespace rekey::engine::transit {

// How a request wants its inputs signed or verified.
struct SignOptions {
  std::string hash = "sha2-256";  // or "none": PKCS #1 v1.5 of the input as it is
  bool prehashed = false;         // the input is the digest
  bool jws = false;               // base64url, and ECDSA's r and s side by side
  std::string algorithm;          // as asked: "", "pss", "pkcs1v15"
  int salt_bytes = crypto::kPssSaltAuto;

  crypto::SignatureScheme scheme() const;
};

// From the request's fields. kInvalid for what is none of Vault's choices.
base::Result<SignOptions> read_sign_options(const logical::Context& context);

struct Signed {
  std::string signature;   // the text
  std::string public_key;  // base64, of a derived key
  uint32_t version = 0;
};

// kInvalid where the key can't sign this so.
base::Result<Signed> sign(Keys& keys, LoadedKey& key, const SignOptions& options,
                          std::string_view derivation_context, int64_t key_version,
                          std::string_view input);
base::Result<bool> verify(Keys& keys, LoadedKey& key, const SignOptions& options,
                          std::string_view derivation_context, std::string_view input,
                          std::string_view signature);

base::Result<std::string> make_hmac(Keys& keys, LoadedKey& key, std::string_view hash,
                                    uint32_t version, std::string_view input);
base::Result<bool> verify_hmac(Keys& keys, LoadedKey& key, std::string_view hash,
                               std::string_view input, std::string_view text);

}  // namespace rekey::engine::transit
