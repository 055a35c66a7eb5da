#include "barrier/keyring.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "base/codec.h"
#include "crypto/testing/memory_scan.h"

namespace rekey::barrier {
namespace {

using base::ErrorKind;
using base::SecretBytes;
using KeyringPtr = std::shared_ptr<const Keyring>;

class KeyringTest : public ::testing::Test {
 protected:
  KeyringPtr make() {
    KeyringPtr keyring = Keyring::generate(random_, clock_.wall());
    keyring->extend_reserve(kEncryptionReserve);
    return keyring;
  }
  std::string encrypt(const Keyring& keyring, std::string_view path, std::string_view plaintext) {
    auto stored = keyring.encrypt(path, plaintext, random_);
    EXPECT_TRUE(stored.has_value());
    return *stored;
  }
  KeyringPtr parsed(const Keyring& keyring, uint64_t reserved) {
    auto again = Keyring::parse(keyring.serialize(reserved).reveal());
    EXPECT_TRUE(again.has_value());
    return *again;
  }

  base::SeededRandom random_{1};
  base::FakeClock clock_;
};

TEST_F(KeyringTest, GivesBackWhatWasEncrypted) {
  const KeyringPtr keyring = make();
  for (const size_t size : {0u, 1u, 15u, 16u, 17u, 300u, 100'000u}) {
    const std::string plaintext = random_.bytes(size);
    const std::string stored = encrypt(*keyring, "logical/kv/a", plaintext);
    EXPECT_EQ(stored.size(), size + kValueOverheadBytes);
    const auto opened = keyring->decrypt("logical/kv/a", stored);
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(*opened, plaintext);
  }
  EXPECT_NE(encrypt(*keyring, "a", "same"), encrypt(*keyring, "a", "same"));
}

TEST_F(KeyringTest, TheFormIsTheDocumentedOne) {
  const KeyringPtr keyring = make()->with_new_term(random_, clock_.wall());
  keyring->extend_reserve(10);
  const std::string stored = encrypt(*keyring, "a", "b");
  EXPECT_EQ(stored[0], 1);
  EXPECT_EQ(base::read_u32(stored.data() + 1), 2u);
  EXPECT_EQ(stored.size(), 1u + 4 + 12 + 1 + 16);
}

TEST_F(KeyringTest, RefusesEveryChangedByte) {
  const KeyringPtr keyring = make()->with_new_term(random_, clock_.wall());
  keyring->extend_reserve(10);
  const std::string stored = encrypt(*keyring, "sys/token/1", "the plaintext of a row");
  for (size_t at = 0; at < stored.size(); at++) {
    for (const int change : {0x01, 0x03, 0x80, 0xff}) {
      std::string changed = stored;
      changed[at] = static_cast<char>(changed[at] ^ change);
      const auto opened = keyring->decrypt("sys/token/1", changed);
      ASSERT_FALSE(opened.has_value()) << "byte " << at;
      EXPECT_EQ(opened.error().kind(), ErrorKind::kCorrupt);
      EXPECT_EQ(opened.error().message(), "stored data failed its integrity check");
      EXPECT_NE(opened.error().detail().find("sys/token/1"), std::string::npos);
    }
  }
}

TEST_F(KeyringTest, RefusesEveryShorterAndLongerForm) {
  const KeyringPtr keyring = make();
  const std::string stored = encrypt(*keyring, "a", "plaintext");
  for (size_t size = 0; size < stored.size(); size++) {
    EXPECT_FALSE(keyring->decrypt("a", stored.substr(0, size)).has_value());
    EXPECT_FALSE(keyring->decrypt("a", stored.substr(stored.size() - size)).has_value());
  }
  EXPECT_FALSE(keyring->decrypt("a", stored + "x").has_value());
}

TEST_F(KeyringTest, RefusesARowMovedToAnotherKey) {
  const KeyringPtr keyring = make();
  const std::string one = encrypt(*keyring, "kv/admin", "one");
  EXPECT_FALSE(keyring->decrypt("kv/user", one).has_value());
  EXPECT_FALSE(keyring->decrypt("kv/admin/", one).has_value());
  EXPECT_FALSE(keyring->decrypt("", one).has_value());
  EXPECT_TRUE(keyring->decrypt("kv/admin", one).has_value());
}

TEST_F(KeyringTest, AnotherStoresKeyringOpensNothing) {
  const std::string stored = encrypt(*make(), "a", "plaintext");
  EXPECT_FALSE(make()->decrypt("a", stored).has_value());
}

TEST_F(KeyringTest, OldTermsStayReadable) {
  const KeyringPtr first = make();
  const std::string old_value = encrypt(*first, "a", "old");
  clock_.advance(std::chrono::hours(1));
  const KeyringPtr second = first->with_new_term(random_, clock_.wall());
  second->extend_reserve(kEncryptionReserve);
  EXPECT_EQ(second->active_term(), 2u);
  EXPECT_EQ(second->install_time(), clock_.wall());
  EXPECT_EQ(second->encryptions(), 0u);
  EXPECT_EQ(*second->decrypt("a", old_value), "old");
  const std::string new_value = encrypt(*second, "a", "new");
  EXPECT_EQ(*second->decrypt("a", new_value), "new");
  EXPECT_FALSE(first->decrypt("a", new_value).has_value());
}

TEST_F(KeyringTest, ComesBackFromItsRow) {
  const KeyringPtr first = make()->with_new_term(random_, clock_.wall());
  first->extend_reserve(5);
  const std::string stored = encrypt(*first, "a", "value");
  const KeyringPtr again = parsed(*first, 5);
  EXPECT_EQ(*again->decrypt("a", stored), "value");
  EXPECT_EQ(again->active_term(), 2u);
  EXPECT_EQ(again->term_count(), 2u);
  EXPECT_EQ(again->install_time(), first->install_time());
  EXPECT_EQ(again->derive("x").reveal(), first->derive("x").reveal());
}

TEST_F(KeyringTest, RefusesARowThatIsNone) {
  const SecretBytes row = make()->with_new_term(random_, clock_.wall())->serialize(1);
  const std::string good(row.reveal());
  EXPECT_TRUE(Keyring::parse(good).has_value());
  for (size_t size = 0; size < good.size(); size++) {
    EXPECT_FALSE(Keyring::parse(good.substr(0, size)).has_value());
  }
  EXPECT_FALSE(Keyring::parse(good + "x").has_value());
  std::string version = good;
  version[0] = 2;
  EXPECT_FALSE(Keyring::parse(version).has_value());
  std::string order = good;
  order[1 + 32 + 4 + 3] = 9;  // the first term's number, now above the second's
  EXPECT_FALSE(Keyring::parse(order).has_value());
  std::string count = good;
  count[1 + 32] = 0x7f;
  EXPECT_FALSE(Keyring::parse(count).has_value());
}

TEST_F(KeyringTest, DerivesByPurposeAndKeepsItThroughRotation) {
  const KeyringPtr first = make();
  const SecretBytes token = first->derive("token-hash");
  EXPECT_EQ(token.size(), 32u);
  EXPECT_NE(token.reveal(), first->derive("audit").reveal());
  EXPECT_EQ(token.reveal(),
            first->with_new_term(random_, clock_.wall())->derive("token-hash").reveal());
  EXPECT_NE(token.reveal(), make()->derive("token-hash").reveal());
}

TEST_F(KeyringTest, CountsAndStopsAtTheReserve) {
  const KeyringPtr keyring = Keyring::generate(random_, clock_.wall());
  EXPECT_FALSE(keyring->encrypt("a", "b", random_).has_value());  // nothing paid for yet
  keyring->extend_reserve(2);
  EXPECT_TRUE(keyring->encrypt("a", "b", random_).has_value());
  EXPECT_TRUE(keyring->encrypt("a", "b", random_).has_value());
  const auto third = keyring->encrypt("a", "b", random_);
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(keyring->encryptions(), 2u);
  keyring->extend_reserve(1);  // never lowers
  EXPECT_EQ(keyring->encryptions_reserved(), 2u);
}

TEST_F(KeyringTest, AfterARestartTheWholeReserveCountsAsUsed) {
  const KeyringPtr keyring = make();
  encrypt(*keyring, "a", "b");
  const KeyringPtr again = parsed(*keyring, kEncryptionReserve);
  EXPECT_EQ(again->encryptions(), kEncryptionReserve);
  EXPECT_FALSE(again->encrypt("a", "b", random_).has_value());
}

TEST_F(KeyringTest, NeverPassesTheBoundOfATerm) {
  const KeyringPtr almost = parsed(*make(), kTermEncryptionsMax - 1);
  almost->extend_reserve(kTermEncryptionsMax + 100);
  EXPECT_TRUE(almost->encrypt("a", "b", random_).has_value());
  EXPECT_FALSE(almost->encrypt("a", "b", random_).has_value());
}

// Both keys that matter: a term's, in its row form and its key schedules, and a derived one's root.
TEST(KeyringMemory, IsWipedWithTheLastReference) {
  if (!crypto::testing::memory_scan_works()) GTEST_SKIP() << "sanitized";
  base::SystemRandom random;
  const base::FakeClock clock;
  KeyringPtr keyring = Keyring::generate(random, clock.wall());
  keyring->extend_reserve(100);
  std::optional<SecretBytes> row = keyring->serialize(100);
  const crypto::testing::Needle root(row->reveal().substr(1, 32));
  const crypto::testing::Needle term(row->reveal().substr(1 + 32 + 4 + 4 + 8 + 8, 32));
  row.reset();
  KeyringPtr other = keyring->with_new_term(random, clock.wall());
  const auto stored = keyring->encrypt("a", "b", random);
  std::thread([&] { EXPECT_TRUE(other->decrypt("a", *stored).has_value()); }).join();
  EXPECT_GE(root.count_in_memory(), 2u);
  EXPECT_GE(term.count_in_memory(), 2u);
  keyring.reset();
  EXPECT_GE(term.count_in_memory(), 1u);  // the younger keyring still reads old values
  other.reset();
  EXPECT_EQ(root.count_in_memory(), 0u);
  EXPECT_EQ(term.count_in_memory(), 0u);
}

}  // namespace
}  // namespace rekey::barrier
