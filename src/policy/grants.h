// What all policies of a token say about one pattern, merged; and every pattern in order of
// precedence. Acl adds the fast look-up and the decision. Immutable once made.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "policy/pattern.h"
#include "policy/policy.h"

namespace rekey::policy {

// One rule of one policy that went into a Grant.
struct Source {
  const Policy* policy = nullptr;
  const Rule* rule = nullptr;
};

struct Grant {
  Pattern pattern;
  std::string written;  // the pattern with its `*`
  CapabilitySet capabilities;
  ParameterLists allowed_parameters;
  ParameterLists denied_parameters;
  std::vector<std::string> required_parameters;
  base::Duration min_wrapping_ttl{};
  base::Duration max_wrapping_ttl{};
  std::vector<Source> sources;  // in the order of the policies

  // The first source that gives `capability`, else the first.
  const Source& source_of(Capability capability) const;
};

struct Grants {
  bool root = false;
  std::string_view root_policy;
  std::vector<Grant> exact;
  std::vector<Grant> wild;              // weakest first: an index is also a rank
  std::vector<std::string> unresolved;  // "policy p, line 3: path ...: the token has no entity"
};

// Merges rules with the same path. The pointers in it are into `policies`.
Grants merge(std::span<const std::shared_ptr<const Policy>> policies,
             const TemplateContext* context);

}  // namespace rekey::policy
