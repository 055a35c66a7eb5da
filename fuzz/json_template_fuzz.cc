// rooms: identity
// The first line is a metadata value, the rest a template: whatever is taken, the value stays a
// value, and what comes out is JSON with the names that the template has.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/codec.h"
#include "identity/json_template.h"

namespace base = rekey::base;
namespace identity = rekey::identity;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string value(text.substr(0, text.find('\n')));
  text.remove_prefix(std::min(value.size() + 1, text.size()));
  if (!base::is_valid_utf8(value)) return 0;
  auto parsed = identity::JsonTemplate::parse(text);
  if (!parsed) return 0;
  rekey::policy::TemplateContext context;
  context.entity_id = context.entity_name = value;
  context.entity_metadata = {{"k", value}, {value, "v"}};
  context.groups = {{value, value, {{"k", value}}}};
  context.aliases["acc"] = {value, value, {{"k", value}}, {{"k", value}}};
  const base::WallTime now(std::chrono::seconds(1'790'000'000));
  const auto read = base::Json::parse(base::Json(parsed->fill(context, now)).dump());
  REKEY_CHECK(read.has_value() && read->is_object());
  const base::JsonObject& object = parsed->object();
  REKEY_CHECK(std::ranges::equal(*read->as_object(), object,
                                 [](const auto& a, const auto& b) { return a.first == b.first; }));
  return 0;
}
