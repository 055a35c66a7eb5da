#include "logical/lockout.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

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

TEST_F(LockoutTest, TheServersConfigurationGoesBeforeTheMounts) {
  LockoutByType server;
  server["all"] = {.threshold = 2, .duration = minutes(1)};
  server["userpass"] = {.threshold = 3};
  mount_.type = "approle";
  EXPECT_EQ(lockout_rules(mount_, server).threshold, 2);
  mount_.type = "userpass";
  EXPECT_EQ(lockout_rules(mount_, server).threshold, 3);
  EXPECT_EQ(lockout_rules(mount_, server).duration, minutes(1));
  EXPECT_EQ(lockout_rules(mount_, server).counter_reset, minutes(15));
  mount_.config.set("user_lockout_config", base::JsonObject{{"lockout_threshold", 4}});
  EXPECT_EQ(lockout_rules(mount_, server).threshold, 4);
  server["userpass"].disabled = true;
  EXPECT_TRUE(lockout_rules(mount_, server).disabled);
  mount_.config.set("user_lockout_config", base::JsonObject{{"lockout_disable", false}});
  EXPECT_FALSE(lockout_rules(mount_, server).disabled);
  server["*"].disabled = true;  // by the environment: over everything
  EXPECT_TRUE(lockout_rules(mount_, server).disabled);
}

TEST_F(LockoutTest, ListsWhoIsLockedAndUnlocks) {
  fail(5);
  EXPECT_FALSE(lockout_.finish(mount_, "b", false, clock_.wall()));
  const auto listed = [&](bool there = true) {
    return lockout_.locked_names(
        [&](std::string_view accessor) {
          return there && accessor == mount_.accessor ? std::make_shared<const Mount>(mount_)
                                                      : nullptr;
        },
        clock_.wall());
  };
  EXPECT_EQ(listed()["auth_userpass_1"], std::vector<std::string>{"a"});
  EXPECT_TRUE(listed(false).empty());  // a mount that is gone
  lockout_.unlock("auth_userpass_2", "a");
  EXPECT_TRUE(locked());
  lockout_.unlock("auth_userpass_1", "a");
  EXPECT_FALSE(locked());
  EXPECT_TRUE(listed().empty());
  EXPECT_TRUE(lockout_.finish(mount_, "a", true, clock_.wall()));
  fail(5);
  clock_.advance(minutes(15));
  EXPECT_TRUE(listed().empty());
}

// From as many threads as logins run on (tsan looks at this too): each wrong one counts once, a
// right one that comes after enough of them is refused, and who lists or unlocks meanwhile sees
// whole names.
TEST_F(LockoutTest, ManyThreadsCountTogether) {
  constexpr int kThreads = 8, kRounds = 200;
  LockoutByType server;
  server["all"] = {.threshold = kThreads * kRounds};
  Lockout lockout(server);
  const auto now = clock_.wall();
  std::atomic<int> refused = 0;
  const auto mount_of = [&](std::string_view) { return std::make_shared<const Mount>(mount_); };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; thread++) {
    threads.emplace_back([&, thread] {
      const std::string own = "n" + std::to_string(thread);
      for (int i = 0; i < kRounds; i++) {
        if (lockout.finish(mount_, "all", false, now)) refused++;
        if (!lockout.finish(mount_, own, true, now)) refused++;
        if (lockout.locked(mount_, own, now)) refused++;
        if (i % 20 == 0) lockout.unlock(mount_.accessor, own);
        for (const auto& [accessor, names] : lockout.locked_names(mount_of, now)) {
          if (names != std::vector<std::string>{"all"}) refused++;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, 0);
  EXPECT_TRUE(lockout.locked(mount_, "all", now));
  EXPECT_FALSE(lockout.finish(mount_, "all", true, now));
  lockout.unlock(mount_.accessor, "all");
  // One fewer locks nobody.
  for (int i = 0; i < kThreads * kRounds - 1; i++) (void)lockout.finish(mount_, "all", false, now);
  EXPECT_FALSE(lockout.locked(mount_, "all", now));
}

TEST_F(LockoutTest, AFloodElsewherePushesOutNoLock) {
  fail(5);
  Mount other;
  other.accessor = "auth_approle_1";
  for (size_t i = 0; i < 3 * kLockoutMountNamesMax; i++) {
    clock_.advance(std::chrono::microseconds(1));
    EXPECT_FALSE(lockout_.finish(other, std::to_string(i), false, clock_.wall()));
  }
  EXPECT_TRUE(locked());
}

TEST_F(LockoutTest, ManyMountsTogetherAreBounded) {
  fail(5);
  std::vector<Mount> others(6);
  for (size_t n = 0; n < others.size(); n++) others[n].accessor = std::to_string(n);
  for (size_t i = 0; i < 24'000; i++) {
    clock_.advance(std::chrono::microseconds(1));
    for (Mount& other : others) {
      EXPECT_FALSE(lockout_.finish(other, std::to_string(i), false, clock_.wall()));
    }
  }
  EXPECT_TRUE(locked());
}

TEST(LockoutSettingsTest, ReadsWhatVaultReads) {
  const auto parse = [](base::JsonObject sent) { return parse_lockout_settings(sent); };
  const auto all = parse({{"lockout_threshold", "7"},
                          {"lockout_duration", "10m"},
                          {"lockout_counter_reset_duration", 60},
                          {"lockout_disable", "true"},
                          {"unknown", "x"}});
  ASSERT_TRUE(all);
  EXPECT_EQ(all->threshold, 7);
  EXPECT_EQ(all->duration, minutes(10));
  EXPECT_EQ(all->counter_reset, minutes(1));
  EXPECT_EQ(all->disabled, true);
  EXPECT_TRUE(parse({})->threshold == std::nullopt);
  EXPECT_FALSE(parse({{"lockout_threshold", "x"}}));
  EXPECT_FALSE(parse({{"lockout_threshold", -1}}));
  EXPECT_FALSE(parse({{"lockout_duration", "soon"}}));
  EXPECT_FALSE(parse({{"lockout_disable", "perhaps"}}));
}

}  // namespace
}  // namespace rekey::logical
