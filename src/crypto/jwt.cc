#include "crypto/jwt.h"

#include <algorithm>
#include <cmath>

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using base::Json;
using base::Result;

constexpr int64_t kLeewayS = 150;
constexpr int64_t kClockSkewS = 60;
constexpr int64_t kLeewayMaxS = int64_t{1} << 40;     // of what a role may say
constexpr int64_t kTimeClaimMaxS = int64_t{1} << 50;  // beyond it every time is the same

std::unexpected<base::Error> invalid(std::string message) {
  return base::fail(ErrorKind::kInvalid, std::move(message));
}

Result<std::string> text_claim(const Json& all, std::string_view name) {
  const Json* claim = all.find(name);
  if (claim == nullptr || claim->is_null()) return std::string();
  if (claim->as_string() == nullptr) {
    return invalid("claim \"" + std::string(name) + "\" is not a string");
  }
  return *claim->as_string();
}

Result<std::optional<int64_t>> time_claim(const Json& all, std::string_view name) {
  const Json* claim = all.find(name);
  if (claim == nullptr || claim->is_null()) return std::nullopt;
  const auto number = claim->as_double();
  if (!number || std::isnan(*number)) {
    return invalid("claim \"" + std::string(name) + "\" is not a number");
  }
  const double bound = static_cast<double>(kTimeClaimMaxS);
  return static_cast<int64_t>(std::clamp(*number, -bound, bound));
}

Result<std::vector<std::string>> audiences_of(const Json& all) {
  std::vector<std::string> out;
  const Json* claim = all.find("aud");
  if (claim == nullptr || claim->is_null()) return out;
  const auto wrong = [] { return invalid("claim \"aud\" is not a string or a list of strings"); };
  if (const std::string* one = claim->as_string()) {
    out.push_back(*one);
    return out;
  }
  if (claim->as_array() == nullptr) return wrong();
  for (const Json& item : *claim->as_array()) {
    if (item.as_string() == nullptr) return wrong();
    out.push_back(*item.as_string());
  }
  return out;
}

int64_t leeway_or(int64_t said, int64_t usual) {
  if (said == 0) return usual;
  return std::clamp(said, int64_t{0}, kLeewayMaxS);
}

int64_t seconds_of(base::WallTime now) {
  return std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
}

Result<void> compare(int64_t now_s, const std::optional<int64_t>& expires,
                     const std::optional<int64_t>& not_before, const std::optional<int64_t>& issued,
                     int64_t skew) {
  if (not_before && now_s + skew < *not_before) {
    return invalid("invalid not before (nbf) claim: token not yet valid");
  }
  if (expires && now_s - skew >= *expires) {
    return invalid("invalid expiration time (exp) claim: token is expired");
  }
  if (issued && now_s + skew < *issued) {
    return invalid("invalid issued at (iat) claim: token issued in the future");
  }
  return {};
}

}  // namespace

bool JwtClaims::is_for(std::string_view audience) const {
  return std::ranges::find(audiences, audience) != audiences.end();
}

Result<JwtClaims> parse_jwt_claims(std::string_view payload) {
  auto all = Json::parse(payload, {.depth_max = kJwtDepthMax, .members_max = kJwtMembersMax});
  if (!all || !all->is_object()) return invalid("the claims are not a JSON object");
  JwtClaims claims;
  for (const auto& [name, into] : {std::pair{"iss", &claims.issuer}, {"sub", &claims.subject}}) {
    auto text = text_claim(*all, name);
    if (!text) return forward(text);
    *into = std::move(*text);
  }
  auto audiences = audiences_of(*all);
  if (!audiences) return forward(audiences);
  claims.audiences = std::move(*audiences);
  for (const auto& [name, into] : {std::pair{"exp", &claims.expires_s},
                                   {"nbf", &claims.not_before_s},
                                   {"iat", &claims.issued_s}}) {
    auto time = time_claim(*all, name);
    if (!time) return forward(time);
    *into = *time;
  }
  claims.all = std::move(*all);
  return claims;
}

Result<void> check_jwt_times(const JwtClaims& claims, base::WallTime now, const JwtLeeway& leeway) {
  if (!claims.has_times()) {
    return invalid(
        "no issued at (iat), not before (nbf), or expiration time (exp) claims in token");
  }
  std::optional<int64_t> expires = claims.expires_s, not_before = claims.not_before_s;
  if (!expires) {
    expires = std::max(claims.issued_s.value_or(-kTimeClaimMaxS),
                       claims.not_before_s.value_or(-kTimeClaimMaxS)) +
              leeway_or(leeway.expiration_s, kLeewayS);
  }
  if (!not_before) {
    not_before =
        claims.issued_s ? *claims.issued_s : *expires - leeway_or(leeway.not_before_s, kLeewayS);
  }
  return compare(seconds_of(now), expires, not_before, claims.issued_s,
                 leeway_or(leeway.clock_skew_s, kClockSkewS));
}

Result<void> check_jwt_times_if_any(const JwtClaims& claims, base::WallTime now) {
  return compare(seconds_of(now), claims.expires_s, claims.not_before_s, claims.issued_s,
                 kClockSkewS);
}

}  // namespace rekey::crypto
