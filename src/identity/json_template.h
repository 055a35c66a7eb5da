// JSON with {{identity...}} in it, as roles of identity tokens have it: each {{...}} stands where a
// JSON value can stand, and becomes one.
//
// The text is parsed once, with a mark in each such place; values are put into the tree and never
// into the text, so that no value can be anything but a value. What an entity lacks is "", {} or
// []. Immutable; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "policy/policy.h"

namespace rekey::identity {

constexpr size_t kJsonTemplateBytesMax = 16 * 1024;
constexpr size_t kJsonTemplatePlacesMax = 64;  // {{...}} in one template
constexpr size_t kJsonTemplateDepthMax = 16;   // arrays and objects in each other

class JsonTemplate {
 public:
  // Beside what policies' templates know (policy/template.h): {{identity.entity.metadata}},
  // {{identity.entity.aliases.ACCESSOR.metadata}} and .custom_metadata as objects,
  // {{identity.entity.groups.names}} and .ids as lists, {{time.now}}, {{time.now.plus.1h}} and
  // {{time.now.minus.1h}} as seconds since 1970.
  // Failure: kInvalid for unpaired or unknown {{...}}, for one within a string or as a name, and
  // for what is no JSON object.
  static base::Result<JsonTemplate> parse(std::string_view text);

  base::JsonObject fill(const policy::TemplateContext& context, base::WallTime now) const;
  // The names at the top.
  const base::JsonObject& object() const { return object_; }

 private:
  base::JsonObject object_;         // with "{{3}}" where the value of names_[3] goes
  std::vector<std::string> names_;  // "identity.entity.id"
};

}  // namespace rekey::identity
