#include "storage/row_table.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "base/random.h"

namespace rekey::storage {
namespace {

std::string found(const RowTable& table, std::string_view key, Revision at_most) {
  const RowTable::Version* version = table.find(key, at_most);
  if (version == nullptr) return "unknown";
  return (version->erased ? "erased" : std::string(version->value)) + "@" +
         std::to_string(version->revision);
}

TEST(RowTable, EachRevisionSeesItsOwn) {
  RowTable table;
  EXPECT_TRUE(table.empty());
  table.put("a", "1", 3);
  table.erase("a", 5);
  table.put("a", "", 7);
  table.put("b", std::string(100'000, 'x'), 7);
  EXPECT_EQ(found(table, "a", 2), "unknown");
  EXPECT_EQ(found(table, "a", 4), "1@3");
  EXPECT_EQ(found(table, "a", 6), "erased@5");
  EXPECT_EQ(found(table, "a", 9), "@7");
  EXPECT_EQ(found(table, "ab", 9), "unknown");
  EXPECT_EQ(table.find("b", 7)->value.size(), 100'000u);
  EXPECT_GT(table.bytes(), 100'000u);
}

TEST(RowTable, CursorAgreesWithAModel) {
  base::SeededRandom random(11);
  RowTable table;
  std::map<std::string, std::string> model;
  for (int i = 0; i < 5'000; ++i) {
    const std::string key = std::to_string(random.number() % 2'000);
    table.put(key, std::to_string(i), i + 1);
    model[key] = std::to_string(i);
  }
  RowTable::Cursor cursor(table);
  bool more = cursor.seek("");
  for (const auto& [key, value] : model) {
    ASSERT_TRUE(more);
    EXPECT_EQ(cursor.key(), key);
    EXPECT_EQ(cursor.version(9'999)->value, value);
    more = cursor.next();
  }
  EXPECT_FALSE(more);
  for (int i = 0; i < 3'000; ++i) {
    const std::string key = std::to_string(random.number() % 3'000);
    const auto expected = model.lower_bound(key);
    EXPECT_EQ(cursor.seek(key), expected != model.end());
    if (expected != model.end()) EXPECT_EQ(cursor.key(), expected->first);
  }
}

// Meant for tsan: who reads sees every row up to the revision that it was told of.
TEST(RowTable, IsReadWhileItIsWritten) {
  RowTable table;
  std::atomic<Revision> written = 0;
  constexpr Revision kRows = 20'000;
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&, i] {
      base::SeededRandom random(i);
      for (Revision now = 0; now < kRows;) {
        now = written.load(std::memory_order_acquire);
        if (now == 0) continue;
        const Revision asked = 1 + random.number() % now;
        const auto* version = table.find(std::to_string(asked), now);
        if (version == nullptr || version->revision != asked) wrong += 1;
        RowTable::Cursor cursor(table);
        if (!cursor.seek(std::to_string(asked)) || cursor.key() != std::to_string(asked)) {
          wrong += 1;
        }
      }
    });
  }
  for (Revision i = 1; i <= kRows; ++i) {
    table.put(std::to_string(i), "v", i);
    written.store(i, std::memory_order_release);
  }
  readers.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace rekey::storage
