// rooms: base
// JSON text from a client: whatever is accepted must come back the same after being written.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"

using rekey::base::Json;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = Json::parse(text, {.depth_max = 64, .members_max = 10'000});
  if (!parsed) return 0;
  const std::string written = parsed->dump();
  const auto again = Json::parse(written, {.depth_max = 64, .members_max = 10'000});
  REKEY_CHECK(again.has_value());
  REKEY_CHECK(*again == *parsed);
  REKEY_CHECK(again->dump() == written);
  REKEY_CHECK(Json::parse(parsed->dump_pretty()).has_value());
  return 0;
}
