#include "storage/testing/store_contract.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "base/random.h"

namespace rekey::storage {

using Names = std::vector<std::string>;

std::string kind_name(const testing::TestParamInfo<StoreKind>& info) { return info.param.name; }

StoreContract::StoreContract() : under_test_(GetParam().make()) {}
StoreContract::~StoreContract() = default;

Revision StoreContract::put(std::string key, std::string value) {
  const auto outcome = store().commit_and_wait({.puts = {{std::move(key), std::move(value)}}});
  EXPECT_TRUE(outcome) << outcome.error().describe();
  return outcome.value_or(0);
}

Revision StoreContract::erase(std::string key) {
  const auto outcome = store().commit_and_wait({.deletes = {std::move(key)}});
  EXPECT_TRUE(outcome) << outcome.error().describe();
  return outcome.value_or(0);
}

std::string StoreContract::row(std::string_view key) {
  auto reader = store().open_reader();
  if (!reader) return reader.error().describe();
  const auto item = (*reader)->get(key);
  if (!item) return item.error().describe();
  if (!*item) return "absent";
  return std::string((*item)->value) + "@" + std::to_string((*item)->revision);
}

uint64_t StoreContract::rows() {
  auto reader = store().open_reader();
  return reader ? (*reader)->rows().value_or(UINT64_MAX) : UINT64_MAX;
}

ErrorKind StoreContract::refused(Batch batch) {
  const auto outcome = store().commit_and_wait(std::move(batch));
  EXPECT_FALSE(outcome);
  return outcome ? ErrorKind::kInternal : outcome.error().kind();
}

// Other rooms' test programs, that link this library, may get it without a driver to try.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StoreContract);

namespace {

TEST_P(StoreContract, StartsEmptyAtRevisionZero) {
  auto reader = store().open_reader();
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->revision(), 0u);
  EXPECT_EQ(row("a"), "absent");
  EXPECT_EQ((*reader)->list("", "", 10).value(), Names{});
  EXPECT_EQ((*reader)->scan("", "", 10).value(), Names{});
  EXPECT_TRUE(store().health().writable);
  EXPECT_EQ(rows(), 0u);
}

TEST_P(StoreContract, EveryBatchRaisesTheRevisionByOne) {
  EXPECT_EQ(put("a", "1"), 1u);
  EXPECT_EQ(put("b", "2"), 2u);
  EXPECT_EQ(store().commit_and_wait({.puts = {{"a", "3"}, {"c", "4"}}, .deletes = {"b"}}).value(),
            3u);
  EXPECT_EQ(row("a"), "3@3");
  EXPECT_EQ(row("b"), "absent");
  EXPECT_EQ(row("c"), "4@3");
  EXPECT_EQ(erase("never there"), 4u);
  EXPECT_EQ(rows(), 2u);
  EXPECT_EQ(store().health().commits, 4u);
}

TEST_P(StoreContract, ConditionsDecideForTheWholeBatch) {
  const Revision first = put("a", "1");
  EXPECT_EQ(refused({.conditions = {{"a", 0}}, .puts = {{"a", "x"}}}), ErrorKind::kConflict);
  EXPECT_EQ(refused({.conditions = {{"a", first + 1}}, .puts = {{"a", "x"}}}),
            ErrorKind::kConflict);
  EXPECT_EQ(
      refused({.conditions = {{"a", first}, {"b", 1}}, .puts = {{"b", "x"}}, .deletes = {"a"}}),
      ErrorKind::kConflict);
  EXPECT_EQ(row("a"), "1@1");
  EXPECT_EQ(row("b"), "absent");
  ASSERT_TRUE(store().commit_and_wait(
      {.conditions = {{"a", first}, {"b", 0}}, .puts = {{"a", "2"}, {"b", "3"}}}));
  EXPECT_EQ(row("a"), "2@2");  // refused batches took no revision
  EXPECT_EQ(row("b"), "3@2");
  erase("a");
  EXPECT_EQ(refused({.conditions = {{"a", 2}}, .puts = {{"a", "x"}}}), ErrorKind::kConflict);
  EXPECT_TRUE(store().commit_and_wait({.conditions = {{"a", 0}}, .puts = {{"a", "back"}}}));
  EXPECT_EQ(row("a"), "back@4");
  EXPECT_EQ(store().health().conflicts, 4u);
}

TEST_P(StoreContract, BatchWithoutWritesOnlyChecks) {
  put("a", "1");
  EXPECT_EQ(store().commit_and_wait({.conditions = {{"a", 1}}}).value(), 1u);
  EXPECT_EQ(store().commit_and_wait({}).value(), 1u);
  EXPECT_EQ(refused({.conditions = {{"a", 7}}}), ErrorKind::kConflict);
  EXPECT_EQ(put("b", "2"), 2u);
}

TEST_P(StoreContract, RefusesWhatNoStoreTakes) {
  const Limits limits = store().limits();
  EXPECT_EQ(refused({.puts = {{"", "x"}}}), ErrorKind::kInvalid);
  EXPECT_EQ(refused({.deletes = {""}}), ErrorKind::kInvalid);
  EXPECT_EQ(refused({.conditions = {{"", 0}}}), ErrorKind::kInvalid);
  EXPECT_EQ(refused({.puts = {{"a", "1"}, {"a", "2"}}}), ErrorKind::kInvalid);
  EXPECT_EQ(refused({.puts = {{"a", "1"}}, .deletes = {"a"}}), ErrorKind::kInvalid);
  const std::string longest(limits.key_bytes_max, 'k');
  EXPECT_EQ(refused({.puts = {{longest + "k", "x"}}}), ErrorKind::kTooLarge);
  EXPECT_EQ(refused({.puts = {{"a", std::string(limits.value_bytes_max + 1, 'v')}}}),
            ErrorKind::kTooLarge);
  Batch many;
  for (size_t i = 0; i <= limits.batch_ops_max; ++i) many.deletes.push_back(std::to_string(i));
  EXPECT_EQ(refused(many), ErrorKind::kTooLarge);
  Batch heavy;
  for (size_t bytes = 0; bytes <= limits.batch_bytes_max; bytes += limits.value_bytes_max) {
    heavy.puts.push_back({std::to_string(bytes), std::string(limits.value_bytes_max, 'v')});
  }
  EXPECT_EQ(refused(std::move(heavy)), ErrorKind::kTooLarge);
  EXPECT_EQ(put(longest, ""), 1u);
  EXPECT_EQ(row(longest), "@1");
  EXPECT_EQ(row(longest + "k"), "absent");
  auto reader = store().open_reader();
  ASSERT_TRUE(reader);
  const auto nothing = (*reader)->get("");
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().kind(), ErrorKind::kInvalid);
}

