// SipHash-2-4 with 128 bits (Aumasson and Bernstein), as libsodium has it: a keyed function for
// short inputs in tables that an attacker chooses the keys of. No MAC for messages.
#pragma once

#include <array>
#include <string_view>

#include "base/secret_bytes.h"

namespace rekey::crypto {

inline constexpr size_t kSipHashKeyBytes = 16;
using SipDigest = std::array<unsigned char, 16>;

// Allocates nothing; any thread.
class SipHash {
 public:
  explicit SipHash(base::SecretBytes key);  // of kSipHashKeyBytes
  SipDigest operator()(std::string_view bytes) const;

 private:
  base::SecretBytes key_;
};

}  // namespace rekey::crypto
