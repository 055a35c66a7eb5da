#include "policy/policy.h"

#include <gtest/gtest.h>

namespace rekey::policy {
namespace {

TEST(Policy, BuiltInTextsParseWithoutWarnings) {
  for (std::string_view text : {default_policy_text(), response_wrapping_policy_text()}) {
    std::vector<std::string> warnings;
    const auto policy = parse_policy("x", text, warnings);
    ASSERT_TRUE(policy) << policy.error().describe();
    EXPECT_FALSE(policy->rules.empty());
    EXPECT_TRUE(warnings.empty()) << warnings.front();
  }
}

}  // namespace
}  // namespace rekey::policy