TEST_P(StoreContract, LargestValueAndFullestBatchAreTaken) {
  const Limits limits = store().limits();
  base::SeededRandom random(7);
  const std::string large = random.bytes(limits.value_bytes_max);
  ASSERT_EQ(put("large", large), 1u);
  {
    auto reader = store().open_reader();
    ASSERT_TRUE(reader);
    EXPECT_TRUE((*reader)->get("large").value()->value == large);
  }
  Batch full;
  for (size_t i = 0; i < limits.batch_ops_max; ++i)
    full.puts.push_back({"k" + std::to_string(i), "v"});
  EXPECT_EQ(store().commit_and_wait(std::move(full)).value(), 2u);
  EXPECT_EQ(row("k" + std::to_string(limits.batch_ops_max - 1)), "v@2");
}

TEST_P(StoreContract, KeysAndValuesAreAnyBytes) {
  const std::string key("\0\xff/\n\x7f", 5), value("\xff\0\x80", 3);
  put(key, value);
  put("\xff", "");
  EXPECT_EQ(row(key), value + "@1");
  auto reader = store().open_reader();
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->list("", "", 10).value(), (Names{std::string("\0\xff/", 3), "\xff"}));
  EXPECT_EQ((*reader)->list(std::string_view("\0\xff/", 3), "", 10).value(), (Names{"\n\x7f"}));
  EXPECT_EQ((*reader)->scan("\xff", "", 10).value(), (Names{"\xff"}));
}

