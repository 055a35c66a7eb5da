// rooms: base
// Hex, base64, durations and times from a client: decoding never crashes, and what a decoder
// accepts survives a round trip.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"

namespace base = rekey::base;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto bytes = base::hex_decode(text)) {
    REKEY_CHECK(*base::hex_decode(base::hex_encode(*bytes)) == *bytes);
  }
  if (const auto bytes = base::base64_decode(text)) {
    REKEY_CHECK(*base::base64_decode(base::base64_encode(*bytes)) == *bytes);
  }
  if (const auto bytes = base::base64url_decode(text)) {
    REKEY_CHECK(*base::base64url_decode(base::base64url_encode(*bytes)) == *bytes);
  }
  if (const auto time = base::parse_rfc3339(text)) {
    const auto again = base::parse_rfc3339(base::format_rfc3339(*time));
    REKEY_CHECK(again.has_value() && *again == *time);
  }
  if (const auto duration = base::parse_duration(text)) (void)base::format_duration(*duration);
  REKEY_CHECK(base::hex_encode(text).size() == 2 * size);
  REKEY_CHECK(*base::hex_decode(base::hex_encode(text)) == text);
  REKEY_CHECK(*base::base64_decode(base::base64_encode(text)) == text);
  return 0;
}
