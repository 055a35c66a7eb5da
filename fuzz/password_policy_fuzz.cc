// rooms: policy
// A password policy's text. Whatever parses makes passwords that fit it, or says that it can't.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "policy/password_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto policy = rekey::policy::PasswordPolicy::parse(
      std::string_view(reinterpret_cast<const char*>(data), size));
  if (!policy) return 0;
  rekey::base::SeededRandom random(1);
  const auto password = policy->generate(random);
  if (password) REKEY_CHECK(policy->fits(*password));
  return 0;
}