TEST_P(StoreContract, ReaderIsASnapshotUntilRefreshed) {
  put("a", "1");
  auto opened = store().open_reader();
  ASSERT_TRUE(opened);
  Reader& reader = **opened;
  const std::string_view before = reader.get("a").value()->value;
  put("a", "2");
  put("b", "3");
  EXPECT_EQ(reader.revision(), 1u);
  EXPECT_EQ(before, "1");
  EXPECT_EQ(reader.get("a").value()->value, "1");
  EXPECT_FALSE(reader.get("b").value());
  EXPECT_EQ(reader.list("", "", 10).value(), (Names{"a"}));
  ASSERT_TRUE(reader.refresh());
  EXPECT_EQ(reader.revision(), 3u);
  EXPECT_EQ(reader.get("a").value()->value, "2");
  EXPECT_EQ(reader.list("", "", 10).value(), (Names{"a", "b"}));
  reader.release();
  reader.release();
  ASSERT_TRUE(reader.refresh());
  EXPECT_EQ(reader.get("b").value()->value, "3");
}

TEST_P(StoreContract, ListShowsImmediateChildrenOnce) {
  for (const char* key :
       {"a", "a/", "a/b", "a/b/c", "a/b/d", "a/b-c", "a/b0", "a/c/d/e", "a//x", "ab"}) {
    put(key, "x");
  }
  auto opened = store().open_reader();
  ASSERT_TRUE(opened);
  Reader& reader = **opened;
  EXPECT_EQ(reader.list("", "", 10).value(), (Names{"a", "a/", "ab"}));
  EXPECT_EQ(reader.list("a/", "", 10).value(), (Names{"/", "b", "b-c", "b/", "b0", "c/"}));
  EXPECT_EQ(reader.list("a/", "", 2).value(), (Names{"/", "b"}));
  EXPECT_EQ(reader.list("a/", "b", 2).value(), (Names{"b-c", "b/"}));
  EXPECT_EQ(reader.list("a/", "b/", 2).value(), (Names{"b0", "c/"}));
  EXPECT_EQ(reader.list("a/", "b/c", 2).value(), (Names{"b0", "c/"}));
  EXPECT_EQ(reader.list("a/", "c/", 2).value(), Names{});
  EXPECT_EQ(reader.list("a/b/", "", 9).value(), (Names{"c", "d"}));
  EXPECT_EQ(reader.list("nothing/", "", 9).value(), Names{});
  EXPECT_EQ(reader.list("a/", "", 0).value(), Names{});
  EXPECT_EQ(reader.scan("a/b", "", 10).value(), (Names{"a/b", "a/b-c", "a/b/c", "a/b/d", "a/b0"}));
  EXPECT_EQ(reader.scan("a/b", "a/b-c", 2).value(), (Names{"a/b/c", "a/b/d"}));
  EXPECT_EQ(reader.scan("a/b", "a/b0", 2).value(), Names{});
  EXPECT_EQ(reader.scan("a/b", "a", 1).value(), (Names{"a/b"}));
  EXPECT_EQ(reader.scan("a/b", "", 0).value(), Names{});
}

