// rooms: hcl
// A policy or configuration file, HCL or JSON: reading ends, keeps to its limits, and labelled()
// takes any tree.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "hcl/hcl.h"

namespace {

size_t count(const rekey::hcl::Object& object);
size_t count(const rekey::hcl::Value& value) {
  if (const auto* object = value.as_object()) return count(*object);
  size_t items = 0;
  if (const auto* list = value.as_list()) {
    for (const auto& element : *list) items += 1 + count(element);
  }
  return items;
}
size_t count(const rekey::hcl::Object& object) {
  size_t items = 0;
  for (const auto& item : object.items) {
    REKEY_CHECK(!item.keys.empty() && item.place.line > 0 && item.value.place.line > 0);
    items += 1 + count(item.value);
  }
  return items;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const rekey::hcl::Limits limits{.bytes_max = 65536, .depth_max = 40, .items_max = 5000};
  const auto parsed = rekey::hcl::parse(text, limits);
  if (!parsed) {
    REKEY_CHECK(!parsed.error().message().empty());
    return 0;
  }
  REKEY_CHECK(count(*parsed) <= limits.items_max);
  for (const auto& item : parsed->items) (void)rekey::hcl::labelled(*parsed, item.key());
  return 0;
}
