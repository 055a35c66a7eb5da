#include "policy/password_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace rekey::policy {
namespace {

std::string error_of(std::string_view text) {
  const auto policy = PasswordPolicy::parse(text);
  return policy ? "" : policy.error().message();
}

constexpr std::string_view kUsual = R"(
  length = 20
  rule "charset" {
    charset = "abcdefghijklmnopqrstuvwxyz"
    min-chars = 1
  }
  rule "charset" {
    charset = "0123456789"
    min-chars = 3
  })";

TEST(PasswordPolicy, MakesWhatItAsksFor) {
  base::SeededRandom random(1);
  const auto policy = PasswordPolicy::parse(kUsual);
  ASSERT_TRUE(policy) << policy.error().describe();
  for (int i = 0; i < 200; i++) {
    const auto password = policy->generate(random);
    ASSERT_TRUE(password);
    EXPECT_EQ(password->size(), 20u);
    EXPECT_TRUE(policy->fits(*password)) << *password;
    EXPECT_GE(std::ranges::count_if(*password, isdigit), 3);
  }
  EXPECT_FALSE(policy->fits("abcdefghijklmnopqrst"));   // no digit
  EXPECT_FALSE(policy->fits("abcdefghijklmnop1234X"));  // too long, and an X
}

TEST(PasswordPolicy, ReadsJsonAsWell) {
  base::SeededRandom random(1);
  const auto policy = PasswordPolicy::parse(
      R"({"length": 8, "rule": [{"charset": {"charset": "xyz", "min-chars": 8}}]})");
  ASSERT_TRUE(policy) << policy.error().describe();
  const auto password = policy->generate(random);
  ASSERT_TRUE(password);
  EXPECT_EQ(password->find_first_not_of("xyz"), std::string::npos);
}

// Three characters in 4 places: 3^4 passwords, each as likely as the others. A character that comes
// twice in the charsets isn't likelier for it.
TEST(PasswordPolicy, DrawsEvenly) {
  base::SeededRandom random(7);
  const auto policy = PasswordPolicy::parse(
      R"(length = 4 rule "charset" { charset = "abca" } rule "charset" { charset = "a" })");
  ASSERT_TRUE(policy) << policy.error().describe();
  std::map<std::string, int> seen;
  constexpr int kDraws = 81 * 200;
  for (int i = 0; i < kDraws; i++) seen[*policy->generate(random)]++;
  EXPECT_EQ(seen.size(), 81u);
  double chi_squared = 0;
  for (const auto& [password, count] : seen) chi_squared += (count - 200.0) * (count - 200.0) / 200;
  EXPECT_LT(chi_squared, 124.8);  // 80 degrees of freedom, p = 0.001
}

TEST(PasswordPolicy, TakesCharactersBeyondAscii) {
  base::SeededRandom random(3);
  const auto policy = PasswordPolicy::parse(R"(length = 5 rule "charset" { charset = "äß€😀" })");
  ASSERT_TRUE(policy) << policy.error().describe();
  const auto password = policy->generate(random);
  ASSERT_TRUE(password);
  EXPECT_TRUE(policy->fits(*password));
}

TEST(PasswordPolicy, RefusesWhatCantWork) {
  EXPECT_EQ(error_of("length = 20"), "invalid password policy: no charset specified");
  EXPECT_EQ(error_of(R"(rule "charset" { charset = "abc" })"),
            "invalid password policy: length must be > 0");
  EXPECT_EQ(error_of(R"(length = -3 rule "charset" { charset = "abc" })"),
            "invalid password policy: length must be > 0");
  EXPECT_NE(error_of(R"(length = 101 rule "charset" { charset = "abc" })"), "");
  EXPECT_NE(error_of(R"(length = 3 rule "charset" { charset = "abc" })"), "");
  EXPECT_NE(error_of(R"(length = 5 rule "charset" { charset = "" })"), "");
  EXPECT_NE(error_of(R"(length = 5 rule "charset" { charset = "a" min-chars = 6 })"), "");
  EXPECT_NE(error_of(R"(length = 5 rule "charset" { charset = "a" min-chars = -1 })"), "");
  EXPECT_NE(error_of(R"(length = 5 rule "charset" { charset = "a" other = 1 })"), "");
  EXPECT_NE(error_of(R"(length = 5 rule "other" { charset = "a" })"), "");
  EXPECT_NE(error_of(R"(length = 5 other = 5 rule "charset" { charset = "a" })"), "");
  EXPECT_NE(error_of("length = 5 rule \"charset\" { charset = \"a\\u0007\" }"), "");
  EXPECT_NE(error_of("{{{"), "");
  EXPECT_NE(error_of(std::string(kPasswordPolicyBytesMax + 1, ' ')), "");
}

TEST(PasswordPolicy, SaysSoWhenNoPasswordFits) {
  base::SeededRandom random(1);
  const auto policy = PasswordPolicy::parse(
      R"(length = 20 rule "charset" { charset = "a" min-chars = 20 }
         rule "charset" { charset = "bcdefghijk" })");
  ASSERT_TRUE(policy);
  EXPECT_FALSE(policy->generate(random));
}

}  // namespace
}  // namespace rekey::policy