// `after` may come from a client as it is.
TEST_P(StoreContract, OverlongQuestionsAreAnswered) {
  const std::string longest(store().limits().key_bytes_max, 'k'), longer(5'000, 'k');
  put(longest, "x");
  put("z", "x");
  auto opened = store().open_reader();
  ASSERT_TRUE(opened);
  Reader& reader = **opened;
  EXPECT_FALSE(reader.get(longer).value());
  EXPECT_EQ(reader.list("", longest, 9).value(), (Names{"z"}));
  EXPECT_EQ(reader.list("", longer, 9).value(), (Names{"z"}));
  EXPECT_EQ(reader.list("", longer + "/", 9).value(), (Names{"z"}));
  EXPECT_EQ(reader.list(longer, "", 9).value(), Names{});
  EXPECT_EQ(reader.list(longest, "", 9).value(), Names{});
  EXPECT_EQ(reader.scan("", longer, 9).value(), (Names{"z"}));
  EXPECT_EQ(reader.scan(longer, "", 9).value(), Names{});
  EXPECT_EQ(reader.scan(longest, "", 9).value(), Names{longest});
}

// What list() and scan() must answer, from a sorted map and the words of the contract alone.
Names listed(const std::map<std::string, std::string>& rows, const std::string& prefix,
             const std::string& after, size_t limit) {
  std::set<std::string> names;
  for (const auto& [key, value] : rows) {
    if (!key.starts_with(prefix)) continue;
    std::string name = key.substr(prefix.size());
    if (const size_t slash = name.find('/'); slash != std::string::npos) name.resize(slash + 1);
    if (name > after) names.insert(name);
  }
  Names page(names.begin(), names.end());
  page.resize(std::min(limit, page.size()));
  return page;
}

Names scanned(const std::map<std::string, std::string>& rows, const std::string& prefix,
              const std::string& after, size_t limit) {
  Names page;
  for (const auto& [key, value] : rows) {
    if (page.size() < limit && key.starts_with(prefix) && key > after) page.push_back(key);
  }
  return page;
}

// Short names over few letters, so that equal prefixes, names beside folders and empty names occur.
std::string random_path(base::Random& random) {
  static constexpr std::string_view kLetters = "ab/-0\xff";
  std::string path;
  for (uint64_t left = random.number() % 7; left > 0; --left)
    path += kLetters[random.number() % kLetters.size()];
  return path;
}

TEST_P(StoreContract, PagesAgreeWithAModel) {
  base::SeededRandom random(20261124);
  std::map<std::string, std::string> model;
  auto opened = store().open_reader();
  ASSERT_TRUE(opened);
  for (int step = 0; step < 60; ++step) {
    Batch batch;
    std::set<std::string> used;
    for (int op = 0; op < 8; ++op) {
      const std::string key = "/" + random_path(random);
      if (!used.insert(key).second) continue;
      if (random.number() % 3 == 0) {
        batch.deletes.push_back(key);
        model.erase(key);
      } else {
        batch.puts.push_back({key, std::to_string(step)});
        model[key] = std::to_string(step);
      }
    }
    ASSERT_TRUE(store().commit_and_wait(std::move(batch)));
    ASSERT_TRUE((*opened)->refresh());
    for (int question = 0; question < 40; ++question) {
      const std::string prefix = random.number() % 4 == 0 ? "" : "/" + random_path(random);
      const std::string after = random_path(random);
      const size_t limit = random.number() % 9;
      SCOPED_TRACE("step " + std::to_string(step) + " prefix " + prefix + " after " + after);
      ASSERT_EQ((*opened)->list(prefix, after, limit).value(), listed(model, prefix, after, limit));
      const std::string whole = after.empty() ? "" : prefix + after;
      ASSERT_EQ((*opened)->scan(prefix, whole, limit).value(),
                scanned(model, prefix, whole, limit));
    }
  }
  EXPECT_EQ(rows(), model.size());
  for (const auto& [key, value] : model) EXPECT_EQ((*opened)->get(key).value()->value, value);
}

TEST_P(StoreContract, WatchersAreToldInOrderAndBeforeTheCommitter) {
  std::vector<std::pair<Revision, Names>> seen;
  auto watch =
      store().watch("a/", [&](Revision revision, const std::vector<std::string_view>& keys) {
        seen.emplace_back(revision, Names(keys.begin(), keys.end()));
      });
  std::promise<size_t> at_done;
  store().commit({.puts = {{"a/x", "1"}, {"b", "1"}}, .deletes = {"a/y"}},
                 [&](Result<Revision> outcome) { at_done.set_value(outcome ? seen.size() : 99); });
  EXPECT_EQ(at_done.get_future().get(), 1u);
  put("b", "2");
  (void)store().commit_and_wait({.conditions = {{"a/x", 77}}, .puts = {{"a/x", "no"}}});
  erase("a/x");
  watch.reset();
  put("a/x", "3");
  using Seen = std::vector<std::pair<Revision, Names>>;
  EXPECT_EQ(seen, (Seen{{1, {"a/x", "a/y"}}, {3, {"a/x"}}}));
}

TEST_P(StoreContract, WatcherFindsTheChangeWhenItReads) {
  auto reader = store().open_reader();
  ASSERT_TRUE(reader);
  std::string found;
  auto watch = store().watch("", [&](Revision revision, const std::vector<std::string_view>& keys) {
    if ((*reader)->refresh() && (*reader)->revision() >= revision) {
      found = (*reader)->get(keys.at(0)).value()->value;
    }
  });
  put("a", "told");
  EXPECT_EQ(found, "told");
}

TEST_P(StoreContract, DoneMayCommitAgain) {
  std::promise<Revision> second;
  store().commit({.puts = {{"a", "1"}}}, [&](Result<Revision>) {
    store().commit({.puts = {{"a", "2"}}},
                   [&](Result<Revision> outcome) { second.set_value(outcome.value_or(0)); });
  });
  EXPECT_EQ(second.get_future().get(), 2u);
  EXPECT_EQ(row("a"), "2@2");
}

TEST_P(StoreContract, OneThreadsBatchesKeepTheirOrder) {
  constexpr int kBatches = 200;
  std::vector<Revision> revisions;
  std::promise<void> last;
  for (int i = 0; i < kBatches; ++i) {
    store().commit({.puts = {{"a", std::to_string(i)}}}, [&, i](Result<Revision> outcome) {
      revisions.push_back(outcome.value_or(0));
      if (i == kBatches - 1) last.set_value();
    });
  }
  last.get_future().wait();
  ASSERT_EQ(revisions.size(), static_cast<size_t>(kBatches));
  for (int i = 0; i < kBatches; ++i) EXPECT_EQ(revisions[i], static_cast<Revision>(i + 1));
  EXPECT_EQ(row("a"), "199@200");
}

// Increments under a condition, as everyone above does read-modify-write: none may be lost, and a
// Reader must never see the two counters apart, since each batch moves both.
TEST_P(StoreContract, ConcurrentWritersLoseNothingAndReadersSeeWholeBatches) {
  constexpr int kWriters = 4, kIncrements = 40;
  ASSERT_TRUE(store().commit_and_wait({.puts = {{"left", "0"}, {"right", "0"}}}));
  std::atomic<bool> stop = false;
  std::atomic<int> torn = 0;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      auto reader = store().open_reader();
      while (reader && !stop) {
        if (!(*reader)->refresh()) torn += 1;
        const std::string left((*reader)->get("left").value()->value);
        if (left != (*reader)->get("right").value()->value) torn += 1;
      }
    });
  }
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < kWriters; ++i) {
      writers.emplace_back([&] {
        auto reader = store().open_reader();
        for (int done = 0; reader && done < kIncrements;) {
          if (!(*reader)->refresh()) break;
          const Item item = *(*reader)->get("left").value();
          const std::string next = std::to_string(std::stoi(std::string(item.value)) + 1);
          const auto outcome = store().commit_and_wait(
              {.conditions = {{"left", item.revision}}, .puts = {{"left", next}, {"right", next}}});
          if (outcome) done += 1;
        }
      });
    }
  }
  stop = true;
  readers.clear();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(row("left"), "160@161");
}

