// AES key wrap with padding (RFC 5649, NIST SP 800-38F KWP) under an AES-256 key. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret_bytes.h"

namespace rekey::crypto {

inline constexpr size_t kKeyWrapKeyBytes = 32;
inline constexpr size_t kKeyWrapInputBytesMax = 16 * 1024;  // of a wrapped key

// `wrapping_key` has kKeyWrapKeyBytes bytes; `key` has from 1 to kKeyWrapInputBytesMax bytes.
std::string key_wrap(const base::SecretBytes& wrapping_key, const base::SecretBytes& key);

// kInvalid unless `wrapped` is what key_wrap() made with the same key, of whatever length.
base::Result<base::SecretBytes> key_unwrap(const base::SecretBytes& wrapping_key,
                                           std::string_view wrapped);

}  // namespace rekey::crypto
