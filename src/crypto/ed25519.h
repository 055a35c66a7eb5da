// Ed25519 signatures (RFC 8032). Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/random.h"
#include "base/secret_bytes.h"

namespace rekey::crypto {

inline constexpr size_t kEd25519SeedBytes = 32;
inline constexpr size_t kEd25519PublicKeyBytes = 32;
inline constexpr size_t kEd25519SignatureBytes = 64;

class Ed25519PrivateKey {
 public:
  static Ed25519PrivateKey generate(base::Random& random);
  // kInvalid unless `seed` has kEd25519SeedBytes bytes.
  static base::Result<Ed25519PrivateKey> from_seed(base::SecretBytes seed);

  const base::SecretBytes& seed() const { return seed_; }
  const std::string& public_key() const { return public_key_; }  // 32 bytes
  std::string sign(std::string_view message) const;              // 64 bytes

 private:
  explicit Ed25519PrivateKey(base::SecretBytes seed);
  base::SecretBytes seed_;
  std::string public_key_;
};

// False for a wrong signature and for a key or a signature of the wrong length.
bool ed25519_verify(std::string_view public_key, std::string_view message,
                    std::string_view signature);

}  // namespace rekey::crypto
