#include "identity/token_store.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "barrier/keyring.h"
#include "base/codec.h"
#include "storage/memory_store.h"

namespace rekey::identity {
namespace {

using Names = std::vector<std::string>;

class TokenStoreTest : public testing::Test {
 protected:
  TokenStoreTest() { keyring_->extend_reserve(1'000'000); }

  // Runs `work` with a Txn and the tokens in it, and commits what it wrote.
  template <class Work>
  void commit(Work work) {
    auto reader = store_.open_reader();
    ASSERT_TRUE(reader.has_value());
    barrier::Txn txn(**reader, *keyring_, random_);
    TokenStore tokens(txn, (*reader)->revision(), keys_, clock_, random_);
    work(txn, tokens);
    if (!txn.has_writes()) return;
    auto batch = txn.take_batch();
    ASSERT_TRUE(batch.has_value());
    ASSERT_TRUE(store_.commit_and_wait(std::move(*batch)).has_value());
  }
  Token make(const Token* parent, int64_t expires_s = 2'000'000'000, std::string_view wanted = {}) {
    Token token;
    token.path = "auth/token/create";
    token.expires_s = expires_s;
    commit([&](auto&, TokenStore& tokens) {
      EXPECT_TRUE(tokens.create(token, parent, wanted).has_value());
    });
    return token;
  }
  // As programs before format 4 of the store made them: an accessor and names of their own.
  Token make_old(const Token* parent) {
    Token token = make(parent);
    commit([&](barrier::Txn& txn, TokenStore&) {
      for (const std::string& key : keys_of(token)) {
        if (key != token_row_key(token.hash) && !key.starts_with("token/due/")) txn.erase(key);
      }
      const std::string hash = base::hex_encode(token.hash);
      token.accessor = random_.base62(24);
      txn.put(token_row_key(token.hash), encode_token(token));
      txn.put("token/accessor/" + token.accessor, token.hash);
      if (parent != nullptr) txn.put("token/child/" + parent->id + "/" + hash, token.accessor);
      txn.put("token/path/auth/token/create/h" + hash, "");
    });
    return token;
  }
  Names all_keys(std::string_view prefix = "token/") {
    return store_.open_reader().value()->scan(prefix, "", 1'000'000).value();
  }
  Names keys_of(const Token& token) {
    Names keys = all_keys();
    std::erase_if(keys, [&](const std::string& key) {
      return !key.ends_with(base::hex_encode(token.hash)) && !key.ends_with(token.accessor);
    });
    return keys;
  }
  std::optional<Token> by_accessor(std::string_view accessor) {
    std::optional<Token> found;
    commit([&](auto&, TokenStore& tokens) { found = tokens.find_by_accessor(accessor).value(); });
    return found;
  }
  Names accessors(std::string_view after, size_t limit) {
    Names found;
    commit([&](auto&, TokenStore& tokens) { found = tokens.accessors(after, limit).value(); });
    return found;
  }
  void sweep_revoked_all() {
    for (bool more = true; more;) {
      commit([&](barrier::Txn& txn, auto&) { more = sweep_revoked(txn, 2).value(); });
    }
  }

