#include "lease/lease_store.h"

#include <gtest/gtest.h>

#include "identity/token_store.h"

#include "barrier/keyring.h"
#include "storage/memory_store.h"

namespace rekey::lease {
namespace {

class LeaseStoreTest : public testing::Test {
 protected:
  LeaseStoreTest() { keyring_->extend_reserve(100'000); }
  // Runs `work` with a Txn and commits what it wrote. Its revision.
  template <class Work>
  storage::Revision commit(Work work) {
    auto reader = store_.open_reader();
    EXPECT_TRUE(reader.has_value());
    barrier::Txn txn(**reader, *keyring_, random_);
    work(**reader, txn);
    if (!txn.has_writes()) return (*reader)->revision();
    auto batch = txn.take_batch();
    EXPECT_TRUE(batch.has_value());
    auto committed = store_.commit_and_wait(std::move(*batch));
    EXPECT_TRUE(committed.has_value());
    return *committed;
  }

  Lease make(std::string path, std::string name, int64_t expires_s) {
    Lease lease;
    lease.path = std::move(path);
    lease.id = lease.path + "/" + name;
    lease.mount_uuid = "u1";
    lease.mount_accessor = "db_1";
    lease.target = "pg";
    lease.data = R"({"user":"v-x"})";
    lease.holder.id = "t1";
    lease.holder.hash = "h1";
    lease.issued_s = now_s();
    lease.expires_s = expires_s;
    lease.renewable = true;
    auto reader = store_.open_reader();
    lease.issued_at = (*reader)->revision();
    return lease;
  }
  void add(const Lease& lease) {
    commit([&](auto&, auto& txn) { EXPECT_TRUE(LeaseStore(txn).add(lease).has_value()); });
  }
  int64_t now_s() const { return seconds_of(clock_.wall()); }
  void sweep_all(base::Result<bool> (*step)(const Sweep&), size_t rows = 2) {
    bool more = true;
    while (more) {
      commit([&](storage::Reader& reader, barrier::Txn& txn) {
        auto stepped = step({reader, txn, clock_.wall(), rows});
        ASSERT_TRUE(stepped.has_value()) << stepped.error().describe();
        more = *stepped;
      });
    }
  }
  std::vector<std::string> ids_at(std::string place) {
    std::vector<std::string> ids;
    commit([&](auto&, barrier::Txn& txn) {
      auto leases = LeaseStore(txn).read_place(place, 100);
      ASSERT_TRUE(leases.has_value());
      for (const Lease& lease : *leases) ids.push_back(lease.id);
    });
    return ids;
  }
  std::vector<std::string> queued_ids() { return ids_at(queue_place("u1:pg")); }

  base::FakeClock clock_;
  base::SeededRandom random_{1};
  storage::MemoryStore store_;
  std::shared_ptr<const barrier::Keyring> keyring_ =
      barrier::Keyring::generate(random_, clock_.wall());
};

TEST_F(LeaseStoreTest, RowKeepsEverything) {
  Lease lease = make("db/creds/a", "x", now_s() + 60);
  lease.role = "a";
  lease.max_ttl_s = 7;
  lease.holder.ancestors = {"p"};
  lease.holder.ancestor_paths = {"auth/x/login"};
  lease.holder.entity_id = "e";
  lease.holder.issued_at = 12;
  lease = queued(lease, clock_.wall());
  lease.attempts = 3;
  lease.last_error = "no route";
  auto back = decode_lease(encode_lease(lease));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(encode_lease(*back), encode_lease(lease));
  EXPECT_EQ(back->attempts, 3);
  EXPECT_EQ(back->state, State::kQueued);
  EXPECT_FALSE(decode_lease("{}").has_value());
}

TEST_F(LeaseStoreTest, EndsComeInTheOrderOfTheirTimes) {
  add(make("db/creds/a", "late", now_s() + 50));
  add(make("db/creds/a", "first", now_s() + 10));
  add(make("db/creds/b", "second", now_s() + 20));
  clock_.advance(std::chrono::seconds(9));
  sweep_all(sweep_due);
  EXPECT_EQ(queued_ids().size(), 0u);
  clock_.advance(std::chrono::seconds(11));
  sweep_all(sweep_due);
  EXPECT_EQ(queued_ids(), (std::vector<std::string>{"db/creds/a/first", "db/creds/b/second"}));
}

TEST_F(LeaseStoreTest, RenewedLeaseEndsLater) {
  const Lease lease = make("db/creds/a", "x", now_s() + 10);
  add(lease);
  Lease longer = lease;
  longer.expires_s += 100;
  commit([&](auto&, auto& txn) { LeaseStore(txn).change(lease, longer); });
  clock_.advance(std::chrono::seconds(20));
  sweep_all(sweep_due);
  EXPECT_TRUE(queued_ids().empty());
}

TEST_F(LeaseStoreTest, PrefixCutsWhatWasIssuedBefore) {
  for (const char* name : {"1", "2", "3", "4", "5"}) add(make("db/creds/a", name, now_s() + 10));
  add(make("db/creds/ab", "other", now_s() + 10));
  commit([](auto&, auto& txn) { LeaseStore(txn).cut_prefix("db/creds/a/"); });
  const Lease young = make("db/creds/a", "young", now_s() + 10);
  add(young);
  commit([&](storage::Reader& reader, barrier::Txn& txn) {
    auto cutoffs = identity::CutoffTable::load(reader, txn);
    EXPECT_FALSE(revoked(*cutoffs, young));
    for (const char* id : {"db/creds/a/1", "db/creds/ab/other"}) {
      auto lease = LeaseStore(txn).find(id);
      ASSERT_TRUE(lease.has_value() && lease->has_value());
      EXPECT_EQ(revoked(*cutoffs, **lease), std::string_view(id) == "db/creds/a/1") << id;
    }
  });
  sweep_all(sweep_jobs);
  EXPECT_EQ(queued_ids().size(), 5u);
  sweep_all(sweep_jobs);
  EXPECT_EQ(queued_ids().size(), 5u);
}

TEST_F(LeaseStoreTest, ForgottenLeasesAreGoneAtOnce) {
  add(make("db/creds/a", "1", now_s() + 10));
  commit([](auto&, auto& txn) { LeaseStore(txn).cut_prefix("db/", true); });
  sweep_all(sweep_jobs);
  EXPECT_TRUE(queued_ids().empty());
  commit([](storage::Reader& reader, auto&) {
    auto left = reader.scan("lease/", "", 10);
    ASSERT_TRUE(left.has_value());
    EXPECT_TRUE(left->empty()) << (*left)[0];
  });
}

TEST_F(LeaseStoreTest, CommitGivesWayToAFasterCutoff) {
  const Lease lease = make("db/creds/a", "1", now_s() + 10);
  auto reader = store_.open_reader();
  barrier::Txn txn(**reader, *keyring_, random_);
  ASSERT_TRUE(LeaseStore(txn).add(lease).has_value());
  commit([](auto&, auto& other) { LeaseStore(other).cut_prefix("db/"); });
  auto committed = store_.commit_and_wait(*txn.take_batch());
  ASSERT_FALSE(committed.has_value());
  EXPECT_EQ(committed.error().kind(), base::ErrorKind::kConflict);
}

TEST_F(LeaseStoreTest, RoleAndEntityAreScopes) {
  Lease lease = make("db/creds/a", "1", now_s() + 10);
  lease.role = "a";
  lease.holder.entity_id = "e1";
  add(lease);
  lease.id = "db/creds/a/2", lease.role = "b", lease.holder.entity_id = "e2";
  add(lease);
  lease.id = "db/creds/a/3", lease.role = "b", lease.holder.entity_id = "e3";
  add(lease);
  commit([](auto&, auto& txn) {
    LeaseStore(txn).cut_role("db_1", "db/", "a");
    LeaseStore(txn).cut_entity("e3");
  });
  sweep_all(sweep_jobs);
  EXPECT_EQ(queued_ids(), (std::vector<std::string>{"db/creds/a/1", "db/creds/a/3"}));
}

// Before anything is swept: each of these alone makes a lease void, whatever is left of its token.
TEST_F(LeaseStoreTest, EachScopeThatItHangsFromCutsItAtOnce) {
  using identity::CutoffTable;
  const auto is_cut_by = [&](const std::string& scope) {
    Lease lease = make("db/creds/a", "1", now_s() + 10);
    lease.role = "a";
    lease.holder.ancestors = {"t0"};
    lease.holder.mount_accessor = "auth_1";
    lease.holder.role = "ci";
    lease.holder.entity_id = "e1";
    lease.holder.alias_id = "a1";
    lease.holder.path = "auth/approle/login";
    lease.holder.issued_at = lease.issued_at;
    bool cut = false;
    commit([&](auto&, auto& txn) { CutoffTable::write(txn, scope, CutoffTable::Kind::kRevoked); });
    commit([&](storage::Reader& reader, barrier::Txn& txn) {
      auto cutoffs = CutoffTable::load(reader, txn);
      ASSERT_TRUE(cutoffs.has_value());
      cut = revoked(*cutoffs, lease);
    });
    return cut;
  };
  for (const auto& scope :
       {CutoffTable::scope_of_token("t2"), CutoffTable::scope_of_mount("auth_2"),
        CutoffTable::scope_of_role("auth_2", "ci"), CutoffTable::scope_of_entity("e2"),
        CutoffTable::scope_of_prefix("auth/userpass/"), CutoffTable::scope_of_role("db_1", "b")}) {
    EXPECT_FALSE(is_cut_by(scope)) << scope;
  }
  for (const auto& scope :
       {CutoffTable::scope_of_token("t1"), CutoffTable::scope_of_token("t0"),
        CutoffTable::scope_of_mount("auth_1"), CutoffTable::scope_of_role("auth_1", "ci"),
        CutoffTable::scope_of_entity("e1"), CutoffTable::scope_of_alias("a1"),
        CutoffTable::scope_of_prefix("auth/approle/"), CutoffTable::scope_of_mount("db_1"),
        CutoffTable::scope_of_role("db_1", "a"), CutoffTable::scope_of_prefix("db/creds/a/")}) {
    EXPECT_TRUE(is_cut_by(scope)) << scope;
  }
}

TEST_F(LeaseStoreTest, EndOfATokenIsTheEndOfItsLeases) {
  for (const char* name : {"1", "2", "3"}) add(make("db/creds/a", name, now_s() + 10));
  commit([](auto&, auto& txn) { txn.put(std::string(identity::kEndedPrefix) + "t1", ""); });
  sweep_all(sweep_ended);
  EXPECT_EQ(queued_ids().size(), 3u);
}

}  // namespace
}  // namespace rekey::lease
