#include "engine/transit/backup.h"

#include <gtest/gtest.h>

#include "base/codec.h"
#include "crypto/testing/vectors.h"

namespace rekey::engine::transit {
namespace {

using base::Json;
using base::JsonObject;

KeyCopy some_copy() {
  base::SeededRandom random(1);
  base::FakeClock clock;
  KeyCopy copy{.name = "k"};
  copy.settings.type = KeyType::kEcdsaP256;
  copy.settings.latest = 4;
  copy.settings.min_decryption = 3;
  copy.settings.min_available = 2;
  copy.settings.exportable = true;
  copy.settings.auto_rotate_s = 7200;
  for (uint32_t number = 2; number <= 4; number++) {
    copy.versions.emplace(number, make_version(copy.settings, clock.wall(), random));
    clock.advance(std::chrono::hours(1));
  }
  return copy;
}

std::string changed(const std::string& backup, const std::function<void(JsonObject&)>& change) {
  Json whole = *Json::parse(*base::base64_decode(backup));
  change(*whole.as_object()->find("policy")->as_object());
  return base::base64_encode(whole.dump());
}

TEST(Backup, ComesBackWhole) {
  const KeyCopy copy = some_copy();
  const auto text = encode_backup(copy);
  ASSERT_TRUE(text.has_value());
  const auto back = decode_backup(*text);
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(back->name, "k");
  EXPECT_EQ(back->versions.size(), 3u);
  EXPECT_EQ(back->settings.rotated, copy.versions.at(4).created);
  for (const auto& [number, version] : copy.versions) {
    EXPECT_EQ(back->versions.at(number).key.reveal(), version.key.reveal());
    EXPECT_EQ(back->versions.at(number).hmac_key.reveal(), version.hmac_key.reveal());
  }
  EXPECT_EQ(*encode_backup(*back), *text);
}

// OpenBao's own, of every type that both have; what they encrypt is tried in src/app.
TEST(Backup, ReadsOpenBaos) {
  size_t count = 0;
  for (const auto& fields : crypto::testing::read_vectors("engine/transit/testdata/openbao.txt")) {
    ASSERT_EQ(fields.size(), 7u);
    const auto copy = decode_backup(fields[2]);
    ASSERT_TRUE(copy.has_value()) << fields[1] << ": " << copy.error().message();
    EXPECT_EQ(copy->name, fields[1]);
    // What we write of it is read back as the same.
    const auto again = decode_backup(*encode_backup(*copy));
    ASSERT_TRUE(again.has_value()) << fields[1] << ": " << again.error().message();
    EXPECT_EQ(*encode_backup(*again), *encode_backup(*copy));
    count++;
  }
  EXPECT_GT(count, 30u);
}

TEST(Backup, RefusesWhatIsNone) {
  const std::string good = *encode_backup(some_copy());
  ASSERT_TRUE(decode_backup(good).has_value());
  for (const char* text : {"", "%", "bm9uc2Vuc2U=", "e30=", "eyJwb2xpY3kiOiAxfQ=="}) {
    EXPECT_FALSE(decode_backup(text).has_value()) << text;
  }
  const std::function<void(JsonObject&)> changes[] = {
      [](JsonObject& policy) { policy.set("type", 77); },
      [](JsonObject& policy) { policy.set("type", 6); },  // another curve
      [](JsonObject& policy) { policy.set("derived", true); },
      [](JsonObject& policy) { policy.set("latest_version", 5); },
      [](JsonObject& policy) { policy.set("latest_version", 0); },
      [](JsonObject& policy) { policy.set("latest_version", int64_t{1} << 40); },
      [](JsonObject& policy) { policy.set("min_decryption_version", 9); },
      [](JsonObject& policy) { policy.set("min_available_version", -1); },
      [](JsonObject& policy) {
        policy.find("keys")->find("4");
        JsonObject& version = *policy.find("keys")->as_object()->find("4")->as_object();
        version.set("ec_d", 12345);  // not this public key's
      },
      [](JsonObject& policy) {
        JsonObject& version = *policy.find("keys")->as_object()->find("4")->as_object();
        version.set("hmac_key", nullptr);
      },
  };
  for (size_t i = 0; i < std::size(changes); i++) {
    EXPECT_FALSE(decode_backup(changed(good, changes[i])).has_value()) << i;
  }
}

}  // namespace
}  // namespace rekey::engine::transit
