#include "crypto/ed25519.h"

#include <gtest/gtest.h>

#include "base/codec.h"
#include "crypto/testing/vectors.h"

namespace rekey::crypto {
namespace {

using base::SecretBytes;
using testing::from_hex;

TEST(Ed25519, AgreesWithRfc8032) {
  for (const auto& fields : testing::read_vectors("crypto/testdata/ed25519.txt")) {
    ASSERT_EQ(fields.size(), 4u);
    const auto key = Ed25519PrivateKey::from_seed(SecretBytes::copy_of(from_hex(fields[0])));
    ASSERT_TRUE(key.has_value());
    EXPECT_EQ(base::hex_encode(key->public_key()), fields[1]);
    const std::string message = from_hex(fields[2]);
    const std::string signature = key->sign(message);
    EXPECT_EQ(base::hex_encode(signature), fields[3]);
    EXPECT_TRUE(ed25519_verify(key->public_key(), message, signature));
    EXPECT_FALSE(ed25519_verify(key->public_key(), message + "x", signature));
  }
}

TEST(Ed25519, RefusesWhatWasChanged) {
  base::SeededRandom random(3);
  const Ed25519PrivateKey key = Ed25519PrivateKey::generate(random);
  const std::string signature = key.sign("message");
  for (size_t at = 0; at < signature.size(); at++) {
    std::string changed = signature;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    EXPECT_FALSE(ed25519_verify(key.public_key(), "message", changed));
  }
  const Ed25519PrivateKey other = Ed25519PrivateKey::generate(random);
  EXPECT_FALSE(ed25519_verify(other.public_key(), "message", signature));
  EXPECT_FALSE(ed25519_verify(key.public_key().substr(1), "message", signature));
  EXPECT_FALSE(ed25519_verify(key.public_key(), "message", signature + "x"));
  EXPECT_FALSE(ed25519_verify("", "", ""));
}

TEST(Ed25519, ComesBackFromItsSeed) {
  base::SeededRandom random(4);
  const Ed25519PrivateKey key = Ed25519PrivateKey::generate(random);
  const auto again = Ed25519PrivateKey::from_seed(key.seed().clone());
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->public_key(), key.public_key());
  EXPECT_FALSE(Ed25519PrivateKey::from_seed(SecretBytes(31)).has_value());
}

}  // namespace
}  // namespace rekey::crypto