// Keeps one row that says which keys every group touched, as the barrier's ledger does.
class Noting final : public CommitWitness {
 public:
  Result<std::vector<Put>> before_commit(const Group& group) override {
    EXPECT_FALSE(pending_);
    if (refusing_) return base::fail(ErrorKind::kSealed, "not now");
    pending_ = true;
    before_ = group.before, after_ = group.after;
    EXPECT_EQ(group.after - group.before, group.batches.size());
    std::string text = std::to_string(group.before) + ">" + std::to_string(group.after) + ":";
    for (const Batch* batch : group.batches) {
      for (const Put& put : batch->puts) text += " " + put.key + "=" + put.value;
      for (const std::string& key : batch->deletes) text += " -" + key;
    }
    return std::vector<Put>{{"note/last", text}, {"note/" + std::to_string(group.after), text}};
  }
  void after_commit(bool committed) override {
    EXPECT_TRUE(pending_);
    pending_ = false;
    if (!committed) return;
    EXPECT_EQ(before_, seen_);
    seen_ = after_;
    groups_ += 1;
  }
  std::optional<uint64_t> rows_expected() override { return 7; }
  void rows_counted(uint64_t expected, uint64_t counted) override {
    EXPECT_EQ(expected, 7u);
    counted_ = counted;
  }

