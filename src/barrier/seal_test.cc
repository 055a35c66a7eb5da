#include "barrier/seal.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/codec.h"

namespace rekey::barrier {
namespace {

using base::ErrorKind;
using base::SecretBytes;

std::string counts_answer(int shares, int threshold) {
  const auto valid = check_share_counts({.shares = shares, .threshold = threshold});
  return valid ? "ok" : valid.error().message();
}

// Each text was taken from OpenBao 2.7.2's answer to sys/init with these numbers.
TEST(ShareCounts, AreJudgedAsByOpenBao) {
  EXPECT_EQ(counts_answer(0, 0), "shares must be at least one");
  EXPECT_EQ(counts_answer(0, 1), "shares must be at least one");
  EXPECT_EQ(counts_answer(-1, 4), "shares must be at least one");
  EXPECT_EQ(counts_answer(1, 0), "threshold must be at least one");
  EXPECT_EQ(counts_answer(3, 1), "threshold must be greater than one for multiple shares");
  EXPECT_EQ(counts_answer(300, 1), "threshold must be greater than one for multiple shares");
  EXPECT_EQ(counts_answer(256, 4), "shares must be less than 256");
  EXPECT_EQ(counts_answer(255, 256), "threshold must be less than 256");
  EXPECT_EQ(counts_answer(3, 4), "threshold cannot be larger than shares");
  EXPECT_EQ(counts_answer(1, 1), "ok");
  EXPECT_EQ(counts_answer(5, 3), "ok");
  EXPECT_EQ(counts_answer(255, 255), "ok");
}

TEST(DecodeShare, TakesHexAndBase64) {
  const std::string bytes = "\x01\x02\xff and thirty more bytes of share";
  EXPECT_EQ(decode_share(base::hex_encode(bytes))->reveal(), bytes);
  EXPECT_EQ(decode_share(base::base64_encode(bytes))->reveal(), bytes);
  for (const std::string& bad :
       {std::string("zz"), std::string(), std::string("?"), std::string(4096, 'a')}) {
    const auto share = decode_share(bad);
    ASSERT_FALSE(share.has_value());
    EXPECT_EQ(share.error().message(), "'key' must be a valid hex or base64 string");
  }
}

TEST(DecodeShare, LengthsAreVaults) {
  EXPECT_EQ(check_share_length(SecretBytes(15)).error().message(),
            "key is shorter than minimum 16 bytes");
  EXPECT_EQ(check_share_length(SecretBytes(34)).error().message(),
            "key is longer than maximum 33 bytes");
  EXPECT_TRUE(check_share_length(SecretBytes(16)).has_value());
  EXPECT_TRUE(check_share_length(SecretBytes(33)).has_value());
}

class SealTest : public ::testing::Test {
 protected:
  SealTest() {
    char path[] = "/tmp/rekey-seal-test-XXXXXX";
    folder_ = mkdtemp(path);
  }
  ~SealTest() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& contents, mode_t mode) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << contents;
    chmod(path.c_str(), mode);
    return path;
  }
  std::string open_error(const std::string& path) {
    const auto seal = StaticKeySeal::open(path);
    return seal ? "ok" : seal.error().message();
  }

  base::SeededRandom random_{2};
  SecretBytes root_key_ = random_.secret(kRootKeyBytes);
  std::string folder_;
};

TEST_F(SealTest, ShamirWrapsUnderWhatItsSharesCombineTo) {
  const ShamirSeal seal;
  const auto wrapped = seal.wrap(root_key_, {.shares = 5, .threshold = 3}, random_);
  ASSERT_TRUE(wrapped.has_value());
  ASSERT_EQ(wrapped->shares.size(), 5u);
  EXPECT_EQ(wrapped->shares[0].size(), 33u);
  const auto config = SealConfig::parse(wrapped->config.dump());
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->counts, (ShareCounts{.shares = 5, .threshold = 3}));
  EXPECT_EQ(config->nonce, wrapped->config.nonce);
  const auto key = combine_shares(std::span(wrapped->shares).subspan(1, 3), 3);
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(seal.unwrap(*config, *key)->reveal(), root_key_.reveal());
  // The root key isn't in the row in the clear.
  EXPECT_EQ(wrapped->config.wrapped_root_key.find(root_key_.reveal()), std::string::npos);
}

