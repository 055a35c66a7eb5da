#include "logical/named_rows.h"

#include <gtest/gtest.h>

namespace rekey::logical {
namespace {

TEST(Names, AreWordsWithDotsAndDashesInside) {
  for (const char* name : {"a", "_", "Role-1.b", "a.b", "9"}) EXPECT_TRUE(is_name(name, 8)) << name;
  for (const char* name : {"", "-a", "a-", ".a", "a.", "a/b", "a b", "\xc3\xa4", "123456789"}) {
    EXPECT_FALSE(is_name(name, 8)) << name;
  }
}

}  // namespace
}  // namespace rekey::logical
