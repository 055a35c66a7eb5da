// rooms: auditdev
// The filter of an audit device: parsing ends and keeps to its limits; what was parsed decides, and
// its negation decides the other way.
#include <cstdint>
#include <string>
#include <string_view>

#include "auditdev/filter.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using rekey::auditdev::Filter;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const rekey::auditdev::FilterInput input{.mount_point = "secret/",
                                           .mount_type = "kv",
                                           .name_space = "",
                                           .operation = "read",
                                           .path = "secret/data/a"};
  const auto filter = Filter::parse(text);
  if (!filter) {
    REKEY_CHECK(!filter.error().message().empty());
    return 0;
  }
  const bool takes = filter->takes(input);
  if (filter->takes_everything()) {
    REKEY_CHECK(takes);
    return 0;
  }
  const auto negated = Filter::parse("not (" + std::string(text) + ")");
  if (negated) REKEY_CHECK(negated->takes(input) != takes);  // else: one level too deep or too long
  return 0;
}
