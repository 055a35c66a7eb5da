// Hashes of passwords: made with argon2id (RFC 9106), checked as argon2id or bcrypt.
//
// Both take tens of milliseconds and megabytes on purpose: on the pool, never on an io thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/random.h"

namespace rekey::crypto {

// RFC 9106's second recommendation is 64 MiB and 3 passes; OWASP's floor is 19 MiB and 2. A login
// must not be a way to take the server's memory, and the lockout is in front of it.
constexpr uint32_t kArgon2MemoryKib = 19 * 1024;  // of one hash, for as long as it takes
constexpr uint32_t kArgon2Passes = 2;
constexpr uint32_t kArgon2Lanes = 1;
constexpr size_t kPasswordBytesMax = 1024;  // longer ones are refused, not cut

// "$argon2id$v=19$m=19456,t=2,p=1$salt$hash". Failure: kInvalid for a password that is too long.
base::Result<std::string> hash_password(std::string_view password, base::Random& random);

// Whether `text` is a bcrypt hash that check_password can check: $2a$, $2b$ or $2y$.
bool is_bcrypt_hash(std::string_view text);

// Constant in time for one kind of hash. False for a hash that isn't one.
bool check_password(std::string_view password, const std::string& hash);

}  // namespace rekey::crypto
