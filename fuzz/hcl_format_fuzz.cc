// rooms: hcl
// Formatting any policy: it reads as before (format() checks that itself and must never have to say
// no), every comment is still there, and a second formatting changes nothing.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "hcl/format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto once = rekey::hcl::format(text);
  if (!once) {
    REKEY_CHECK(once.error().kind() != rekey::base::ErrorKind::kInternal);
    return 0;
  }
  REKEY_CHECK(std::count(once->begin(), once->end(), '#') ==
              std::count(text.begin(), text.end(), '#'));
  const auto twice = rekey::hcl::format(*once);
  REKEY_CHECK(twice && *twice == *once);
  return 0;
}
