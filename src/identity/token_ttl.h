// How long a token may live, by Vault's rules. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace rekey::identity {

// All in seconds; zero means "not said".
struct TtlQuestion {
  int64_t increment_s = 0;                                                 // asked for in a renewal
  int64_t ttl_s = 0, max_ttl_s = 0, period_s = 0, explicit_max_ttl_s = 0;  // the role's
  int64_t default_ttl_s = 0, longest_s = 0;                                // the mount's
  int64_t age_s = 0;                                                       // of the token
};

// The seconds from now on; at least 1. `warnings` gets what was capped, in Vault's words. Failure:
// kInvalid where a renewal comes after the end.
base::Result<int64_t> choose_token_ttl(TtlQuestion question, std::vector<std::string>& warnings);

}  // namespace rekey::identity
