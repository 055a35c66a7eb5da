// The ledger under a real barrier on a store that somebody else can write: whatever single row is
// put back, taken away or added is refused, and everything else is served.
#include "barrier/ledger.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "barrier/barrier.h"
#include "barrier/txn.h"
#include "storage/lmdb_store.h"
#include "storage/memory_store.h"
#include "storage/testing/fault_store.h"
#include "storage/testing/temporary_folder.h"

namespace rekey::barrier {
namespace {

using base::ErrorKind;
using State = LedgerFinding::State;

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() {
    auto made = barrier_->initialize(seal_, {.shares = 1, .threshold = 1});
    EXPECT_TRUE(made.has_value());
    root_key_ = std::move(made->root_key);
    EXPECT_TRUE(barrier_->unseal(root_key_).has_value());
    EXPECT_TRUE(barrier_->raise_epoch().has_value());
  }

  std::unique_ptr<storage::Reader> reader() { return std::move(*memory_.open_reader()); }
  void put(const std::string& key, const std::string& value) {
    const auto from = reader();
    Txn txn(*from, *barrier_->keyring(), random_);
    txn.put(key, value);
    ASSERT_TRUE(store_.commit_and_wait(*txn.take_batch()).has_value());
  }
  void erase(const std::string& key) {
    ASSERT_TRUE(store_.commit_and_wait({.deletes = {key}}).has_value());
  }
  std::string get(std::string_view key) {
    const auto from = reader();
    return get(key, *from);
  }
  std::string get(std::string_view key, storage::Reader& from) {
    Txn txn(from, *barrier_->keyring(), random_);
    const auto value = txn.get(key);
    if (!value) return "error: " + std::string(base::kind_name(value.error().kind()));
    return *value ? **value : "absent";
  }
  struct Kept {
    std::optional<std::string> value;
    storage::Revision revision = 0;
  };
  Kept keep(const std::string& key) {
    const auto from = reader();
    const auto item = *from->get(key);
    return item ? Kept{std::string(item->value), item->revision} : Kept{};
  }
  std::map<std::string, Kept> keep_all(std::string_view prefix) {
    std::map<std::string, Kept> rows;
    const auto from = reader();
    for (const std::string& key : *from->scan(prefix, "", SIZE_MAX)) rows[key] = keep(key);
    return rows;
  }
  void put_back(const std::string& key, const Kept& kept) {
    memory_.tamper(key, kept.value, kept.revision);
  }
  // A new process; what it finds before anything is written.
  LedgerFinding restart() {
    barrier_ = std::make_unique<Barrier>(store_, random_, clock_);
    EXPECT_TRUE(barrier_->unseal_for_reading(root_key_).has_value());
    return barrier_->ledger_finding();
  }

