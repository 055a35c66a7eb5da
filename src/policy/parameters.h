// A request's parameters against a rule's lists. Pure; any thread.
#pragma once

#include <string_view>

#include "policy/grants.h"

namespace rekey::policy {

struct ParameterVerdict {
  Reason reason = Reason::kGranted;
  std::string_view parameter;  // the one in the way; a view into the request or the grant
};

// `parameters` may be null: none.
ParameterVerdict judge_parameters(const Grant& grant, const base::JsonObject* parameters);

// Is `value` one of `values`? A text may begin or end with `*`; "*" alone stands for itself.
// Numbers are equal by value (Vault compares a policy's numbers with a request's as unequal, so
// that a denied number isn't denied).
bool is_listed(const base::Json& value, const std::vector<base::Json>& values);

}  // namespace rekey::policy
