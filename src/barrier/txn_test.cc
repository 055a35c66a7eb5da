#include "barrier/txn.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "storage/memory_store.h"

namespace rekey::barrier {
namespace {

using base::ErrorKind;
using Names = std::vector<std::string>;

class TxnTest : public ::testing::Test {
 protected:
  TxnTest() { keyring_->extend_reserve(kEncryptionReserve); }

  Txn begin() {
    EXPECT_TRUE(reader_->refresh().has_value());
    return Txn(*reader_, *keyring_, random_);
  }
  base::Result<storage::Revision> commit(Txn& txn) {
    auto batch = txn.take_batch();
    EXPECT_TRUE(batch.has_value());
    return store_.commit_and_wait(std::move(*batch));
  }
  void write(std::string_view key, std::string value) {
    Txn txn = begin();
    txn.put(key, std::move(value));
    ASSERT_TRUE(commit(txn).has_value());
  }
  std::string read(std::string_view key) {
    Txn txn = begin();
    auto value = txn.get(key);
    EXPECT_TRUE(value.has_value());
    return value->value_or("(absent)");
  }

  base::SeededRandom random_{3};
  base::FakeClock clock_;
  storage::MemoryStore store_;
  std::shared_ptr<const Keyring> keyring_ = Keyring::generate(random_, clock_.wall());
  std::unique_ptr<storage::Reader> reader_ = std::move(*store_.open_reader());
};

TEST_F(TxnTest, ReadsItsOwnWrites) {
  write("a", "1");
  Txn txn = begin();
  EXPECT_FALSE(txn.has_writes());
  EXPECT_EQ(**txn.get("a"), "1");
  txn.put("a", "2");
  txn.put("b", "3");
  EXPECT_EQ(**txn.get("a"), "2");
  EXPECT_EQ(**txn.peek("b"), "3");
  txn.erase("a");
  EXPECT_FALSE(txn.get("a")->has_value());
  EXPECT_TRUE(txn.has_writes());
  EXPECT_EQ(read("a"), "1");  // not committed yet
  ASSERT_TRUE(commit(txn).has_value());
  EXPECT_FALSE(txn.has_writes());
  EXPECT_EQ(read("a"), "(absent)");
  EXPECT_EQ(read("b"), "3");
}

TEST_F(TxnTest, WhatTheStoreHoldsIsEncrypted) {
  write("a", "a very secret value");
  ASSERT_TRUE(reader_->refresh().has_value());
  const std::string stored((*reader_->get("a"))->value);
  EXPECT_EQ(stored.find("secret"), std::string::npos);
  EXPECT_EQ(*keyring_->decrypt("a", stored), "a very secret value");
}

TEST_F(TxnTest, WhatWasReadIsACondition) {
  write("a", "1");
  Txn slow = begin();
  EXPECT_EQ(**slow.get("a"), "1");
  slow.put("b", "depends on a");
  write("a", "2");
  const auto committed = commit(slow);
  ASSERT_FALSE(committed.has_value());
  EXPECT_EQ(committed.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(read("b"), "(absent)");
}

TEST_F(TxnTest, AbsenceThatWasReadIsACondition) {
  Txn slow = begin();
  EXPECT_FALSE(slow.get("a")->has_value());
  slow.put("a", "mine");
  write("a", "theirs");
  EXPECT_EQ(commit(slow).error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(read("a"), "theirs");
}

TEST_F(TxnTest, WhatWasPeekedAtIsNoCondition) {
  write("a", "1");
  Txn slow = begin();
  EXPECT_EQ(**slow.peek("a"), "1");
  slow.put("b", "x");
  write("a", "2");
  EXPECT_TRUE(commit(slow).has_value());
}

TEST_F(TxnTest, WhatWasPeekedAtAndReadAgainIsACondition) {
  for (const bool changed : {false, true}) {
    write("a", "1");
    Txn slow = begin();
    EXPECT_EQ(**slow.peek("a"), "1");
    EXPECT_EQ(**slow.get("a"), "1");
    slow.put("b", "depends on a");
    if (changed) write("a", "2");
    EXPECT_EQ(commit(slow).has_value(), !changed);
  }
  // A reader that was moved on in between shows what is there by then.
  Txn moved = begin();
  EXPECT_EQ(**moved.peek("a"), "2");
  write("a", "3");
  ASSERT_TRUE(reader_->refresh().has_value());
  EXPECT_EQ(**moved.get("a"), "3");
  moved.put("a", "4");
  EXPECT_EQ(**moved.get("a"), "4");
  EXPECT_TRUE(commit(moved).has_value());
}

TEST_F(TxnTest, WhatIsHeldIsACondition) {
  Txn absent = begin();
  EXPECT_EQ(*absent.hold("a"), 0u);
  absent.put("b", "x");
  write("a", "1");
  EXPECT_FALSE(commit(absent).has_value());
  Txn there = begin();
  EXPECT_EQ(*there.hold("a"), 1u);
  there.put("b", "x");
  EXPECT_TRUE(commit(there).has_value());
}

TEST_F(TxnTest, ARevisionTellsWhetherARowIsAsItWas) {
  EXPECT_EQ(*begin().revision("a"), std::optional<storage::Revision>(0));
  write("a", "1");
  const auto first = *begin().revision("a");
  write("b", "1");
  EXPECT_EQ(*begin().revision("a"), first);
  write("a", "1");
  EXPECT_GT(**begin().revision("a"), *first);
  Txn txn = begin();
  txn.put("a", "2");
  EXPECT_EQ(*txn.revision("a"), std::nullopt);
}

TEST_F(TxnTest, TheFirstRevisionCountsWhenTheReaderMovesOn) {
  write("a", "1");
  Txn slow = begin();
  EXPECT_EQ(**slow.get("a"), "1");
  write("a", "2");
  ASSERT_TRUE(reader_->refresh().has_value());
  EXPECT_EQ(**slow.get("a"), "2");
  slow.put("b", "x");
  EXPECT_EQ(commit(slow).error().kind(), ErrorKind::kConflict);
}

TEST_F(TxnTest, ATamperedRowIsAnErrorAndTheOthersAreServed) {
  write("a", "1");
  write("b", "2");
  ASSERT_TRUE(reader_->refresh().has_value());
  storage::Batch swap;
  swap.puts.push_back({.key = "a", .value = std::string((*reader_->get("b"))->value)});
  ASSERT_TRUE(store_.commit_and_wait(std::move(swap)).has_value());
  Txn txn = begin();
  const auto swapped = txn.get("a");
  ASSERT_FALSE(swapped.has_value());
  EXPECT_EQ(swapped.error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(**txn.get("b"), "2");
  EXPECT_FALSE(txn.scan("", "", [](auto, auto) { return true; }).has_value());
}

TEST_F(TxnTest, AKeyringThatMayNotEncryptKeepsTheWrites) {
  const auto poor = Keyring::generate(random_, clock_.wall());
  Txn txn(*reader_, *poor, random_);
  txn.put("a", "1");
  EXPECT_EQ(txn.take_batch().error().kind(), ErrorKind::kUnavailable);
  EXPECT_TRUE(txn.has_writes());
  poor->extend_reserve(1);
  EXPECT_TRUE(txn.take_batch().has_value());
}

TEST_F(TxnTest, ListsMergeStoreAndWrites) {
  write("kv/a", "1");
  write("kv/c/x", "1");
  write("kv/c/y", "1");
  write("kv/e/z", "1");
  write("other", "1");
  Txn txn = begin();
  EXPECT_EQ(*txn.list("kv/"), (Names{"a", "c/", "e/"}));
  txn.put("kv/b", "2");
  txn.put("kv/c/new", "2");
  txn.put("kv/d/deep/er", "2");
  txn.erase("kv/e/z");
  txn.erase("kv/a");
  EXPECT_EQ(*txn.list("kv/"), (Names{"b", "c/", "d/"}));
  EXPECT_EQ(*txn.list("kv/c/"), (Names{"new", "x", "y"}));
  EXPECT_EQ(*txn.list("kv/d/"), (Names{"deep/"}));
  EXPECT_EQ(*txn.list("kv/", "b"), (Names{"c/", "d/"}));
  EXPECT_EQ(*txn.list("kv/", "", 2), (Names{"b", "c/"}));
  EXPECT_EQ(*txn.list("kv/", "b", 1), (Names{"c/"}));
  txn.erase("kv/c/x");
  txn.erase("kv/c/y");
  EXPECT_EQ(*txn.list("kv/"), (Names{"b", "c/", "d/"}));
  txn.erase("kv/c/new");
  EXPECT_EQ(*txn.list("kv/"), (Names{"b", "d/"}));
  EXPECT_EQ(*txn.list(""), (Names{"kv/", "other"}));
  EXPECT_TRUE(txn.list("nothing/")->empty());
}

TEST_F(TxnTest, AListLongerThanAPageIsWhole) {
  Txn fill = begin();
  for (int i = 0; i < 2500; i++) fill.put("k/" + std::to_string(10'000 + i), "v");
  ASSERT_TRUE(commit(fill).has_value());
  Txn txn = begin();
  for (int i = 0; i < 2400; i++) txn.erase("k/" + std::to_string(10'000 + i));
  txn.put("k/99999", "v");
  const auto names = txn.list("k/");
  ASSERT_EQ(names->size(), 101u);
  EXPECT_EQ(names->front(), "12400");
  EXPECT_EQ(names->back(), "99999");
  int visited = 0;
  ASSERT_TRUE(txn.scan("k/", "", [&](auto, auto) { return ++visited < 50; }).has_value());
  EXPECT_EQ(visited, 50);
  txn.put("m", "v");
  EXPECT_EQ(*txn.list(""), (Names{"k/", "m"}));
}

// The model: a plain map with the writes applied. Random reads, writes, lists, scans and commits.
class Model {
 public:
  std::map<std::string, std::string> rows;

  Names list(const std::string& prefix, const std::string& after, size_t limit) const {
    std::set<std::string> names;
    for (const auto& [key, value] : rows) {
      if (!key.starts_with(prefix)) continue;
      const std::string rest = key.substr(prefix.size());
      const size_t slash = rest.find('/');
      const std::string name = slash == std::string::npos ? rest : rest.substr(0, slash + 1);
      if (!name.empty() && name > after) names.insert(name);
    }
    Names out(names.begin(), names.end());
    if (limit != 0 && out.size() > limit) out.resize(limit);
    return out;
  }
  Names scan(const std::string& prefix, const std::string& after) const {
    Names out;
    for (const auto& [key, value] : rows) {
      if (key.starts_with(prefix) && key > after) out.push_back(key + "=" + value);
    }
    return out;
  }
};

class TxnModelTest : public TxnTest {
 protected:
  size_t pick(size_t bound) { return random_.number() % bound; }
  // Few names, so that writes meet each other; with bytes on both sides of '/' in the order.
  std::string any_key() {
    const char* parts[] = {"a", "b", "a-", "a.b", "a0", "~"};
    std::string key = parts[pick(6)];
    for (size_t depth = pick(3); depth > 0; depth--) key += "/" + std::string(parts[pick(6)]);
    return key;
  }
  std::string any_prefix() {
    std::string key = any_key();
    key.resize(pick(key.size() + 1));
    return key;
  }
  std::string any_folder() {
    const std::string key = any_key();
    const size_t slash = key.rfind('/');
    return slash == std::string::npos ? "" : key.substr(0, slash + 1);
  }
  void write_something(Txn& txn, Model& model) {
    const std::string key = any_key();
    if (pick(5) < 2) {
      txn.erase(key);
      model.rows.erase(key);
      return;
    }
    const std::string value = random_.base62(1 + pick(5));
    txn.put(key, value);
    model.rows[key] = value;
  }
  void compare(Txn& txn, const Model& model) {
    const std::string key = any_key();
    const auto value = txn.get(key);
    const auto row = model.rows.find(key);
    ASSERT_EQ(value->has_value(), row != model.rows.end()) << key;
    if (value->has_value()) ASSERT_EQ(**value, row->second);
    const std::string folder = any_folder();
    const std::string after = pick(2) == 0 ? "" : any_prefix();
    const size_t limit = pick(4);
    ASSERT_EQ(*txn.list(folder, after, limit), model.list(folder, after, limit))
        << "under '" << folder << "' after '" << after << "' limit " << limit;
    const std::string prefix = any_prefix();
    const std::string start = pick(2) == 0 ? "" : any_key();
    Names seen;
    ASSERT_TRUE(txn.scan(prefix, start,
                         [&](std::string_view found, std::string_view plaintext) {
                           seen.push_back(std::string(found) + "=" + std::string(plaintext));
                           return true;
                         })
                    .has_value());
    ASSERT_EQ(seen, model.scan(prefix, start))
        << "prefix '" << prefix << "' after '" << start << "'";
  }
};

TEST_F(TxnModelTest, BehavesAsAPlainMap) {
  Model committed;
  for (int round = 0; round < 300; round++) {
    Txn txn = begin();
    Model model = committed;
    for (size_t steps = 1 + pick(12); steps > 0; steps--) {
      write_something(txn, model);
      for (int i = 0; i < 4; i++) ASSERT_NO_FATAL_FAILURE(compare(txn, model));
    }
    if (pick(4) == 0) continue;  // dropped without a commit
    ASSERT_TRUE(commit(txn).has_value());
    committed = model;
  }
}

}  // namespace
}  // namespace rekey::barrier
