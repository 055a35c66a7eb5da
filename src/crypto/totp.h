// Time-based one-time passwords (RFC 6238, RFC 4226), and the otpauth:// URL by which an
// authenticator app learns of a key
// (https://github.com/google/google-authenticator/wiki/Key-Uri-Format).
//
// Knows nothing of users, of attempts or of codes that were used: whoever checks a code keeps the
// step that find_totp_step says, and takes only later ones. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret_bytes.h"

namespace rekey::crypto {

inline constexpr int64_t kTotpPeriodMaxS = 24 * 3600;  // seconds for which one code is shown
inline constexpr int64_t kTotpSkewMax = 1;             // periods taken before and after the present
inline constexpr size_t kTotpKeyBytesMin = 16;         // RFC 4226, requirement 6
inline constexpr size_t kTotpKeyBytesMax = 256;
inline constexpr size_t kTotpCodeCharsMax = 8;
inline constexpr size_t kOtpauthUrlBytesMax = 2048;
inline constexpr size_t kOtpauthNameBytesMax = 256;  // issuer and account, each

enum class TotpHash { kSha1, kSha256, kSha512 };

struct TotpParams {
  TotpHash hash = TotpHash::kSha1;
  int64_t digits = 6;  // 6 or 8
  int64_t period_s = 30;
  int64_t skew = 1;  // 0 or 1

  bool operator==(const TotpParams&) const = default;
};

// "SHA1", "SHA256", "SHA512", as otpauth:// and Vault name them; in capitals only.
std::string_view totp_hash_name(TotpHash hash);
std::optional<TotpHash> totp_hash_named(std::string_view name);

// kInvalid, in Vault's words, for what is out of the bounds above.
base::Result<void> check_totp(const TotpParams& params);

// The code of one step: of the `step`th period since 1970, or of a counter (HOTP).
std::string totp_code(const TotpParams& params, const base::SecretBytes& key, uint64_t step);

// The latest step within the skew of `now_s` (seconds since 1970) whose code this is; nothing where
// it is none's. Takes the same time whichever step it is and whether there is one.
std::optional<int64_t> find_totp_step(const TotpParams& params, const base::SecretBytes& key,
                                      std::string_view code, int64_t now_s);

// What an app is told.
struct Otpauth {
  std::string issuer, account;
  TotpParams params;  // without the skew, which is the checking side's
  base::SecretBytes key;
};
// otpauth://totp/ISSUER:ACCOUNT?algorithm=...&digits=...&issuer=...&period=...&secret=... The key
// is in it: as secret as the key.
std::string otpauth_url(const Otpauth& what);
// Any order and other parameters are taken; what is missing is as apps take it (SHA1, 6, 30). The
// issuer of the parameter counts, else the label's. kInvalid for what is no such URL, for hotp and
// for values out of bounds; the message never holds a part of the URL.
base::Result<Otpauth> parse_otpauth_url(std::string_view url);

}  // namespace rekey::crypto