  std::atomic<bool> refusing_ = false;
  bool pending_ = false;
  Revision before_ = 0, after_ = 0, seen_ = 0;
  std::atomic<uint64_t> counted_ = 0;
  int groups_ = 0;
};

TEST_P(StoreContract, WitnessPutsItsRowsIntoTheSameTransaction) {
  Noting witness;
  store().set_witness(&witness);
  EXPECT_EQ(put("a", "1"), 1u);
  EXPECT_EQ(row("note/last"), "0>1: a=1@1");
  EXPECT_EQ(rows(), 3u);
  EXPECT_EQ(store().commit_and_wait({.puts = {{"b", "2"}}, .deletes = {"a"}}).value(), 2u);
  EXPECT_EQ(row("note/last"), "1>2: b=2 -a@2");
  EXPECT_EQ(rows(), 4u);
  // What writes nothing, or is refused, is no group.
  EXPECT_EQ(store().commit_and_wait({.conditions = {{"b", 2}}}).value(), 2u);
  EXPECT_EQ(refused({.conditions = {{"b", 1}}, .puts = {{"b", "x"}}}), ErrorKind::kConflict);
  EXPECT_EQ(witness.groups_, 2);
  EXPECT_EQ(row("note/last"), "1>2: b=2 -a@2");
  store().set_witness(nullptr);
  EXPECT_EQ(put("c", "3"), 3u);
  EXPECT_EQ(witness.groups_, 2);
}

// At the latest when there is nothing else to do.
TEST_P(StoreContract, WitnessIsToldHowManyRowsThereReallyAre) {
  Noting witness;
  store().set_witness(&witness);
  put("a", "1");
  put("b", "2");
  erase("a");
  for (int i = 0; i < 1'000 && witness.counted_ != 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(witness.counted_, 5u);
  store().set_witness(nullptr);
}

TEST_P(StoreContract, WhatTheWitnessRefusesIsNotCommitted) {
  Noting witness;
  store().set_witness(&witness);
  put("a", "1");
  witness.refusing_ = true;
  EXPECT_EQ(refused({.puts = {{"a", "2"}}}), ErrorKind::kSealed);
  EXPECT_EQ(row("a"), "1@1");
  EXPECT_TRUE(store().health().writable);
  witness.refusing_ = false;
  EXPECT_EQ(put("a", "3"), 2u);
  EXPECT_EQ(row("note/last"), "1>2: a=3@2");
  store().set_witness(nullptr);
}

TEST_P(StoreContract, WitnessSeesEveryWriteOnceAndInOrder) {
  Noting witness;
  store().set_witness(&witness);
  std::atomic<int> watched = 0;
  const auto watch = store().watch("note/", [&](Revision, const auto&) { watched += 1; });
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < 4; ++i) {
      writers.emplace_back([this, i] {
        for (int n = 0; n < 50; ++n) put("k" + std::to_string(i), std::to_string(n));
      });
    }
  }
  store().set_witness(nullptr);  // waits: what follows is read without a lock
  EXPECT_EQ(witness.seen_, 200u);
  EXPECT_EQ(rows(), static_cast<uint64_t>(4 + 1 + witness.groups_));
  EXPECT_EQ(watched, 0);
}

}  // namespace
}  // namespace rekey::storage
