// rooms: crypto
// Any text as an otpauth:// URL and as a code: what is read is in bounds, and what is written of it
// is read back the same.
#include <cstdint>
#include <string_view>

#include "base/base32.h"
#include "base/check.h"
#include "crypto/totp.h"

namespace base = rekey::base;
namespace crypto = rekey::crypto;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto bytes = base::base32_decode(text)) {
    REKEY_CHECK(base::base32_decode(base::base32_encode(*bytes)) == *bytes);
  }
  auto read = crypto::parse_otpauth_url(text);
  if (!read) return 0;
  REKEY_CHECK(crypto::check_totp(read->params).has_value());
  REKEY_CHECK(!read->key.empty() && read->key.size() <= crypto::kTotpKeyBytesMax);
  const std::string code = crypto::totp_code(read->params, read->key, size);
  REKEY_CHECK(code.size() == static_cast<size_t>(read->params.digits));
  (void)crypto::find_totp_step(read->params, read->key, text, static_cast<int64_t>(size));
  // Escaping makes it longer, at most threefold.
  const std::string url = crypto::otpauth_url(*read);
  if (url.size() > crypto::kOtpauthUrlBytesMax) return 0;
  auto again = crypto::parse_otpauth_url(url);
  REKEY_CHECK(again.has_value());
  REKEY_CHECK(again->issuer == read->issuer && again->account == read->account);
  REKEY_CHECK(again->params == read->params);
  REKEY_CHECK(again->key.reveal() == read->key.reveal());
  return 0;
}
