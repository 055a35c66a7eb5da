#include "pipeline/second_factor.h"

#include <gtest/gtest.h>

namespace rekey::pipeline {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr base::WallTime kNow(seconds(1'790'000'000));

PendingLogin of(const std::string& entity) {
  PendingLogin login;
  login.entity_id = entity;
  return login;
}

TEST(SecondFactors, OneRequestAtATimeHasALogin) {
  SecondFactors factors;
  ASSERT_TRUE(factors.put("a", of("e"), kNow));
  EXPECT_EQ(factors.claim("b", "r1", kNow), nullptr);
  EXPECT_NE(factors.claim("a", "r1", kNow), nullptr);
  EXPECT_NE(factors.claim("a", "r1", kNow), nullptr);  // it runs again after a lost race
  EXPECT_EQ(factors.claim("a", "r2", kNow), nullptr);
  factors.let_go("a");
  EXPECT_NE(factors.claim("a", "r2", kNow), nullptr);
  factors.finish("a");
  EXPECT_EQ(factors.claim("a", "r2", kNow), nullptr);
  EXPECT_EQ(factors.waiting(), 0u);
}

TEST(SecondFactors, LoginsAreBoundedInAgeAndNumber) {
  SecondFactors factors;
  ASSERT_TRUE(factors.put("old", of("e"), kNow));
  EXPECT_NE(factors.claim("old", "r", kNow + kPendingLoginAgeMax - seconds(1)), nullptr);
  EXPECT_EQ(factors.claim("old", "r", kNow + kPendingLoginAgeMax), nullptr);
  // Of one entity the oldest makes room.
  for (size_t i = 0; i <= kPendingOfEntityMax; i++) {
    ASSERT_TRUE(factors.put("e" + std::to_string(i), of("e"), kNow + minutes(10)));
  }
  EXPECT_EQ(factors.waiting(), kPendingOfEntityMax);
  EXPECT_EQ(factors.claim("e0", "r", kNow + minutes(10)), nullptr);
  EXPECT_NE(factors.claim("e1", "r", kNow + minutes(10)), nullptr);
  // Of everybody nobody's does: there is no more.
  for (size_t i = 0; i < kPendingLoginsMax - kPendingOfEntityMax; i++) {
    ASSERT_TRUE(factors.put("x" + std::to_string(i), of(std::to_string(i)), kNow + minutes(10)));
  }
  auto full = factors.put("more", of("more"), kNow + minutes(10));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind(), base::ErrorKind::kLimited);
  // The same one again replaces it.
  EXPECT_TRUE(factors.put("x5", of("5"), kNow + minutes(10)));
  EXPECT_EQ(factors.waiting(), kPendingLoginsMax);
  EXPECT_TRUE(factors.put("later", of("later"), kNow + minutes(16)));
  EXPECT_EQ(factors.waiting(), 1u);
}

TEST(SecondFactors, TriesEndInAWaitThatDoubles) {
  SecondFactors factors;
  base::WallTime now = kNow;
  const auto all_tries = [&] {
    for (int i = 0; i < 3; i++) {
      if (factors.count_try("k", 3, seconds(30), now)) return false;
    }
    return true;
  };
  for (const seconds wait : {seconds(30), seconds(60), seconds(120), seconds(240), seconds(480),
                             seconds(900), seconds(900)}) {
    EXPECT_TRUE(all_tries());
    EXPECT_EQ(factors.count_try("k", 3, seconds(30), now), wait);
    EXPECT_EQ(factors.count_try("k", 3, seconds(30), now + wait - seconds(1)), seconds(1));
    EXPECT_FALSE(factors.count_try("other", 3, seconds(30), now));
    factors.right("other");
    now += wait;
  }
  // After a day without a try it begins anew, and at once after a right one.
  EXPECT_TRUE(all_tries());
  EXPECT_EQ(factors.count_try("k", 3, seconds(30), now), seconds(900));
  now += seconds(900) + kFactorForgetAfter;
  EXPECT_TRUE(all_tries());
  EXPECT_EQ(factors.count_try("k", 3, seconds(30), now), seconds(30));
  factors.right("k");
  EXPECT_TRUE(all_tries());
  EXPECT_EQ(factors.count_try("k", 3, seconds(30), now), seconds(30));
}

// Whoever stays below the limit in each period, or rests after each wait, gains nothing by it.
TEST(SecondFactors, SlowGuessingAddsUp) {
  SecondFactors factors;
  base::WallTime now = kNow;
  size_t looked_at = 0;
  for (const base::WallTime end = now + std::chrono::hours(24); now < end; now += seconds(30)) {
    for (int i = 0; i < 2; i++) {
      if (!factors.count_try("slow", 3, seconds(30), now)) looked_at++;
    }
  }
  // Three in each wait of a quarter of an hour, and what it took to get there.
  EXPECT_LE(looked_at, 3u * (24 * 4 + 8));
  now += minutes(16);
  for (int i = 0; i < 3; i++) (void)factors.count_try("slow", 3, seconds(30), now);
  EXPECT_GT(factors.count_try("slow", 3, seconds(30), now), minutes(5));
}

}  // namespace
}  // namespace rekey::pipeline
