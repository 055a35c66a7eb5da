#include "pipeline/quota.h"

#include <gtest/gtest.h>

#include <thread>

#include "storage/memory_store.h"

namespace rekey::pipeline {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;

TEST(RateLimiterTest, LetsTheRateThroughAndNoMore) {
  RateLimiter limiter(10, seconds(1), {});
  base::Duration now = seconds(100);
  for (int i = 0; i < 10; i++) EXPECT_EQ(limiter.take(1, now).count(), 0) << i;
  const base::Duration wait = limiter.take(1, now);
  EXPECT_GT(wait.count(), 0);
  EXPECT_LE(wait, milliseconds(100));
  EXPECT_EQ(limiter.take(1, now + wait).count(), 0);
  EXPECT_GT(limiter.take(1, now + wait).count(), 0);
  // A long pause gives no more than one interval's worth.
  now += seconds(3600);
  for (int i = 0; i < 10; i++) EXPECT_EQ(limiter.take(1, now).count(), 0) << i;
  EXPECT_GT(limiter.take(1, now).count(), 0);
}

TEST(RateLimiterTest, TellsClientsApart) {
  RateLimiter limiter(1, seconds(10), {});
  EXPECT_EQ(limiter.take(1, seconds(1)).count(), 0);
  EXPECT_GT(limiter.take(1, seconds(1)).count(), 0);
  EXPECT_EQ(limiter.take(2, seconds(1)).count(), 0);
  // Its place can't be taken by others while it is refused.
  for (uint64_t i = 0; i < 10; i++) limiter.take(1 + kQuotaClientsMax * i, seconds(1));
  EXPECT_GT(limiter.take(1, seconds(1)).count(), 0);
}

TEST(RateLimiterTest, BlocksWhoWentOver) {
  RateLimiter limiter(2, seconds(1), seconds(60));
  EXPECT_EQ(limiter.take(7, seconds(1)).count(), 0);
  EXPECT_EQ(limiter.take(7, seconds(1)).count(), 0);
  EXPECT_GE(limiter.take(7, seconds(1)), seconds(60));
  EXPECT_GT(limiter.take(7, seconds(59)).count(), 0);
}

TEST(RateLimiterTest, CountsExactlyWithManyThreads) {
  RateLimiter limiter(1000, seconds(1), {});
  std::atomic<int> passed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; n++) passed += limiter.take(5, seconds(9)).count() == 0 ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(passed, 1000);
}

class QuotaSetTest : public testing::Test {
 protected:
  QuotaSetTest() { keyring_->extend_reserve(1000); }
  void put(Quota quota) {
    commit([&](barrier::Txn& txn) {
      txn.put(
          std::string(kQuotaPrefix) + std::string(quota_kind_name(quota.kind)) + "/" + quota.name,
          encode_quota(quota));
    });
  }
  template <class Work>
  void commit(Work work) {
    auto reader = store_.open_reader();
    barrier::Txn txn(**reader, *keyring_, random_);
    work(txn);
    ASSERT_TRUE(store_.commit_and_wait(*txn.take_batch()).has_value());
  }
  QuotaSet load(const QuotaSet* before = nullptr) {
    auto reader = store_.open_reader();
    barrier::Txn txn(**reader, *keyring_, random_);
    auto set = QuotaSet::load(**reader, txn, before);
    EXPECT_TRUE(set.has_value());
    return std::move(*set);
  }
  std::string found(const QuotaSet& set, const QuotaSet::Asked& asked) {
    const auto* row = set.find(QuotaKind::kRateLimit, asked);
    return row == nullptr ? "" : row->quota.name;
  }

  base::FakeClock clock_;
  base::SeededRandom random_{1};
  storage::MemoryStore store_;
  std::shared_ptr<const barrier::Keyring> keyring_ =
      barrier::Keyring::generate(random_, clock_.wall());
};

TEST_F(QuotaSetTest, TheMostParticularOneCounts) {
  put({.name = "all", .rate = 1});
  put({.name = "mount", .path = "auth/x/", .rate = 1});
  put({.name = "star", .path = "auth/x/login/*", .rate = 1});
  put({.name = "exact", .path = "auth/x/login/me", .rate = 1});
  put({.name = "role", .path = "auth/x/", .role = "batch", .rate = 1});
  const QuotaSet set = load();
  EXPECT_EQ(found(set, {"secret/a", "secret/", ""}), "all");
  EXPECT_EQ(found(set, {"auth/x/config", "auth/x/", ""}), "mount");
  EXPECT_EQ(found(set, {"auth/x/login/you", "auth/x/", ""}), "star");
  EXPECT_EQ(found(set, {"auth/x/login/me", "auth/x/", ""}), "exact");
  EXPECT_EQ(found(set, {"auth/x/config", "auth/x/", "batch"}), "role");
}

TEST_F(QuotaSetTest, ReloadingForgetsNothing) {
  put({.name = "all", .rate = 1, .interval = seconds(100)});
  const QuotaSet first = load();
  EXPECT_EQ(first.find(QuotaKind::kRateLimit, {})->limiter->take(1, seconds(1)).count(), 0);
  const QuotaSet second = load(&first);
  EXPECT_GT(second.find(QuotaKind::kRateLimit, {})->limiter->take(1, seconds(1)).count(), 0);
}

TEST_F(QuotaSetTest, LeasesAreCounted) {
  commit([](barrier::Txn& txn) {
    for (const char* key : {"lease/id/db/creds/a/1", "lease/id/db/creds/a/2", "lease/id/x/1",
                            "token/path/auth/x/login/h1"}) {
      txn.put(key, "");
    }
  });
  put({.kind = QuotaKind::kLeaseCount, .name = "all", .max_leases = 9});
  put({.kind = QuotaKind::kLeaseCount, .name = "db", .path = "db/", .max_leases = 9});
  const QuotaSet set = load();
  EXPECT_EQ(set.find(QuotaKind::kLeaseCount, {})->leases->counted.load(), 4);
  EXPECT_EQ(set.find(QuotaKind::kLeaseCount, {"db/creds/a", "db/", ""})->leases->counted.load(), 2);
}

}  // namespace
}  // namespace rekey::pipeline
