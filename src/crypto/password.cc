#include "crypto/password.h"

#include <argon2.h>
#include <crypt.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/secret_bytes.h"

namespace rekey::crypto {
namespace {

constexpr size_t kSaltBytes = 16;
constexpr size_t kHashBytes = 32;
constexpr size_t kBcryptChars = 60;
constexpr int kBcryptCostMax = 16;  // 2^16 rounds: about four seconds

bool is_argon2(std::string_view hash) { return hash.starts_with("$argon2id$"); }

bool check_bcrypt(std::string_view password, const std::string& hash) {
  // bcrypt takes a C string: a NUL would hide what follows it.
  if (password.find('\0') != password.npos) return false;
  const std::string text(password);
  const auto data = std::make_unique<crypt_data>();
  const char* made = crypt_r(text.c_str(), hash.c_str(), data.get());
  const bool same = made != nullptr && made[0] == '$' && base::equal_constant_time(made, hash);
  base::wipe(data.get(), sizeof(crypt_data));
  base::wipe(const_cast<char*>(text.data()), text.size());
  return same;
}

}  // namespace

base::Result<std::string> hash_password(std::string_view password, base::Random& random) {
  if (password.size() > kPasswordBytesMax) {
    return base::fail(base::ErrorKind::kInvalid, "the password is too long");
  }
  const std::string salt = random.bytes(kSaltBytes);
  std::array<char, 160> encoded{};
  const int failed = argon2id_hash_encoded(kArgon2Passes, kArgon2MemoryKib, kArgon2Lanes,
                                           password.data(), password.size(), salt.data(),
                                           salt.size(), kHashBytes, encoded.data(), encoded.size());
  if (failed != ARGON2_OK) {
    return base::fail(base::ErrorKind::kInternal, "the password could not be hashed",
                      argon2_error_message(failed));
  }
  return std::string(encoded.data());
}

bool is_bcrypt_hash(std::string_view text) {
  const bool kind =
      text.starts_with("$2a$") || text.starts_with("$2b$") || text.starts_with("$2y$");
  if (!kind || text.size() != kBcryptChars || text[6] != '$') return false;
  const auto digit = [&](size_t at) { return text[at] >= '0' && text[at] <= '9'; };
  if (!digit(4) || !digit(5)) return false;
  const int cost = (text[4] - '0') * 10 + (text[5] - '0');
  if (cost < 4 || cost > kBcryptCostMax) return false;
  return std::ranges::all_of(text.substr(7),
                             [](unsigned char c) { return isalnum(c) || c == '.' || c == '/'; });
}

bool check_password(std::string_view password, const std::string& hash) {
  if (password.size() > kPasswordBytesMax) return false;
  if (is_argon2(hash)) {
    return argon2id_verify(hash.c_str(), password.data(), password.size()) == ARGON2_OK;
  }
  return is_bcrypt_hash(hash) && check_bcrypt(password, hash);
}

}  // namespace rekey::crypto