TEST_F(SealTest, ShamirWithOneShareGivesTheUnsealKeyItself) {
  const ShamirSeal seal;
  const auto wrapped = seal.wrap(root_key_, {.shares = 1, .threshold = 1}, random_);
  ASSERT_TRUE(wrapped.has_value());
  ASSERT_EQ(wrapped->shares.size(), 1u);
  EXPECT_EQ(wrapped->shares[0].size(), 32u);
  EXPECT_EQ(seal.unwrap(wrapped->config, wrapped->shares[0])->reveal(), root_key_.reveal());
}

TEST_F(SealTest, ShamirRefusesAnotherKeyAndBadCounts) {
  const ShamirSeal seal;
  const auto wrapped = seal.wrap(root_key_, {.shares = 1, .threshold = 1}, random_);
  for (const size_t size : {0u, 16u, 32u, 33u}) {
    const auto opened = seal.unwrap(wrapped->config, random_.secret(size));
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().kind(), ErrorKind::kInvalid);
  }
  EXPECT_FALSE(seal.wrap(root_key_, {.shares = 2, .threshold = 3}, random_).has_value());
}

// What stands in the row in the clear decides how many shares are asked for and of which set.
TEST_F(SealTest, NothingInTheRowCanBeChangedByItself) {
  const ShamirSeal seal;
  const auto wrapped = seal.wrap(root_key_, {.shares = 1, .threshold = 1}, random_);
  const SecretBytes& key = wrapped->shares[0];
  const auto opens = [&](auto change) {
    SealConfig config = wrapped->config;
    change(config);
    return seal.unwrap(config, key).has_value();
  };
  EXPECT_TRUE(opens([](SealConfig&) {}));
  EXPECT_FALSE(opens([](SealConfig& config) { config.counts.threshold = 2; }));
  EXPECT_FALSE(opens([](SealConfig& config) { config.counts.shares = 2; }));
  EXPECT_FALSE(opens([](SealConfig& config) { config.nonce += "x"; }));
  EXPECT_FALSE(opens([](SealConfig& config) { config.key_id = "x"; }));
  EXPECT_FALSE(opens([](SealConfig& config) { config.type = "static"; }));
  for (size_t at = 0; at < wrapped->config.wrapped_root_key.size(); at++) {
    EXPECT_FALSE(opens([at](SealConfig& config) { config.wrapped_root_key[at] ^= 1; }));
  }
}

TEST_F(SealTest, RefusesARowThatIsNone) {
  const std::string good = ShamirSeal().wrap(root_key_, {1, 1}, random_)->config.dump();
  for (const std::string& bad :
       {std::string(), std::string("{}"), std::string("[]"), good.substr(0, good.size() - 1),
        std::string(R"({"version":2,"type":"shamir","shares":1,"threshold":1,"root_key":"AAAA"})"),
        std::string(R"({"version":1,"type":"shamir","shares":300,"threshold":1,"root_key":"AA"})"),
        std::string(R"({"version":1,"type":"shamir","shares":1,"threshold":1,"root_key":"?"})")}) {
    const auto config = SealConfig::parse(bad);
    ASSERT_FALSE(config.has_value()) << bad;
    EXPECT_EQ(config.error().kind(), ErrorKind::kCorrupt);
  }
}

