#include "barrier/view.h"

#include <gtest/gtest.h>

#include "storage/memory_store.h"

namespace rekey::barrier {
namespace {

using base::ErrorKind;
using Names = std::vector<std::string>;

class ViewTest : public ::testing::Test {
 protected:
  ViewTest() { keyring_->extend_reserve(kEncryptionReserve); }

  // What put, get, erase answer to this key; they have to agree.
  std::string answer(const std::string& key) {
    const auto put = view_.put(key, "x");
    EXPECT_EQ(put.has_value(), view_.get(key).has_value()) << key;
    EXPECT_EQ(put.has_value(), view_.peek(key).has_value()) << key;
    EXPECT_EQ(put.has_value(), view_.erase(key).has_value()) << key;
    return put ? "ok" : put.error().message();
  }

  base::SeededRandom random_{4};
  base::FakeClock clock_;
  storage::MemoryStore store_;
  std::shared_ptr<const Keyring> keyring_ = Keyring::generate(random_, clock_.wall());
  std::unique_ptr<storage::Reader> reader_ = std::move(*store_.open_reader());
  Txn txn_{*reader_, *keyring_, random_};
  View view_{txn_, "logical/kv/"};
};

TEST_F(ViewTest, SeesOnlyItsPrefix) {
  txn_.put("logical/kv/a", "inside");
  txn_.put("logical/other/a", "outside");
  txn_.put("logical/kv-2/a", "outside");
  EXPECT_EQ(**view_.get("a"), "inside");
  EXPECT_EQ(*view_.list(""), Names{"a"});
  ASSERT_TRUE(view_.put("b/c", "new").has_value());
  EXPECT_EQ(**txn_.get("logical/kv/b/c"), "new");
  EXPECT_EQ(*view_.list("b"), Names{"c"});
  EXPECT_EQ(*view_.list("b/"), Names{"c"});
  ASSERT_TRUE(view_.erase("a").has_value());
  EXPECT_FALSE(txn_.get("logical/kv/a")->has_value());
  EXPECT_EQ(**txn_.get("logical/other/a"), "outside");
}

TEST_F(ViewTest, ScansWithoutItsPrefix) {
  txn_.put("logical/kv/a/1", "x");
  txn_.put("logical/kv/a/2", "y");
  txn_.put("logical/kv/b", "z");
  txn_.put("logical/kw", "outside");
  Names keys;
  const auto collect = [&](std::string_view key, std::string_view value) {
    keys.push_back(std::string(key) + "=" + std::string(value));
    return true;
  };
  ASSERT_TRUE(view_.scan("", "", collect).has_value());
  EXPECT_EQ(keys, (Names{"a/1=x", "a/2=y", "b=z"}));
  keys.clear();
  ASSERT_TRUE(view_.scan("a/", "a/1", collect).has_value());
  EXPECT_EQ(keys, (Names{"a/2=y"}));
}

TEST_F(ViewTest, RefusesKeysThatAreNone) {
  EXPECT_EQ(answer(""), "missing key");
  EXPECT_EQ(answer(".."), "relative paths not supported");
  EXPECT_EQ(answer("../other/a"), "relative paths not supported");
  EXPECT_EQ(answer("a/../../other"), "relative paths not supported");
  EXPECT_EQ(answer("a/.."), "relative paths not supported");
  EXPECT_EQ(answer("./a"), "relative paths not supported");
  EXPECT_EQ(answer("/a"), "key contains an empty segment");
  EXPECT_EQ(answer("a//b"), "key contains an empty segment");
  EXPECT_EQ(answer("a/"), "cannot write to a path ending in '/'");
  EXPECT_EQ(answer(std::string("a\0b", 3)), "key contains a NUL byte");
  EXPECT_EQ(answer("a\xff"), "key contains invalid UTF-8 characters");
  EXPECT_EQ(answer(std::string(600, 'a')), "key is too long");
  EXPECT_FALSE(txn_.list("")->size() > 1);
}

// As OpenBao 2.7.2's kv takes them.
TEST_F(ViewTest, TakesKeysThatOnlyLookOdd) {
  for (const char* key : {"a..b", "..a", "a..", ".a", "...", "a b", "ä/ö", "*", "+"}) {
    EXPECT_EQ(answer(key), "ok") << key;
  }
  EXPECT_EQ(answer(std::string(511 - view_.prefix().size(), 'a')), "ok");
  EXPECT_EQ(answer(std::string(512 - view_.prefix().size(), 'a')), "key is too long");
}

TEST_F(ViewTest, ListRefusesFoldersThatAreNone) {
  EXPECT_FALSE(view_.list("../other/").has_value());
  EXPECT_FALSE(view_.list("/").has_value());
  EXPECT_FALSE(view_.list("a//").has_value());
  EXPECT_FALSE(view_.list(std::string("\0", 1)).has_value());
}

TEST_F(ViewTest, APartOfAViewIsAView) {
  View part = view_.sub("versions/");
  ASSERT_TRUE(part.put("1", "x").has_value());
  EXPECT_EQ(**txn_.get("logical/kv/versions/1"), "x");
  EXPECT_FALSE(part.get("../a").has_value());
}

}  // namespace
}  // namespace rekey::barrier
