#include "logical/lockout.h"

#include <gtest/gtest.h>

#include "logical/context.h"

namespace rekey::logical {
namespace {

using std::chrono::minutes;

class LockoutTest : public ::testing::Test {
 protected:
  LockoutTest() { mount_.accessor = "auth_userpass_1"; }
  void fail(int times) {
    for (int i = 0; i < times; i++)
      EXPECT_FALSE(lockout_.finish(mount_, "a", false, clock_.wall()));
  }
  bool locked(std::string_view name = "a") { return lockout_.locked(mount_, name, clock_.wall()); }

  Mount mount_;
  base::FakeClock clock_;
  Lockout lockout_;
};

TEST_F(LockoutTest, FiveWrongOnesLockForAQuarterOfAnHour) {
  fail(4);
  EXPECT_FALSE(locked());
  fail(1);
  EXPECT_TRUE(locked());
  EXPECT_FALSE(locked("b"));
  clock_.advance(minutes(14));
  EXPECT_TRUE(locked());
  clock_.advance(minutes(1));
  EXPECT_FALSE(locked());
  EXPECT_TRUE(lockout_.finish(mount_, "a", true, clock_.wall()));
}

TEST_F(LockoutTest, ARightOneInBetweenForgets) {
  fail(4);
  EXPECT_TRUE(lockout_.finish(mount_, "a", true, clock_.wall()));
  fail(4);
  EXPECT_FALSE(locked());
  clock_.advance(minutes(15));
  fail(4);
  EXPECT_FALSE(locked());
}

TEST_F(LockoutTest, ARightOneThatRanBesideFiveWrongOnesIsRefused) {
  fail(5);
  EXPECT_FALSE(lockout_.finish(mount_, "a", true, clock_.wall()));
}

TEST_F(LockoutTest, TheMountSaysHowMany) {
  mount_.config.set("user_lockout_config",
                    base::JsonObject{{"lockout_threshold", "2"}, {"lockout_duration", "1m"}});
  fail(2);
  EXPECT_TRUE(locked());
  clock_.advance(minutes(1));
  EXPECT_FALSE(locked());
  mount_.config.set("user_lockout_config", base::JsonObject{{"lockout_disable", true}});
  fail(50);
  EXPECT_FALSE(locked());
}

}  // namespace
}  // namespace rekey::logical
