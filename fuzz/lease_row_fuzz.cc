// rooms: lease
// Any text as a lease's row: what is read is written again the same.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "lease/lease.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto lease = rekey::lease::decode_lease(text);
  if (!lease) return 0;
  const std::string row = rekey::lease::encode_lease(*lease);
  auto again = rekey::lease::decode_lease(row);
  REKEY_CHECK(again.has_value() && rekey::lease::encode_lease(*again) == row);
  return 0;
}
