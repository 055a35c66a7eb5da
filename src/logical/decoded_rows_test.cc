#include "logical/decoded_rows.h"

#include <gtest/gtest.h>

namespace rekey::logical {
namespace {

struct Counted final : DecodedRow {
  explicit Counted(int& the_count) : count(the_count) { count++; }
  ~Counted() override { count--; }
  int& count;
};

TEST(DecodedRows, GivesOnlyTheRevisionThatWasAskedFor) {
  int alive = 0;
  DecodedRows rows;
  EXPECT_EQ(rows.find("a", 1), nullptr);
  rows.keep("a", 1, std::make_shared<Counted>(alive));
  EXPECT_NE(rows.find("a", 1), nullptr);
  EXPECT_EQ(rows.find("a", 2), nullptr);
  EXPECT_EQ(rows.find("b", 1), nullptr);
  rows.keep("a", 2, std::make_shared<Counted>(alive));
  EXPECT_EQ(rows.find("a", 1), nullptr);
  EXPECT_NE(rows.find("a", 2), nullptr);
  EXPECT_EQ(alive, 1);
  rows.drop("a");
  EXPECT_EQ(alive, 0);
}

TEST(DecodedRows, IsBoundedAndForgets) {
  int alive = 0;
  DecodedRows rows;
  for (int i = 0; i < 5000; i++) {
    rows.keep("m/x/key/" + std::to_string(i), 1, std::make_shared<Counted>(alive));
  }
  EXPECT_LE(alive, 256);
  EXPECT_GT(alive, 200);
  EXPECT_NE(rows.find("m/x/key/4999", 1), nullptr);
  rows.clear();
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace rekey::logical
