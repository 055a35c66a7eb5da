#include "crypto/jwt.h"

#include <gtest/gtest.h>

namespace rekey::crypto {
namespace {

constexpr int64_t kNow = 1'800'000'000;
const base::WallTime kNowTime{std::chrono::seconds(kNow)};

std::string outcome(const std::string& claims, const JwtLeeway& leeway = {}) {
  const auto parsed = parse_jwt_claims(claims);
  if (!parsed) return parsed.error().message();
  const auto checked = check_jwt_times(*parsed, kNowTime, leeway);
  return checked ? "good" : checked.error().message();
}

std::string at(const std::string& name, int64_t from_now) {
  return "\"" + name + "\":" + std::to_string(kNow + from_now);
}

constexpr const char* kExpired = "invalid expiration time (exp) claim: token is expired";
constexpr const char* kNotYet = "invalid not before (nbf) claim: token not yet valid";
constexpr const char* kFuture = "invalid issued at (iat) claim: token issued in the future";

TEST(Jwt, ReadsTheRegisteredClaims) {
  const auto claims = parse_jwt_claims(
      R"({"iss":"i","sub":"s","aud":["a","b"],"exp":5.9,"nbf":-3,"iat":1e30,"more":{"x":[1]}})");
  ASSERT_TRUE(claims.has_value());
  EXPECT_EQ(claims->issuer, "i");
  EXPECT_EQ(claims->subject, "s");
  EXPECT_TRUE(claims->is_for("a") && claims->is_for("b"));
  EXPECT_FALSE(claims->is_for("c") || claims->is_for(""));
  EXPECT_EQ(claims->expires_s, 5);
  EXPECT_EQ(claims->not_before_s, -3);
  EXPECT_GT(*claims->issued_s, kNow);
  EXPECT_TRUE(parse_jwt_claims(R"({"aud":"one"})")->is_for("one"));
  EXPECT_TRUE(parse_jwt_claims(R"({"aud":null,"sub":null,"exp":null})").has_value());
  for (const char* wrong :
       {"", "[]", "7", "{", R"({"iss":1})", R"({"sub":["a"]})", R"({"aud":5})",
        R"({"aud":["a",5]})", R"({"exp":"5"})", R"({"nbf":true})", R"({"iat":{}})"}) {
    EXPECT_FALSE(parse_jwt_claims(wrong).has_value()) << wrong;
  }
}

TEST(Jwt, IsGoodForItsTime) {
  EXPECT_EQ(outcome("{" + at("exp", 300) + "," + at("iat", 0) + "}"), "good");
  EXPECT_EQ(outcome("{" + at("exp", -59) + "," + at("iat", -300) + "}"), "good");  // skew
  EXPECT_EQ(outcome("{" + at("exp", -60) + "," + at("iat", -300) + "}"), kExpired);
  EXPECT_EQ(outcome("{" + at("exp", 300) + "," + at("nbf", 60) + "}"), "good");
  EXPECT_EQ(outcome("{" + at("exp", 300) + "," + at("nbf", 61) + "}"), kNotYet);
  EXPECT_EQ(outcome("{" + at("exp", 300) + "," + at("iat", 61) + "}"), kNotYet);
  EXPECT_EQ(outcome("{" + at("exp", 300) + "," + at("nbf", -5) + "," + at("iat", 61) + "}"),
            kFuture);
  EXPECT_EQ(outcome("{\"exp\":0," + at("iat", 0) + "}"), kExpired);
  EXPECT_EQ(outcome("{\"exp\":1e300," + at("iat", 0) + "}"), "good");
  EXPECT_EQ(outcome("{\"exp\":-1e300," + at("iat", 0) + "}"), kExpired);
  EXPECT_EQ(outcome("{}"),
            "no issued at (iat), not before (nbf), or expiration time (exp) claims in token");
}

TEST(Jwt, OneTimeFollowsFromTheOthers) {
  EXPECT_EQ(outcome("{" + at("iat", -209) + "}"), "good");  // 150 and the skew of 60
  EXPECT_EQ(outcome("{" + at("iat", -210) + "}"), kExpired);
  EXPECT_EQ(outcome("{" + at("nbf", -210) + "}"), kExpired);
  EXPECT_EQ(outcome("{" + at("exp", 210) + "}"), "good");
  EXPECT_EQ(outcome("{" + at("exp", 211) + "}"), kNotYet);
}

TEST(Jwt, LeewaysAreTheRoles) {
  const JwtLeeway none{.expiration_s = -1, .not_before_s = -1, .clock_skew_s = -1};
  EXPECT_EQ(outcome("{" + at("exp", 1) + "," + at("iat", 0) + "}", none), "good");
  EXPECT_EQ(outcome("{" + at("exp", 0) + "," + at("iat", -5) + "}", none), kExpired);
  EXPECT_EQ(outcome("{" + at("exp", 9) + "," + at("nbf", 1) + "}", none), kNotYet);
  EXPECT_EQ(outcome("{" + at("iat", -1) + "}", none), kExpired);
  const JwtLeeway wide{.expiration_s = 1000, .not_before_s = 1000, .clock_skew_s = 500};
  EXPECT_EQ(outcome("{" + at("exp", -499) + "," + at("iat", -900) + "}", wide), "good");
  EXPECT_EQ(outcome("{" + at("iat", -1499) + "}", wide), "good");
  EXPECT_EQ(outcome("{" + at("exp", 1500) + "}", wide), "good");
  const JwtLeeway huge{
      .expiration_s = INT64_MAX, .not_before_s = INT64_MAX, .clock_skew_s = INT64_MAX};
  EXPECT_EQ(outcome("{\"exp\":-1e300,\"iat\":1e300}", huge), kNotYet);  // and nothing overflows
}

TEST(Jwt, MayHaveNoTimesWhereThatIsAsked) {
  const auto old = parse_jwt_claims("{}");
  EXPECT_TRUE(check_jwt_times_if_any(*old, kNowTime).has_value());
  const auto expired = parse_jwt_claims("{" + at("exp", -60) + "}");
  EXPECT_FALSE(check_jwt_times_if_any(*expired, kNowTime).has_value());
  const auto lasting = parse_jwt_claims("{" + at("exp", 31'536'000) + "}");
  EXPECT_TRUE(check_jwt_times_if_any(*lasting, kNowTime).has_value());
}

}  // namespace
}  // namespace rekey::crypto
