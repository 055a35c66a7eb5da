// Label selectors of namespaces (Kubernetes' meta/v1 LabelSelector), as a role has them in
// bound_service_account_namespace_selector: read, and asked about labels. Knows nothing of where
// labels come from. Any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace rekey::auth::kubernetes {

constexpr size_t kSelectorBytesMax = 16 * 1024;   // of its text
constexpr size_t kSelectorRequirementsMax = 256;  // of one selector
constexpr size_t kSelectorValuesMax = 1000;       // of one requirement
constexpr size_t kSelectorDepthMax = 8;           // of its YAML
constexpr size_t kSelectorNodesMax = 10'000;      // of its YAML
constexpr size_t kLabelNameBytesMax = 63;         // of a key's name, and of a value
constexpr size_t kLabelPrefixBytesMax = 253;      // of a key's prefix

using Labels = std::map<std::string, std::string, std::less<>>;

class Selector {
 public:
  // JSON, or YAML without anchors and tags; text that YAML takes for something else needs quotes.
  // kInvalid, with what is wrong, where it isn't a LabelSelector: unlike Kubernetes it has no other
  // members than matchLabels and matchExpressions, because a mistyped one would select everything.
  static base::Result<Selector> parse(std::string_view text);

  // Whether labels meet all requirements; one without any selects everything.
  bool matches(const Labels& labels) const;

 private:
  enum class Operator { kIn, kNotIn, kExists, kDoesNotExist };
  struct Requirement {
    std::string key;
    Operator op;
    std::vector<std::string> values;
  };
  base::Result<void> add_labels(const base::Json& labels);
  base::Result<void> add_expression(const base::Json& expression);

  std::vector<Requirement> requirements_;
};

// YAML of the kind above as a tree. Scalars that are neither quoted nor text are null, a boolean or
// a number.
base::Result<base::Json> read_yaml(std::string_view text);

}  // namespace rekey::auth::kubernetes
