#include "crypto/shamir.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <set>
#include <string>

#include "base/codec.h"
#include "crypto/testing/vectors.h"

namespace rekey::crypto {
namespace {

using base::SecretBytes;
using testing::from_hex;

std::vector<SecretBytes> pick(const std::vector<SecretBytes>& from,
                              std::initializer_list<size_t> which) {
  std::vector<SecretBytes> out;
  for (const size_t i : which) out.push_back(from[i].clone());
  return out;
}

std::string combined(const std::vector<SecretBytes>& shares) {
  const base::Result<SecretBytes> secret = shamir_combine(shares);
  return secret ? std::string(secret->reveal()) : "error: " + secret.error().message();
}

std::vector<SecretBytes> shares_of(std::string_view list) {
  std::vector<SecretBytes> shares;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    shares.push_back(SecretBytes::copy_of(from_hex(list.substr(0, comma))));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return shares;
}

// testdata/make_shamir_vectors.py: another implementation, by another method, in another language.
TEST(Shamir, CombinesSharesMadeElsewhere) {
  for (const auto& fields : testing::read_vectors("crypto/testdata/shamir.txt")) {
    const auto threshold = static_cast<size_t>(std::stoul(fields[0]));
    const std::string secret = from_hex(fields[1]);
    std::vector<SecretBytes> shares = shares_of(fields[2]);
    for (size_t first = 0; first + threshold <= shares.size(); first += threshold) {
      std::vector<SecretBytes> some;
      for (size_t i = 0; i < threshold; i++) some.push_back(shares[first + i].clone());
      EXPECT_EQ(combined(some), secret);
    }
    EXPECT_EQ(combined(shares), secret);  // more than enough is fine too
    shares.resize(threshold - 1);
    if (shares.size() >= 2) EXPECT_NE(combined(shares), secret);
  }
}

// Five shares, threshold three, printed by `bao operator init` (OpenBao 2.7.2). What they stand for
// it never shows, but any three have to stand for the same.
TEST(Shamir, CombinesSharesOfOpenBao) {
  const std::vector<SecretBytes> shares = shares_of(
      "da2f89f0e374711041a2dbf3485ac4545842310d71756ac98b2e555ad2c18ac51c,"
      "c6d1c23ecf4c795c0b3de0f4573ccc4fd0ebd3df9a293f30c7ff6afc6ae5a34091,"
      "2d033777ab6e4d1d64a11902517d1e6252a4e7979a52ca75011dadf1782f43f552,"
      "1366fb2a9ebf0b469f9782efe4d7aef5fe07e813b7c35230612262023d0f6d3fa4,"
      "dbd2aa6648411f4013cecc33de3dd07bcedb1b561510a45306aa5a8ba255fc3d39");
  std::set<std::string> secrets;
  for (size_t a = 0; a < 5; a++) {
    for (size_t b = a + 1; b < 5; b++) {
      for (size_t c = b + 1; c < 5; c++) secrets.insert(combined(pick(shares, {a, b, c})));
    }
  }
  ASSERT_EQ(secrets.size(), 1u);
  EXPECT_EQ(secrets.begin()->size(), 32u);
  EXPECT_NE(combined(pick(shares, {0, 1})), *secrets.begin());
}

TEST(Shamir, AnyThresholdOfSharesGivesTheSecretBack) {
  base::SeededRandom random(5);
  const SecretBytes secret = random.secret(32);
  const auto shares = shamir_split(secret, 5, 3, random);
  ASSERT_TRUE(shares.has_value());
  ASSERT_EQ(shares->size(), 5u);
  std::set<char> coordinates;
  for (const SecretBytes& share : *shares) {
    EXPECT_EQ(share.size(), 33u);
    coordinates.insert(share.reveal()[32]);
  }
  EXPECT_EQ(coordinates.size(), 5u);
  EXPECT_FALSE(coordinates.contains('\0'));
  EXPECT_EQ(combined(pick(*shares, {0, 1, 2})), secret.reveal());
  EXPECT_EQ(combined(pick(*shares, {4, 2, 0})), secret.reveal());
  EXPECT_EQ(combined(pick(*shares, {3, 1, 4})), secret.reveal());
  EXPECT_NE(combined(pick(*shares, {0, 1})), secret.reveal());
}

// With one share known and the other free, each secret is as likely as any other.
TEST(Shamir, OneShareOfTwoSaysNothing) {
  base::SeededRandom random(6);
  std::set<unsigned char> seen_for_same_secret;
  for (int i = 0; i < 4000; i++) {
    const auto shares = shamir_split(SecretBytes::copy_of("s"), 2, 2, random);
    seen_for_same_secret.insert(static_cast<unsigned char>((*shares)[0].reveal()[0]));
  }
  EXPECT_EQ(seen_for_same_secret.size(), 256u);
}

TEST(Shamir, SplitRefusesBadCounts) {
  base::SeededRandom random(7);
  const SecretBytes secret = random.secret(32);
  EXPECT_FALSE(shamir_split(secret, 5, 1, random).has_value());
  EXPECT_FALSE(shamir_split(secret, 5, 0, random).has_value());
  EXPECT_FALSE(shamir_split(secret, 5, -3, random).has_value());
  EXPECT_FALSE(shamir_split(secret, 2, 3, random).has_value());
  EXPECT_FALSE(shamir_split(secret, 256, 3, random).has_value());
  EXPECT_FALSE(shamir_split(SecretBytes(), 5, 3, random).has_value());
  EXPECT_TRUE(shamir_split(secret, 255, 255, random).has_value());
}

TEST(Shamir, CombineRefusesWhatAreNoShares) {
  const auto message = [](std::initializer_list<std::string> shares) {
    std::vector<SecretBytes> all;
    for (const std::string& share : shares) all.push_back(SecretBytes::copy_of(share));
    return combined(all);
  };
  EXPECT_EQ(message({}), "error: less than two parts cannot be used to reconstruct the secret");
  EXPECT_EQ(message({"ab"}), "error: less than two parts cannot be used to reconstruct the secret");
  EXPECT_EQ(message({"a", "b"}), "error: parts must be at least two bytes");
  EXPECT_EQ(message({"ab", "abc"}), "error: all parts must be the same length");
  EXPECT_EQ(message({"ax", "bx"}), "error: duplicate part detected");
  EXPECT_EQ(message({"ax", std::string("b\0", 2)}), "error: a part has no coordinate");
}

}  // namespace
}  // namespace rekey::crypto
