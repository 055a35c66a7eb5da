// What a JWT claims about itself (RFC 7519 section 4.1): who issued it, about whom, for whom, for
// which time. Reading and comparing; whose key signed it is jws.h's business. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"

namespace rekey::crypto {

constexpr size_t kJwtMembersMax = 10'000;  // members and elements of all claims together
constexpr size_t kJwtDepthMax = 32;        // nested objects and arrays in a claim

struct JwtClaims {
  base::Json all;  // an object
  std::string issuer, subject;
  std::vector<std::string> audiences;
  std::optional<int64_t> expires_s, not_before_s, issued_s;  // since 1970

  bool is_for(std::string_view audience) const;
  bool has_times() const { return expires_s || not_before_s || issued_s; }
};

// Failure: kInvalid where the payload is no object or one of the claims above has another type.
base::Result<JwtClaims> parse_jwt_claims(std::string_view payload);

// How far clocks may differ, in seconds, with the meaning of Vault's fields: 0 is the usual,
// negative none.
struct JwtLeeway {
  int64_t expiration_s = 0;  // 150: how long one without exp is good, from nbf or iat
  int64_t not_before_s = 0;  // 150: how early one without nbf and iat is good, before exp
  int64_t clock_skew_s = 0;  // 60: of all comparisons
};

// Whether they hold at `now`. One of exp, nbf and iat must be there; those that aren't follow from
// those that are. Failure: kInvalid, in Vault's words.
base::Result<void> check_jwt_times(const JwtClaims& claims, base::WallTime now,
                                   const JwtLeeway& leeway);
// The same for tokens that may have none of them: only what is there is compared.
base::Result<void> check_jwt_times_if_any(const JwtClaims& claims, base::WallTime now);

}  // namespace rekey::crypto
