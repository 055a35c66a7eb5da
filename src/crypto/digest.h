// Hashes and keyed hashes. Pure; any thread.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret_bytes.h"

namespace rekey::crypto {

using Sha256Digest = std::array<unsigned char, 32>;

inline std::string_view as_bytes(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

// SHA-256 (FIPS 180-4) of the parts one after the other. Doesn't allocate.
Sha256Digest sha256(std::string_view a, std::string_view b = {}, std::string_view c = {});

// HMAC-SHA256 (RFC 2104) under one key. Keeps the two SHA-256 states that follow the padded key, so
// that a short message costs two compressions, no allocation and no lock. The states are as secret
// as the key and are wiped with the object.
class HmacSha256 {
 public:
  explicit HmacSha256(const base::SecretBytes& key);  // of any length

  // Of the two parts one after the other.
  Sha256Digest mac(std::string_view a, std::string_view b = {}) const;

 private:
  base::SecretBytes states_;
};

// HKDF-SHA256 (RFC 5869), extract and expand. `size` is at most 255 * 32 bytes.
base::SecretBytes hkdf_sha256(const base::SecretBytes& key, std::string_view salt,
                              std::string_view info, size_t size);

// The digest called sha2-224, sha2-256, sha2-384, sha2-512, sha3-224, sha3-256, sha3-384 or
// sha3-512 (the names of sys/tools/hash) as raw bytes; kInvalid for any other name.
base::Result<std::string> digest(std::string_view algorithm, std::string_view data);

// As digest(), and sha1 too, which is only for signatures and HMACs that somebody else chose.
base::Result<std::string> digest_or_sha1(std::string_view algorithm, std::string_view data);

// HMAC (RFC 2104) with a digest of any of these names; kInvalid for another name.
base::Result<std::string> hmac(std::string_view algorithm, const base::SecretBytes& key,
                               std::string_view data);

// OpenSSL's name for sha1 or one of the digests above; nullptr for any other.
const char* openssl_digest_name(std::string_view algorithm);

}  // namespace rekey::crypto
