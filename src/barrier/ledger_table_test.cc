#include "barrier/ledger_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "base/random.h"

namespace rekey::barrier {
namespace {

RowMark mark_of(uint64_t number) {
  // Spread like a digest's bits.
  const uint64_t mixed = number * 0x9E3779B97F4A7C15u;
  return {.bucket = static_cast<uint16_t>(mixed >> 48),
          .rest = (mixed << 8 | number) & kRowRestMask};
}

TEST(LedgerTable, IsAMap) {
  base::SeededRandom random(5);
  LedgerTable table;
  std::map<uint64_t, RowDate> model;
  for (int i = 0; i < 200'000; i++) {
    // Few buckets, so that blocks are long.
    const uint64_t number = random.number() % 5'000;
    const RowMark mark{.bucket = static_cast<uint16_t>(number % 7),
                       .rest = number * 14'411'518'807};
    if (random.number() % 3 == 0) {
      table.erase(mark);
      model.erase(number);
    } else {
      const RowDate date = static_cast<RowDate>(random.number()) & kRowDateMask;
      table.put(mark, date);
      model[number] = date;
    }
    if (i % 100 == 0) table.reclaim();
  }
  EXPECT_EQ(table.size(), model.size());
  for (uint64_t number = 0; number < 5'000; number++) {
    const RowMark mark{.bucket = static_cast<uint16_t>(number % 7),
                       .rest = number * 14'411'518'807};
    const auto found = table.find(mark);
    const auto right = model.find(number);
    ASSERT_EQ(found.has_value(), right != model.end()) << number;
    if (found) ASSERT_EQ(*found, right->second);
  }
  std::vector<LedgerEntry> all;
  table.collect(0, kLedgerBuckets, all);
  EXPECT_EQ(all.size(), model.size());
  EXPECT_TRUE(std::ranges::is_sorted(all, {}, &LedgerEntry::mark));
  LedgerTable again;
  again.fill(all);
  std::vector<LedgerEntry> copied;
  again.collect(0, kLedgerBuckets, copied);
  EXPECT_EQ(copied, all);
  EXPECT_EQ(again.size(), table.size());
  EXPECT_EQ(again.bytes(), table.bytes());
}

TEST(LedgerTable, EdgesOfAMark) {
  LedgerTable table;
  for (const uint64_t rest : {uint64_t{0}, uint64_t{1}, kRowRestMask - 1, kRowRestMask}) {
    for (const uint16_t bucket : {0, 65'535}) table.put({bucket, rest}, kRowDateMask);
  }
  EXPECT_EQ(table.size(), 8u);
  EXPECT_EQ(table.find({65'535, kRowRestMask}), kRowDateMask);
  EXPECT_EQ(table.find({65'535, 2}), std::nullopt);
  EXPECT_EQ(table.find({1, 0}), std::nullopt);
}

TEST(LedgerTable, TakesElevenBytesARow) {
  LedgerTable table;
  constexpr uint64_t kRows = 1'000'000;
  for (uint64_t i = 0; i < kRows; i++) {
    table.put(mark_of(i), 1);
    if (i % 1'000 == 0) table.reclaim();
  }
  EXPECT_EQ(table.size(), kRows);
  EXPECT_LT(table.bytes(), kRows * 11);
}

// One row is always there, with one of two dates, while everything around it comes and goes.
TEST(LedgerTable, ReadersSeeWholeStates) {
  LedgerTable table;
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  const RowMark steady{.bucket = 9, .rest = kRowRestMask / 2};
  table.put(steady, 1);
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; i++) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto date = table.find(steady);
        if (!date || (*date != 1 && *date != 2)) wrong++;
      }
    });
  }
  base::SeededRandom random(6);
  for (int i = 0; i < 60'000; i++) {
    const RowMark mark{.bucket = 9, .rest = (random.number() % 500) * 140'000'000'000'001};
    if (random.number() % 2 == 0)
      table.put(mark, 7);
    else
      table.erase(mark);
    table.put(steady, 1 + static_cast<RowDate>(i % 2));
    if (i % 64 == 0) table.reclaim();
  }
  stop = true;
  readers.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace rekey::barrier
