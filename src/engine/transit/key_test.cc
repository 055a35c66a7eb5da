#include "engine/transit/key.h"

#include <gtest/gtest.h>

#include "base/codec.h"

namespace rekey::engine::transit {
namespace {

constexpr KeyType kTypes[] = {
    KeyType::kAes128Gcm96, KeyType::kAes256Gcm96, KeyType::kChacha20Poly1305,
    KeyType::kEd25519,     KeyType::kEcdsaP256,   KeyType::kEcdsaP384,
    KeyType::kEcdsaP521,   KeyType::kRsa2048,     KeyType::kHmac};

class KeyTest : public ::testing::Test {
 protected:
  KeySettings settings_of(KeyType type) {
    KeySettings s;
    s.type = type;
    s.latest = 1;
    s.hmac_key_bytes = type == KeyType::kHmac ? 40 : 0;
    return s;
  }
  base::FakeClock clock_;
  base::SeededRandom random_{1};
};

TEST_F(KeyTest, SettingsComeBack) {
  KeySettings s = settings_of(KeyType::kEcdsaP384);
  s.latest = 9;
  s.min_decryption = 4;
  s.min_encryption = 5;
  s.min_available = 3;
  s.auto_rotate_s = 7200;
  s.exportable = s.plaintext_backup = s.imported = true;
  s.allow_rotation = false;
  s.rotated = clock_.wall();
  s.backup = CopyInfo{clock_.wall(), 8};
  const auto back = decode_settings(encode(s));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(encode(*back), encode(s));
  EXPECT_EQ(back->oldest(), 3u);
  EXPECT_FALSE(back->rotatable());
  EXPECT_EQ(back->backup->version, 8u);
}

TEST_F(KeyTest, RefusesRowsThatAreNone) {
  for (const char* text : {"", "[]", "{}", R"({"type":"x","latest":1,"min_decryption":1})",
                           R"({"type":"hmac","latest":1,"min_decryption":2})",
                           R"({"type":"hmac","latest":0,"min_decryption":0})"}) {
    EXPECT_FALSE(decode_settings(text).has_value()) << text;
  }
  for (const char* text : {"", "{}", R"({"key":"%","hmac_key":"AAAA"})", R"({"key":"AAAA"})",
                           R"({"hmac_key":"AAAA"})"}) {
    EXPECT_FALSE(decode_version(text).has_value()) << text;
  }
}

TEST_F(KeyTest, EachTypeMakesVersionsThatComeBack) {
  for (const KeyType type : kTypes) {
    const KeySettings s = settings_of(type);
    const KeyVersion made = make_version(s, clock_.wall(), random_);
    const auto back = decode_version(encode(made));
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->key.reveal(), made.key.reveal());
    EXPECT_EQ(back->hmac_key.reveal(), made.hmac_key.reveal());
    EXPECT_EQ(back->created, made.created);
    EXPECT_EQ(back->public_text.empty(), !s.info().pair.has_value());
    if (type == KeyType::kHmac) EXPECT_EQ(made.hmac_key.reveal(), made.key.reveal());
    if (!s.info().pair) continue;
    const auto pair = pair_of(s.info(), *back);
    ASSERT_TRUE(pair.has_value());
    EXPECT_TRUE(pair->has_private());
  }
}

TEST_F(KeyTest, TakesOverOnlyWhatFitsItsType) {
  for (const KeyType type : kTypes) {
    const KeySettings s = settings_of(type);
    const KeyVersion made = make_version(s, clock_.wall(), random_);
    base::SecretBytes outside = made.key.clone();
    if (s.info().pair) outside = pair_of(s.info(), made)->private_der();
    for (const KeyType other : kTypes) {
      const auto adopted =
          adopt_version(settings_of(other), outside.clone(), clock_.wall(), random_);
      const bool same_form =
          type == other ||
          (!s.info().pair && !info_of(other).pair && type != KeyType::kAes128Gcm96 &&
           other != KeyType::kAes128Gcm96 && type != KeyType::kHmac && other != KeyType::kHmac);
      EXPECT_EQ(adopted.has_value(), same_form) << s.info().name << " as " << info_of(other).name;
    }
    EXPECT_FALSE(adopt_version(s, base::SecretBytes::copy_of("short"), clock_.wall(), random_));
  }
}

TEST_F(KeyTest, APublicHalfIsAVersionToo) {
  const auto pair = crypto::KeyPair::generate(crypto::KeyPairKind::kP256);
  const auto half = crypto::KeyPair::from_public_pem(pair.public_pem());
  const auto version =
      adopt_public(settings_of(KeyType::kEcdsaP256), *half, clock_.wall(), random_);
  ASSERT_TRUE(version.has_value());
  const auto back = decode_version(encode(*version));
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(back->key.empty());
  EXPECT_FALSE(pair_of(info_of(KeyType::kEcdsaP256), *back)->has_private());
  EXPECT_FALSE(adopt_public(settings_of(KeyType::kEcdsaP384), *half, clock_.wall(), random_));
  EXPECT_FALSE(adopt_public(settings_of(KeyType::kHmac), *half, clock_.wall(), random_));
}

TEST_F(KeyTest, IsDueByItsAge) {
  KeySettings s = settings_of(KeyType::kAes256Gcm96);
  s.rotated = clock_.wall();
  EXPECT_FALSE(s.rotation_due(clock_.wall() + std::chrono::hours(24 * 365)));
  s.auto_rotate_s = 3600;
  EXPECT_FALSE(s.rotation_due(clock_.wall() + std::chrono::seconds(3599)));
  EXPECT_TRUE(s.rotation_due(clock_.wall() + std::chrono::seconds(3600)));
  s.imported = true;
  s.allow_rotation = false;
  EXPECT_FALSE(s.rotation_due(clock_.wall() + std::chrono::hours(2)));
}

TEST(KeyNames, AreVaults) {
  for (const char* name : {"a", "ab", "a-b", "a.b_c", "_", "0"}) EXPECT_TRUE(is_key_name(name));
  for (const char* name : {"", "-", "-a", "a-", "a.", "a b", "a/b", "ä", ".."}) {
    EXPECT_FALSE(is_key_name(name)) << name;
  }
}

}  // namespace
}  // namespace rekey::engine::transit
