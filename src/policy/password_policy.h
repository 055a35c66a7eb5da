// Password policies: how a password that Rekey makes for somebody else's system must look. Vault's
// language, in HCL or JSON:
//
//   length = 20
//   rule "charset" {
//     charset   = "abcdefghijklmnopqrstuvwxyz"
//     min-chars = 1
//   }
//
// A password is drawn evenly from all strings of that length over the charsets together that fulfil
// every rule: whole candidates are drawn until one does, so that no character or place is likelier
// than another. sys/policies/password keeps them; engines that make passwords use them.
//
// Knows no store and no request. Pure but for the Random it is given; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/random.h"

namespace rekey::policy {

inline constexpr size_t kPasswordPolicyBytesMax = 16 * 1024;  // of a policy's text
inline constexpr int64_t kPasswordCharsMin = 4;
inline constexpr int64_t kPasswordCharsMax = 100;
inline constexpr size_t kPasswordCharsetMax = 256;     // characters of all charsets together
inline constexpr size_t kPasswordRulesMax = 64;        // of one policy
inline constexpr int kPasswordCandidatesMax = 20'000;  // drawn before a policy counts as hopeless

class PasswordPolicy {
 public:
  // Failure: kInvalid, "invalid password policy: ..."; also where no password would ever fit.
  static base::Result<PasswordPolicy> parse(std::string_view text);

  // Failure: kInvalid where no candidate fits.
  base::Result<std::string> generate(base::Random& random) const;

  int64_t length() const { return length_; }
  // Whether `password` could have been made by this policy.
  bool fits(std::string_view password) const;

 private:
  struct Rule {
    std::u32string charset;  // sorted, without repeats
    int64_t chars_min = 0;
  };
  base::Result<void> check() const;
  bool fulfilled(std::u32string_view candidate) const;

  int64_t length_ = 0;
  std::vector<Rule> rules_;
  std::u32string alphabet_;  // of all rules; sorted, without repeats
};

}  // namespace rekey::policy