  base::SystemRandom random_;
  base::FakeClock clock_;
  storage::MemoryStore memory_;
  storage::FaultStore store_{memory_, 1};
  ShamirSeal seal_;
  base::SecretBytes root_key_;
  std::unique_ptr<Barrier> barrier_ = std::make_unique<Barrier>(store_, random_, clock_);
};

TEST_F(LedgerTest, OlderValuesAreRefusedAndTheRestIsServed) {
  put("a", "old");
  put("b", "other");
  const Kept old = keep("a");
  put("a", "new");
  const Kept current = keep("a");
  put_back("a", old);
  EXPECT_EQ(get("a"), "error: corrupt");
  EXPECT_EQ(get("b"), "other");
  EXPECT_EQ(barrier_->ledger_status().refused, 1u);
  put_back("a", {old.value, current.revision});  // and under the newer revision
  EXPECT_EQ(get("a"), "error: corrupt");
  const auto from = reader();
  Txn txn(*from, *barrier_->keyring(), random_);
  EXPECT_EQ(txn.revision("a").error().kind(), ErrorKind::kCorrupt);
  EXPECT_FALSE(txn.scan("", "", [](auto, auto) { return true; }).has_value());
  // It can be written over.
  put("a", "newer");
  EXPECT_EQ(get("a"), "newer");
}

TEST_F(LedgerTest, RowsTakenAwayOrPutBackAreRefused) {
  put("kept", "1");
  put("deleted", "2");
  const Kept deleted = keep("deleted");
  erase("deleted");
  EXPECT_EQ(get("deleted"), "absent");
  put_back("deleted", deleted);
  EXPECT_EQ(get("deleted"), "error: corrupt");
  const Kept kept = keep("kept");
  put_back("kept", {});
  EXPECT_EQ(get("kept"), "error: corrupt");
  EXPECT_EQ(barrier_->ledger_status().missing, 0);  // one too many, one too few
  memory_.tamper("deleted", std::nullopt);
  put("c", "3");
  EXPECT_EQ(barrier_->ledger_status().missing, 1);
  put_back("kept", kept);
  put("c", "4");
  EXPECT_EQ(barrier_->ledger_status().missing, 0);
  EXPECT_EQ(get("kept"), "1");
}

TEST_F(LedgerTest, TheSameWhileNoServerRan) {
  put("a", "old");
  put("b", "deleted");
  put("c", "kept");
  const Kept a = keep("a"), b = keep("b");
  put("a", "new");
  erase("b");
  put_back("a", a);
  put_back("b", b);
  put_back("c", {});
  const LedgerFinding found = restart();
  EXPECT_EQ(found.state, State::kGood);
  EXPECT_EQ(found.ledger.missing, 0);
  ASSERT_TRUE(barrier_->begin_writing().has_value());
  EXPECT_EQ(get("a"), "error: corrupt");
  EXPECT_EQ(get("b"), "error: corrupt");
  EXPECT_EQ(get("c"), "error: corrupt");
  put("d", "served");
  EXPECT_EQ(get("d"), "served");
}

TEST_F(LedgerTest, NothingIsWrittenBeforeItIsSaid) {
  const storage::Revision before = reader()->revision();
  EXPECT_EQ(restart().state, State::kGood);
  EXPECT_EQ(reader()->revision(), before);
  EXPECT_EQ(store_.commit_and_wait({.deletes = {"a"}}).error().kind(), ErrorKind::kSealed);
  ASSERT_TRUE(barrier_->begin_writing().has_value());
  EXPECT_TRUE(store_.commit_and_wait({.deletes = {"a"}}).has_value());
  barrier_->seal();
  EXPECT_EQ(store_.commit_and_wait({.deletes = {"a"}}).error().kind(), ErrorKind::kSealed);
}

TEST_F(LedgerTest, RowsOfTheRingCantBeOlderOrMissing) {
  for (int i = 0; i < 300; i++) put("row" + std::to_string(i), "1");
  const auto before = keep_all(kLedgerPrefix);
  ASSERT_EQ(before.size(), ring_size(kLedgerRingBitsMin));
  for (int i = 0; i < 50; i++) put("row" + std::to_string(i), "2");
  const auto after = keep_all(kLedgerPrefix);
  size_t changed = 0;
  for (const auto& [key, kept] : before) {
    if (kept.value == after.at(key).value) continue;
    changed++;
    put_back(key, kept);
    EXPECT_EQ(restart().state, State::kBad) << key;
    put_back(key, after.at(key));
  }
  EXPECT_EQ(changed, 50u);
  EXPECT_EQ(restart().state, State::kGood);
  memory_.tamper(ledger_row_key(17), std::nullopt);
  EXPECT_EQ(restart().state, State::kBad);
  put_back(ledger_row_key(17), after.at(ledger_row_key(18)));
  EXPECT_EQ(restart().state, State::kBad);
  for (const auto& [key, kept] : after) memory_.tamper(key, std::nullopt);
  LedgerFinding found = restart();
  EXPECT_EQ(found.state, State::kBad);  // and not a store that never had one
  EXPECT_EQ(found.what, "the ledger was taken away");
  EXPECT_EQ(barrier_->begin_writing().error().kind(), ErrorKind::kPrecondition);
  ASSERT_TRUE(barrier_->begin_writing(true).has_value());
  EXPECT_EQ(get("row3"), "2");
  put("row3", "3");
  EXPECT_EQ(restart().state, State::kGood);
  // The whole ring of before: it is not of the store's revision.
  for (const auto& [key, kept] : before) put_back(key, kept);
  EXPECT_EQ(restart().state, State::kBad);
}

TEST_F(LedgerTest, WhatGuardsTheRestCantBeOlder) {
  const Kept keyring = keep("core/keyring"), config = keep("core/seal-config");
  auto next = barrier_->prepare_seal(seal_, {.shares = 1, .threshold = 1});
  ASSERT_TRUE(next && barrier_->apply(*next).has_value());
  const Kept new_keyring = keep("core/keyring"), new_config = keep("core/seal-config");
  // The old share with the old rows opens the keyring, and is refused all the same.
  put_back("core/keyring", keyring);
  put_back("core/seal-config", config);
  EXPECT_EQ(restart().state, State::kBad);
  put_back("core/keyring", new_keyring);
  root_key_ = next->root_key.clone();
  EXPECT_EQ(restart().state, State::kBad);
  put_back("core/seal-config", new_config);
  EXPECT_EQ(restart().state, State::kGood);
}

TEST_F(LedgerTest, AStoreFromBeforeGetsOne) {
  put("a", "1");
  for (const auto& [key, kept] : keep_all(kLedgerPrefix)) memory_.tamper(key, std::nullopt);
  // Its epoch as format 1 had it.
  std::string plaintext(8, '\0');
  plaintext.back() = 1;
  memory_.tamper("core/epoch", *barrier_->keyring()->encrypt("core/epoch", plaintext, random_));
  EXPECT_EQ(restart().state, State::kNone);
  ASSERT_TRUE(barrier_->begin_writing().has_value());
  ASSERT_TRUE(barrier_->raise_epoch().has_value());
  EXPECT_EQ(get("a"), "1");
  EXPECT_EQ(barrier_->ledger_status().missing, 0);
  const LedgerFinding found = restart();
  EXPECT_EQ(found.state, State::kGood);
  EXPECT_TRUE(found.dated);
}

// An old snapshot shows old rows, and rightly so.
TEST_F(LedgerTest, SnapshotsFromBeforeAreStillRead) {
  put("a", "1");
  put("gone", "x");
  const auto first = reader();
  put("a", "2");
  erase("gone");
  put("new", "y");
  const auto second = reader();
  put("a", "3");
  put("gone", "back");
  EXPECT_EQ(get("a", *first), "1");
  EXPECT_EQ(get("gone", *first), "x");
  EXPECT_EQ(get("new", *first), "absent");
  EXPECT_EQ(get("a", *second), "2");
  EXPECT_EQ(get("gone", *second), "absent");
  EXPECT_EQ(get("new", *second), "y");
  EXPECT_EQ(get("a"), "3");
  EXPECT_EQ(barrier_->ledger_status().refused, 0u);
  // Up to a bound.
  for (size_t i = 0; i < kLedgerHistoryMax / 10'000 + 1; i++) {
    storage::Batch batch;
    for (int j = 0; j < 10'000; j++) batch.deletes.push_back("x" + std::to_string(j));
    ASSERT_TRUE(store_.commit_and_wait(std::move(batch)).has_value());
  }
  EXPECT_EQ(get("a", *first), "error: unavailable");
  EXPECT_EQ(get("a"), "3");
}

TEST_F(LedgerTest, FailedAndUnknownCommits) {
  using storage::CommitFault;
  put("a", "1");
  for (const CommitFault fault : {CommitFault::kFails, CommitFault::kConflicts,
                                  CommitFault::kUnknownLost, CommitFault::kUnknownWritten}) {
    const auto from = reader();
    Txn txn(*from, *barrier_->keyring(), random_);
    txn.put("a", "2");
    store_.program_commits({fault});
    EXPECT_FALSE(store_.commit_and_wait(*txn.take_batch()).has_value());
    EXPECT_EQ(get("a"), fault == CommitFault::kUnknownWritten ? "2" : "1");
  }
  EXPECT_EQ(restart().state, State::kGood);
}

// The rows of the ring and nothing else: for more rows than a memory store takes in a short time.
class RingReader final : public storage::Reader {
 public:
  base::Result<void> refresh() override { return {}; }
  void release() override {}
  storage::Revision revision() const override { return revision_; }
  base::Result<std::optional<storage::Item>> get(std::string_view key) override {
    const auto row = rows_.find(key);
    if (row == rows_.end()) return std::nullopt;
    return storage::Item{row->second, revision_};
  }
  base::Result<std::vector<std::string>> list(std::string_view, std::string_view, size_t) override {
    return std::vector<std::string>();
  }
  base::Result<std::vector<std::string>> scan(std::string_view, std::string_view, size_t) override {
    return std::vector<std::string>{rows_.begin()->first};
  }
  base::Result<uint64_t> rows() override { return rows_.size(); }
  void commit(Ledger& ledger, const storage::Batch& batch, const Keyring& keyring,
              base::Random& random) {
    auto puts = ledger.begin({revision_, revision_ + 1, {&batch}}, keyring, random);
    ASSERT_TRUE(puts.has_value());
    for (storage::Put& put : *puts) rows_[put.key] = std::move(put.value);
    revision_ += 1;
    ledger.end(true);
  }

  std::map<std::string, std::string, std::less<>> rows_;
  storage::Revision revision_ = 0;
};

// A ring that grows, parts that are written more than one at a time, and again from the store.
TEST(LedgerOfManyRows, GrowsAndComesBackTheSame) {
  base::SeededRandom random(11);
  const auto keyring = Keyring::generate(random, {});
  const base::SecretBytes key = keyring->derive("ledger");
  Ledger ledger(key);
  RingReader ring;
  std::vector<std::optional<std::string>> model;
  const auto name = [](uint64_t number) { return "r/" + std::to_string(number); };
  for (int groups = 0; ledger.status().entries < 265'000; groups++) {
    const size_t ops = groups % 4 == 0 ? 1 + random.number() % 10 : 16'000;
    std::map<uint64_t, std::optional<std::string>> writes;
    while (writes.size() < ops) {
      const uint64_t kind = random.number() % 20;
      const bool known = kind < 3 && !model.empty();
      const uint64_t number = known ? random.number() % model.size() : model.size();
      if (!known) model.emplace_back();
      writes[number] = kind == 0 ? std::nullopt : std::optional(std::to_string(random.number()));
    }
    storage::Batch batch;
    for (const auto& [number, value] : writes) {
      model[number] = value;
      if (value)
        batch.puts.push_back({name(number), *value});
      else
        batch.deletes.push_back(name(number));
    }
    ring.commit(ledger, batch, *keyring, random);
  }
  EXPECT_EQ(ring.rows_.size(), ring_size(kLedgerRingBitsMin + 1));
  Ledger again(key);
  const auto loaded = again.load(ring, *keyring, 0);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().describe();
  EXPECT_EQ(again.status().entries, ledger.status().entries);
  int taken = 0;
  for (uint64_t i = 0; i < model.size(); i++) {
    std::optional<std::string_view> value;
    if (model[i]) value = *model[i];
    ASSERT_TRUE(again.check(name(i), value, ring.revision_).has_value()) << i;
    if (i % 8 == 0) taken += again.check(name(i), "another", ring.revision_).has_value() ? 1 : 0;
  }
  EXPECT_LE(taken, 1) << "one in 16 million";
}

// Rows of which each reader sees one state or the next, on the store that has threads of its own.
TEST(LedgerOnLmdb, ReadersNeverMistakeACommitForTampering) {
  storage::TemporaryFolder folder;
  const base::SystemClock clock;
  const base::Log log(clock, -1);
  base::SystemRandom random;
  auto store = storage::LmdbStore::open({.folder = folder.path(), .map_bytes_first = 1 << 20},
                                        clock, log);  // grows meanwhile
  ASSERT_TRUE(store.has_value());
  Barrier barrier(**store, random, clock);
  auto made = barrier.initialize(ShamirSeal(), {.shares = 1, .threshold = 1});
  ASSERT_TRUE(made.has_value());
  ASSERT_TRUE(barrier.unseal(made->root_key).has_value());
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0, reads = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 2; t++) {
    threads.emplace_back([&, t] {
      auto reader = (*store)->open_reader();
      for (int i = 0; reader && !stop; i++) {
        if (i % (t == 0 ? 1 : 50) == 0 && !(*reader)->refresh()) wrong++;
        Txn txn(**reader, *barrier.keyring(), random);
        if (!txn.get("row" + std::to_string(i % 4))) wrong++;
        reads++;
      }
    });
  }
  for (int i = 0; i < 400; i++) {
    std::vector<storage::Batch> batches(3);
    for (int b = 0; b < 3; b++) {
      auto reader = (*store)->open_reader();
      Txn txn(**reader, *barrier.keyring(), random);
      const std::string key = "row" + std::to_string((i + b) % 4);
      if ((i + b) % 3 == 0)
        txn.erase(key);
      else
        txn.put(key, std::string(3'000, 'x'));
      (*store)->commit(*txn.take_batch(), [](auto) {});
    }
    if (i % 4 == 0) ASSERT_TRUE((*store)->commit_and_wait({}).has_value());
  }
  ASSERT_TRUE((*store)->commit_and_wait({}).has_value());
  stop = true;
  threads.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(reads, 0);
  EXPECT_EQ(barrier.ledger_status().missing, 0);
  EXPECT_EQ(barrier.ledger_status().refused, 0u);
  Barrier again(**store, random, clock);
  ASSERT_TRUE(again.unseal_for_reading(made->root_key).has_value());
  EXPECT_EQ(again.ledger_finding().state, State::kGood) << again.ledger_finding().what;
}

}  // namespace
}  // namespace rekey::barrier
