#include "engine/transit/ciphertext.h"

#include <gtest/gtest.h>

namespace rekey::engine::transit {
namespace {

std::string why(std::string_view text) {
  const auto parts = split_versioned(text, "bad");
  if (!parts) return parts.error().message();
  return std::to_string(parts->version) + " " + std::string(parts->payload);
}

TEST(Ciphertext, SplitsVersionAndPayload) {
  EXPECT_EQ(why("vault:v1:abc"), "1 abc");
  EXPECT_EQ(why("vault:v4294967295:a:b"), "4294967295 a:b");
  EXPECT_EQ(why("vault:v0:abc"), "1 abc");
  EXPECT_EQ(why("vault:v7:"), "7 ");
  EXPECT_EQ(why(""), "bad: no prefix");
  EXPECT_EQ(why("vault:1:abc"), "bad: no prefix");
  EXPECT_EQ(why("vault:v"), "bad: wrong number of fields");
  EXPECT_EQ(why("vault:v1"), "bad: wrong number of fields");
  for (const char* text : {"vault:v:a", "vault:vx:a", "vault:v-1:a", "vault:v1x:a", "vault:v 1:a",
                           "vault:v4294967296:a", "vault:v99999999999999999999:a"}) {
    EXPECT_EQ(why(text), "bad: version number could not be decoded") << text;
  }
}

TEST(Ciphertext, ChoosesTheVersionToWriteWith) {
  KeySettings s;
  s.latest = 5;
  s.min_decryption = 2;
  const auto version = [&](int64_t asked) {
    const auto chosen = writing_version(s, asked, "encryption");
    return chosen ? static_cast<int64_t>(*chosen) : -1;
  };
  EXPECT_EQ(version(0), 5);
  EXPECT_EQ(version(2), 2);
  EXPECT_EQ(version(1), -1);
  EXPECT_EQ(version(6), -1);
  EXPECT_EQ(version(-1), -1);
  s.min_encryption = 4;
  EXPECT_EQ(version(3), -1);
  EXPECT_EQ(version(4), 4);
  EXPECT_TRUE(check_readable(s, 2, "bad").has_value());
  EXPECT_FALSE(check_readable(s, 1, "bad").has_value());
  EXPECT_FALSE(check_readable(s, 6, "bad").has_value());
}

}  // namespace
}  // namespace rekey::engine::transit
