#include "storage/testing/fault_store.h"

#include "storage/memory_store.h"
#include "storage/testing/store_contract.h"

namespace rekey::storage {
namespace {

class FaultUnderTest final : public StoreUnderTest {
 public:
  Store& store() override { return store_; }

 private:
  MemoryStore memory_;
  FaultStore store_{memory_, 1};
};

INSTANTIATE_TEST_SUITE_P(Fault, StoreContract,
                         testing::Values(StoreKind{
                             "no_faults", [] { return std::make_unique<FaultUnderTest>(); }}),
                         kind_name);

class FaultStoreTest : public testing::Test {
 protected:
  Result<Revision> put(std::string key, std::string value) {
    return store_.commit_and_wait({.puts = {{std::move(key), std::move(value)}}});
  }
  std::string get(Store& store, std::string_view key) {
    auto reader = store.open_reader();
    const auto item = (*reader)->get(key);
    if (!item) return std::string(base::kind_name(item.error().kind()));
    return *item ? std::string((*item)->value) + "@" + std::to_string((*item)->revision) : "absent";
  }

  MemoryStore memory_;
  FaultStore store_{memory_, 42};
};

TEST_F(FaultStoreTest, ProgrammedCommitsFailAsTold) {
  store_.program_commits({CommitFault::kNone, CommitFault::kFails, CommitFault::kConflicts,
                          CommitFault::kUnknownWritten, CommitFault::kUnknownLost});
  EXPECT_EQ(put("a", "1").value(), 1u);
  EXPECT_EQ(put("b", "1").error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(put("c", "1").error().kind(), ErrorKind::kConflict);
  EXPECT_TRUE(outcome_unknown(put("d", "1").error()));
  EXPECT_TRUE(outcome_unknown(put("e", "1").error()));
  EXPECT_EQ(put("f", "1").value(), 3u);
  EXPECT_EQ(store_.open_reader().value()->scan("", "", 9).value(),
            (std::vector<std::string>{"a", "d", "f"}));
  EXPECT_EQ(store_.faults_made(), 4u);
}

TEST_F(FaultStoreTest, DamagedReads) {
  ASSERT_TRUE(put("a", "old"));
  ASSERT_TRUE(put("a", "new"));
  ASSERT_TRUE(put("b", "other"));
  const std::pair<ReadFault, std::string> expected[] = {
      {ReadFault::kFails, "unavailable"}, {ReadFault::kAltered, "nuw@2"},
      {ReadFault::kTruncated, "n@2"},     {ReadFault::kExtended, std::string("new\0@2", 6)},
      {ReadFault::kOlder, "old@1"},       {ReadFault::kSwapped, "other@2"},
      {ReadFault::kMissing, "absent"},    {ReadFault::kNone, "new@2"}};
  for (const auto& [fault, found] : expected) {
    store_.damage("a", fault, "b");
    EXPECT_EQ(get(store_, "a"), found);
    EXPECT_EQ(get(store_, "b"), "other@3");
    EXPECT_EQ(get(memory_, "a"), "new@2");
  }
}

TEST_F(FaultStoreTest, ReadOnlyUntilTakenBack) {
  store_.set_read_only(true);
  EXPECT_EQ(put("a", "1").error().kind(), ErrorKind::kUnavailable);
  EXPECT_FALSE(store_.health().writable);
  store_.set_read_only(false);
  EXPECT_TRUE(put("a", "1"));
  EXPECT_TRUE(store_.health().writable);
}

TEST_F(FaultStoreTest, HeldCommitsComeInOrder) {
  std::vector<Revision> told;
  store_.hold_commits(true);
  for (const char* value : {"1", "2", "3"}) {
    store_.commit({.puts = {{"a", value}}},
                  [&](Result<Revision> r) { told.push_back(r.value_or(0)); });
  }
  EXPECT_EQ(told.size(), 0u);
  EXPECT_EQ(store_.held(), 3u);
  EXPECT_EQ(get(store_, "a"), "absent");
  store_.release_commits();
  EXPECT_EQ(told, (std::vector<Revision>{1, 2, 3}));
  EXPECT_EQ(get(store_, "a"), "3@3");
}

TEST(FaultStore, PowerLossKeepsSomeFirstOnesAndTellsNobody) {
  std::vector<bool> seen(5);
  for (uint64_t seed = 0; seed < 40; ++seed) {
    MemoryStore memory;
    FaultStore store(memory, seed);
    bool told = false;
    store.hold_commits(true);
    for (int i = 0; i < 4; ++i) {
      store.commit({.puts = {{std::to_string(i), "v"}}}, [&](Result<Revision>) { told = true; });
    }
    const size_t kept = store.lose_power();
    ASSERT_LE(kept, 4u);
    seen[kept] = true;
    EXPECT_FALSE(told);
    const auto rows = memory.open_reader().value()->scan("", "", 9).value();
    ASSERT_EQ(rows.size(), kept);
    for (size_t i = 0; i < kept; ++i) EXPECT_EQ(rows[i], std::to_string(i));
    EXPECT_TRUE(store.commit_and_wait({.puts = {{"after", "v"}}}));
  }
  EXPECT_EQ(seen, std::vector<bool>(5, true));
}

TEST(FaultStore, TheSameSeedGivesTheSameFaults) {
  auto history = [](uint64_t seed) {
    MemoryStore memory;
    FaultStore store(memory, seed);
    store.set_chances({.commit_fails = 100,
                       .commit_conflicts = 100,
                       .commit_unknown_written = 100,
                       .commit_unknown_lost = 100,
                       .read_fails = 200});
    std::string outcomes;
    for (int i = 0; i < 200; ++i) {
      const auto outcome = store.commit_and_wait({.puts = {{"a", std::to_string(i)}}});
      outcomes += outcome ? "." : base::kind_name(outcome.error().kind()).substr(0, 2);
      outcomes += (*store.open_reader())->get("a") ? "r" : "f";
    }
    return outcomes;
  };
  EXPECT_EQ(history(1), history(1));
  EXPECT_NE(history(1), history(2));
  for (const char* kind : {".r", "un", "co", "ti", "f"})
    EXPECT_NE(history(3).find(kind), std::string::npos);
}

}  // namespace
}  // namespace rekey::storage