  base::FakeClock clock_;
  base::SeededRandom random_{1};
  storage::MemoryStore store_;
  std::shared_ptr<const barrier::Keyring> keyring_ = barrier::Keyring::generate(random_, {});
  TokenKeys keys_{keyring_->derive("token-hash")};
};

TEST_F(TokenStoreTest, IsFoundByItsAccessorAndByTheLeaseThatItIs) {
  const Token parent = make(nullptr), child = make(&parent), old = make_old(&parent);
  const Token chosen = make(&parent, 2'000'000'000, "chosen");
  for (const Token* token : {&parent, &child, &old, &chosen}) {
    EXPECT_EQ(token->accessor.size(), 24u);
    ASSERT_TRUE(by_accessor(token->accessor));
    EXPECT_EQ(by_accessor(token->accessor)->id, token->id);
    commit([&](auto&, TokenStore& tokens) {
      EXPECT_EQ(tokens.find_by_lease_id(lease_id_of(*token)).value()->id, token->id);
      EXPECT_FALSE(tokens.find_by_lease_id(lease_id_of(*token) + "0").value());
    });
  }
  for (std::string wrong : {"", "0", "zzzzzzzzzzzzzzzzzzzzzzzz", "000000000000000000000000"}) {
    EXPECT_FALSE(by_accessor(wrong)) << wrong;
  }
  std::string near = child.accessor;
  near.back() = near.back() == '0' ? '1' : '0';
  EXPECT_FALSE(by_accessor(near));
  EXPECT_EQ(keys_of(parent).size(), 3u);  // id, due, path
  EXPECT_EQ(keys_of(child).size(), 4u);   // and child
  EXPECT_EQ(keys_of(old).size(), 5u);     // and accessor
  EXPECT_EQ(keys_of(chosen).size(), 5u);
}

TEST_F(TokenStoreTest, TokensOfOneParentStandInTheOrderInWhichTheyWereMade) {
  const Token parent = make(nullptr);
  Names ids;
  for (int i = 0; i < 30; i++) ids.push_back(base::hex_encode(make(&parent).hash));
  for (const std::string& prefix : {"token/child/" + parent.id, std::string("token/path/")}) {
    Names found = all_keys(prefix);
    ASSERT_GE(found.size(), ids.size());
    found.erase(found.begin(), found.end() - static_cast<ptrdiff_t>(ids.size()));
    for (size_t i = 0; i < ids.size(); i++) EXPECT_TRUE(found[i].ends_with(ids[i])) << i;
  }
}

TEST_F(TokenStoreTest, AccessorsAreListedInOrderAndByPages) {
  Names expected;
  const auto check = [&] {
    std::ranges::sort(expected);
    EXPECT_EQ(accessors("", 1'000), expected);
    for (const size_t limit : {1, 7}) {
      Names paged;
      for (Names page = accessors("", limit); !page.empty(); page = accessors(page.back(), limit)) {
        paged.insert(paged.end(), page.begin(), page.end());
      }
      EXPECT_EQ(paged, expected);
    }
    for (const std::string after : {"0", "9", ":", "G", "Z", "f0", "fZ", "v", "w", "zz", "~"}) {
      Names behind = expected;
      std::erase_if(behind, [&](const std::string& accessor) { return accessor <= after; });
      EXPECT_EQ(accessors(after, 1'000), behind) << after;
    }
  };
  check();
  for (int i = 0; i < 40; i++) expected.push_back(make(nullptr).accessor);
  check();
  for (int i = 0; i < 20; i++) expected.push_back(make_old(nullptr).accessor);
  check();
}

// Whatever form their rows have, nothing of them is left.
TEST_F(TokenStoreTest, NothingIsLeftOfARevokedLineOrOfWhatExpired) {
  const Token parent = make(nullptr), old_parent = make_old(nullptr);
  for (const Token* one : {&parent, &old_parent}) {
    const Token child = make(one), old_child = make_old(one);
    for (int i = 0; i < 3; i++) make(&child), make_old(&old_child), make(&old_child);
    make(one, 0);
    make(one, 2'000'000'000, "chosen" + one->id);
  }
  for (const Token* one : {&parent, &old_parent}) {
    commit([&](auto&, TokenStore& tokens) { EXPECT_TRUE(tokens.revoke(*one).value()); });
  }
  sweep_revoked_all();
  // Cut-offs are gone too; what stood in the due order is looked at when its time has come.
  Names left = all_keys();
  std::erase_if(left, [](const std::string& key) { return key.starts_with("token/due/"); });
  EXPECT_EQ(left, Names{});
  make(nullptr, 1'000), make_old(nullptr);
  for (bool more = true; more;) {
    commit([&](barrier::Txn& txn, auto&) {
      more = sweep_expired(txn, base::WallTime(std::chrono::seconds(3'000'000'000)), 5).value();
    });
  }
  EXPECT_EQ(all_keys(), Names{});
}

TEST_F(TokenStoreTest, WhatAPathMadeIsCleanedUpByIt) {
  make(nullptr), make_old(nullptr);
  commit([&](auto&, TokenStore& tokens) { tokens.cut_prefix("auth/token/"); });
  for (bool more = true; more;) {
    auto reader = store_.open_reader();
    barrier::Txn txn(**reader, *keyring_, random_);
    more = sweep_cut(**reader, txn, 1).value();
    if (txn.has_writes()) ASSERT_TRUE(store_.commit_and_wait(*txn.take_batch()).has_value());
  }
  EXPECT_EQ(all_keys("token/id/"), Names{});
  EXPECT_EQ(all_keys("token/path/"), Names{});
  EXPECT_EQ(all_keys("token/accessor/"), Names{});
}

}  // namespace
}  // namespace rekey::identity