TEST_F(SealTest, StaticKeyOpensByItself) {
  const auto seal = StaticKeySeal::create(folder_ + "/key", random_);
  ASSERT_TRUE(seal.has_value());
  struct stat status{};
  ASSERT_EQ(stat((folder_ + "/key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const auto wrapped = (*seal)->wrap(root_key_, {}, random_);
  ASSERT_TRUE(wrapped.has_value());
  EXPECT_TRUE(wrapped->shares.empty());
  const auto again = StaticKeySeal::open(folder_ + "/key");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ((*again)->key_id(), (*seal)->key_id());
  const auto config = SealConfig::parse(wrapped->config.dump());
  EXPECT_EQ((*again)->unwrap(*config, SecretBytes())->reveal(), root_key_.reveal());
  EXPECT_FALSE(StaticKeySeal::create(folder_ + "/key", random_).has_value());  // never overwrites
}

TEST_F(SealTest, StaticKeyOfAnotherStoreIsNamed) {
  const auto one = StaticKeySeal::create(folder_ + "/one", random_);
  const auto two = StaticKeySeal::create(folder_ + "/two", random_);
  const auto wrapped = (*one)->wrap(root_key_, {}, random_);
  const auto opened = (*two)->unwrap(wrapped->config, SecretBytes());
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().kind(), ErrorKind::kPrecondition);
  EXPECT_NE(opened.error().detail().find((*one)->key_id()), std::string::npos);
  EXPECT_FALSE(ShamirSeal().unwrap(wrapped->config, random_.secret(32)).has_value());
}

TEST_F(SealTest, StaticKeyThatIsReplacedStillOpens) {
  auto old = StaticKeySeal::create(folder_ + "/old", random_);
  const auto wrapped = (*old)->wrap(root_key_, {}, random_);
  const auto seal = StaticKeySeal::create(folder_ + "/new", random_);
  EXPECT_FALSE((*seal)->is_outdated(wrapped->config));
  EXPECT_FALSE((*seal)->unwrap(wrapped->config, SecretBytes()));
  (*seal)->set_previous(std::move(*old));
  EXPECT_TRUE((*seal)->is_outdated(wrapped->config));
  EXPECT_EQ((*seal)->unwrap(wrapped->config, SecretBytes())->reveal(), root_key_.reveal());
  const auto renewed = (*seal)->wrap(root_key_, {}, random_);
  EXPECT_FALSE((*seal)->is_outdated(renewed->config));
  EXPECT_EQ((*seal)->unwrap(renewed->config, SecretBytes())->reveal(), root_key_.reveal());
  const auto third = StaticKeySeal::create(folder_ + "/third", random_);
  const auto foreign = (*third)->wrap(root_key_, {}, random_);
  EXPECT_FALSE((*seal)->is_outdated(foreign->config));
  EXPECT_FALSE((*seal)->unwrap(foreign->config, SecretBytes()));
}

TEST_F(SealTest, StaticKeyFileMayBeRawHexOrBase64) {
  const std::string key = random_.bytes(32);
  const auto id = (*StaticKeySeal::open(file("raw", key, 0600)))->key_id();
  EXPECT_EQ((*StaticKeySeal::open(file("hex", base::hex_encode(key) + "\n", 0400)))->key_id(), id);
  EXPECT_EQ((*StaticKeySeal::open(file("b64", base::base64_encode(key), 0600)))->key_id(), id);
  EXPECT_NE(open_error(file("short", "abc", 0600)).find("must hold 32 bytes"), std::string::npos);
  EXPECT_NE(open_error(file("empty", "", 0600)).find("must hold 32 bytes"), std::string::npos);
  EXPECT_NE(open_error(file("long", std::string(500, 'a'), 0600)).find("must hold 32 bytes"),
            std::string::npos);
}

TEST_F(SealTest, StaticKeyFileMustBePrivate) {
  const std::string key = random_.bytes(32);
  for (const mode_t mode : {0640u, 0604u, 0620u, 0666u, 0601u}) {
    EXPECT_NE(open_error(file("wide", key, mode)).find("chmod 600"), std::string::npos) << mode;
  }
  EXPECT_NE(open_error(folder_ + "/absent").find("can't be opened: No such file"),
            std::string::npos);
  EXPECT_NE(open_error(folder_).find("is not a regular file"), std::string::npos);
  std::filesystem::create_symlink(file("real", key, 0600), folder_ + "/link");
  EXPECT_NE(open_error(folder_ + "/link").find("can't be opened"), std::string::npos);
}

}  // namespace
}  // namespace rekey::barrier
