// The filter of an audit device: which requests it takes, in Vault's expression language
// (developer.hashicorp.com/vault/docs/enterprise/audit/filtering): fields mount_point, mount_type,
// namespace, operation and path with ==, !=, in, not in, contains, not contains, is empty,
// is not empty; and, or, not, parentheses. `matches` (a regular expression) is refused.
//
// Text comes from an administrator; parsing and deciding are bounded. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace rekey::auditdev {

inline constexpr size_t kFilterBytesMax = 4'096;  // an expression
inline constexpr size_t kFilterDepthMax = 64;     // parentheses and nots in one another

struct FilterInput {
  std::string_view mount_point, mount_type, name_space, operation, path;
};

class Filter {
 public:
  struct Node;

  Filter() = default;  // takes everything
  // kInvalid, saying what was expected where. An empty text takes everything.
  static base::Result<Filter> parse(std::string_view text);

  bool takes(const FilterInput& input) const;
  bool takes_everything() const { return root_ == nullptr; }

 private:
  std::shared_ptr<const Node> root_;
};

}  // namespace rekey::auditdev
