// UnsealProgress, RekeyOperation and GenerateRoot against a real barrier. The texts were taken from
// OpenBao 2.7.2's answers to the same steps.
#include <gtest/gtest.h>

#include "barrier/barrier.h"
#include "barrier/generate_root.h"
#include "barrier/rekey_operation.h"
#include "barrier/unseal_progress.h"
#include "storage/memory_store.h"

namespace rekey::barrier {
namespace {

using base::SecretBytes;

template <class T>
std::string error_of(const base::Result<T>& result) {
  return result ? "ok" : result.error().message();
}

class ShareOperationsTest : public ::testing::Test {
 protected:
  ShareOperationsTest() {
    auto made = barrier_.initialize(seal_, {.shares = 5, .threshold = 3});
    EXPECT_TRUE(barrier_.unseal(made->root_key).has_value());
    shares_ = std::move(made->shares);
  }
  std::unique_ptr<storage::Reader> reader() { return std::move(*store_.open_reader()); }
  SecretBytes share(size_t i) const { return shares_[i].clone(); }
  SecretBytes wrong(size_t i) const {
    SecretBytes changed = shares_[i].clone();
    changed.reveal_for_writing()[0] ^= 0xff;
    return changed;
  }
  bool opens(std::span<const SecretBytes> shares) {
    const auto key = combine_shares(shares, static_cast<int>(shares.size()));
    return barrier_.verify_unseal_key(*reader(), seal_, *key).has_value();
  }
  // Enough right shares; the answer to the last.
  base::Result<std::optional<RekeyDone>> update_all(RekeyOperation& rekey) {
    const std::string nonce = rekey.status().nonce;
    EXPECT_TRUE(rekey.update(share(0), nonce, 3).has_value());
    EXPECT_TRUE(rekey.update(share(1), nonce, 3).has_value());
    return rekey.update(share(2), nonce, 3);
  }

  base::SeededRandom random_{5};
  base::FakeClock clock_;
  storage::MemoryStore store_;
  ShamirSeal seal_;
  Barrier barrier_{store_, random_, clock_};
  std::vector<SecretBytes> shares_;
};

TEST_F(ShareOperationsTest, UnsealGivesTheKeyAtTheThreshold) {
  UnsealProgress unseal(random_);
  EXPECT_EQ(unseal.nonce(), "");
  EXPECT_FALSE(unseal.add(share(0), 3)->has_value());
  const std::string nonce = unseal.nonce();
  EXPECT_EQ(nonce.size(), 36u);
  EXPECT_FALSE(unseal.add(share(0), 3)->has_value());  // twice: counts once
  EXPECT_EQ(unseal.progress(), 1);
  EXPECT_FALSE(unseal.add(share(4), 3)->has_value());
  EXPECT_EQ(unseal.progress(), 2);
  EXPECT_EQ(unseal.nonce(), nonce);
  const auto key = unseal.add(share(2), 3);
  ASSERT_TRUE(key.has_value() && key->has_value());
  EXPECT_TRUE(barrier_.verify_unseal_key(*reader(), seal_, **key).has_value());
  EXPECT_EQ(unseal.progress(), 0);
  EXPECT_EQ(unseal.nonce(), "");
}

TEST_F(ShareOperationsTest, UnsealRefusesAndStartsOver) {
  UnsealProgress unseal(random_);
  EXPECT_EQ(error_of(unseal.add(SecretBytes(2), 3)),
            "invalid key: key is shorter than minimum 16 bytes");
  EXPECT_EQ(error_of(unseal.add(SecretBytes(34), 3)),
            "invalid key: key is longer than maximum 33 bytes");
  EXPECT_EQ(unseal.progress(), 0);
  ASSERT_TRUE(unseal.add(share(0), 3).has_value());
  const std::string nonce = unseal.nonce();
  unseal.reset();
  EXPECT_EQ(unseal.progress(), 0);
  ASSERT_TRUE(unseal.add(share(0), 3).has_value());
  EXPECT_NE(unseal.nonce(), nonce);
  ASSERT_TRUE(unseal.add(SecretBytes(30), 3).has_value());
  EXPECT_EQ(error_of(unseal.add(share(1), 3)),
            "invalid key: failed to compute combined key: all parts must be the same length");
  EXPECT_EQ(unseal.progress(), 0);
}

TEST_F(ShareOperationsTest, UnsealWithOneShareNeedsNoCombination) {
  UnsealProgress unseal(random_);
  const SecretBytes whole = random_.secret(32);
  const auto key = unseal.add(whole.clone(), 1);
  ASSERT_TRUE(key.has_value() && key->has_value());
  EXPECT_EQ((*key)->reveal(), whole.reveal());
}

TEST_F(ShareOperationsTest, RekeyReplacesTheShares) {
  SealRekeyTarget target(barrier_, seal_, store_);
  RekeyOperation rekey(target, random_);
  EXPECT_FALSE(rekey.status().started);
  EXPECT_EQ(rekey.status().nonce, "");
  ASSERT_TRUE(rekey.start({.counts = {.shares = 3, .threshold = 2}}).has_value());
  EXPECT_TRUE(rekey.status().started);
  EXPECT_EQ(rekey.status().counts, (ShareCounts{.shares = 3, .threshold = 2}));
  const std::string nonce = rekey.status().nonce;
  EXPECT_FALSE(rekey.update(share(0), nonce, 3)->has_value());
  EXPECT_EQ(rekey.status().progress, 1);
  EXPECT_FALSE(rekey.update(share(3), nonce, 3)->has_value());
  const auto done = rekey.update(share(1), nonce, 3);
  ASSERT_TRUE(done.has_value() && done->has_value());
  EXPECT_EQ((*done)->nonce, nonce);
  EXPECT_EQ((*done)->shares.size(), 3u);
  EXPECT_FALSE((*done)->verification_required);
  EXPECT_TRUE(opens(std::span((*done)->shares).first(2)));
  EXPECT_FALSE(opens(std::span(shares_).first(3)));
  EXPECT_FALSE(rekey.status().started);
  EXPECT_EQ(barrier_.seal_config(*reader())->counts, (ShareCounts{.shares = 3, .threshold = 2}));
}

TEST_F(ShareOperationsTest, RekeyRefusesToStart) {
  SealRekeyTarget target(barrier_, seal_, store_);
  RekeyOperation rekey(target, random_);
  EXPECT_EQ(error_of(rekey.start({})),
            "invalid rekey seal configuration: shares must be at least one");
  EXPECT_EQ(error_of(rekey.start({.counts = {3, 5}})),
            "invalid rekey seal configuration: threshold cannot be larger than shares");
  EXPECT_EQ(error_of(rekey.start({.counts = {3, 2}, .backup = true})),
            "cannot request a backup of the new keys without providing PGP keys for encryption");
  EXPECT_EQ(error_of(rekey.start({.counts = {3, 2}, .pgp_keys = 1})),
            "incorrect number of PGP keys for rekey");
  EXPECT_EQ(error_of(rekey.start({.counts = {1, 1}, .pgp_keys = 1})),
            "encrypting shares to PGP keys is not supported");
  EXPECT_FALSE(rekey.status().started);
  ASSERT_TRUE(rekey.start({.counts = {3, 2}}).has_value());
  EXPECT_EQ(error_of(rekey.start({.counts = {3, 2}})), "rekey already in progress");
  rekey.cancel();
  EXPECT_TRUE(rekey.start({.counts = {3, 2}}).has_value());
}

TEST_F(ShareOperationsTest, RekeyRefusesShares) {
  SealRekeyTarget target(barrier_, seal_, store_);
  RekeyOperation rekey(target, random_);
  EXPECT_EQ(error_of(rekey.update(share(0), "x", 3)), "no barrier rekey in progress");
  ASSERT_TRUE(rekey.start({.counts = {3, 2}}).has_value());
  const std::string nonce = rekey.status().nonce;
  EXPECT_EQ(error_of(rekey.update(share(0), "", 3)),
            "incorrect nonce supplied; nonce for this rekey operation is \"" + nonce + "\"");
  EXPECT_EQ(error_of(rekey.update(SecretBytes(2), nonce, 3)),
            "key is shorter than minimum 16 bytes");
  ASSERT_TRUE(rekey.update(share(0), nonce, 3).has_value());
  EXPECT_EQ(error_of(rekey.update(share(0), nonce, 3)),
            "given key has already been provided during this generation operation");
  ASSERT_TRUE(rekey.update(share(1), nonce, 3).has_value());
  EXPECT_FALSE(rekey.update(wrong(2), nonce, 3).has_value());
  EXPECT_EQ(rekey.status().progress, 0);
  EXPECT_EQ(rekey.status().nonce, nonce);  // still in progress
  EXPECT_TRUE(opens(std::span(shares_).first(3)));
  EXPECT_TRUE(update_all(rekey)->has_value());
}

TEST_F(ShareOperationsTest, RekeyWithVerificationCountsOnlyOnceProved) {
  SealRekeyTarget target(barrier_, seal_, store_);
  RekeyOperation rekey(target, random_);
  EXPECT_EQ(error_of(rekey.verify(share(0), "x")), "no rekey in progress");
  EXPECT_EQ(error_of(rekey.verify_status()), "no rekey configuration found");
  EXPECT_EQ(error_of(rekey.restart_verification()), "no rekey configuration found");
  ASSERT_TRUE(rekey.start({.counts = {3, 2}, .require_verification = true}).has_value());
  EXPECT_EQ(error_of(rekey.verify(share(0), "x")), "rekey verification not initialized");
  const auto done = std::move(*update_all(rekey));
  ASSERT_TRUE(done.has_value());
  EXPECT_TRUE(done->verification_required);
  const std::string nonce = done->verification_nonce;
  EXPECT_EQ(rekey.status().verification_nonce, nonce);
  EXPECT_EQ(rekey.status().progress, 0);
  EXPECT_TRUE(opens(std::span(shares_).first(3)));  // the old ones still count
  EXPECT_EQ(error_of(rekey.update(share(0), rekey.status().nonce, 3)),
            "rekey operation already finished; verification must be performed; nonce for the "
            "verification operation is \"" +
                nonce + "\"");
  EXPECT_EQ(error_of(rekey.verify(done->shares[0].clone(), "x")),
            "incorrect nonce supplied; nonce for this verify operation is \"" + nonce + "\"");
  EXPECT_FALSE(*rekey.verify(done->shares[0].clone(), nonce));
  EXPECT_EQ(rekey.verify_status()->progress, 1);
  EXPECT_EQ(error_of(rekey.verify(done->shares[0].clone(), nonce)),
            "given key has already been provided during this verify operation");
  EXPECT_TRUE(*rekey.verify(done->shares[2].clone(), nonce));
  EXPECT_TRUE(opens(std::span(done->shares).first(2)));
  EXPECT_FALSE(opens(std::span(shares_).first(3)));
  EXPECT_FALSE(rekey.status().started);
}

TEST_F(ShareOperationsTest, RekeyVerificationStartsOver) {
  SealRekeyTarget target(barrier_, seal_, store_);
  RekeyOperation rekey(target, random_);
  ASSERT_TRUE(rekey.start({.counts = {3, 2}, .require_verification = true}).has_value());
  const auto done = std::move(*update_all(rekey));
  const std::string first = done->verification_nonce;
  ASSERT_TRUE(rekey.verify(done->shares[0].clone(), first).has_value());
  SecretBytes changed = done->shares[1].clone();
  changed.reveal_for_writing()[3] ^= 1;
  EXPECT_EQ(error_of(rekey.verify(std::move(changed), first)),
            "rekey verification failed; incorrect key shares supplied");
  const std::string second = rekey.verify_status()->nonce;
  EXPECT_NE(second, first);
  EXPECT_EQ(rekey.verify_status()->progress, 0);
  const std::string third = rekey.restart_verification()->nonce;
  EXPECT_NE(third, second);
  rekey.cancel();
  EXPECT_EQ(error_of(rekey.verify_status()), "no rekey configuration found");
  EXPECT_TRUE(opens(std::span(shares_).first(3)));
}

TEST_F(ShareOperationsTest, GenerateRootGivesTheTokenToWhoHasThePassword) {
  GenerateRoot root(random_);
  const auto started = root.start("");
  ASSERT_TRUE(started.has_value());
  EXPECT_EQ(started->otp.size(), 28u);
  EXPECT_EQ(root.status().otp, "");  // shown once
  const std::string nonce = started->nonce;
  const GenerateRoot::Actions actions{
      .authorise =
          [&](const SecretBytes& key) { return barrier_.verify_unseal_key(*reader(), seal_, key); },
      .make_token = [] { return base::Result<std::string>("hvs.abcdefghijklmnopqrstuvwx"); }};
  EXPECT_EQ(root.update(share(4), nonce, 3, actions)->progress, 1);
  EXPECT_EQ(root.update(share(1), nonce, 3, actions)->progress, 2);
  const auto done = root.update(share(0), nonce, 3, actions);
  ASSERT_TRUE(done.has_value());
  EXPECT_TRUE(done->complete);
  EXPECT_EQ(done->progress, 3);
  EXPECT_EQ(done->nonce, nonce);
  EXPECT_EQ(*decode_root_token(done->encoded_token, started->otp), "hvs.abcdefghijklmnopqrstuvwx");
  EXPECT_FALSE(root.status().started);
}

TEST_F(ShareOperationsTest, GenerateRootRefuses) {
  GenerateRoot root(random_);
  int tokens_made = 0;
  const GenerateRoot::Actions actions{
      .authorise =
          [&](const SecretBytes& key) { return barrier_.verify_unseal_key(*reader(), seal_, key); },
      .make_token =
          [&] {
            tokens_made++;
            return base::Result<std::string>(std::string(28, 't'));
          }};
  EXPECT_EQ(error_of(root.update(share(0), "", 3, actions)), "no root generation in progress");
  EXPECT_EQ(error_of(root.start("abc")), "OTP string has incorrect length");
  const std::string otp(28, 'p');
  ASSERT_TRUE(root.start(otp).has_value());
  EXPECT_EQ(error_of(root.start(otp)), "root generation already in progress");
  const std::string nonce = root.status().nonce;
  EXPECT_TRUE(root.is_nonce(nonce));
  EXPECT_FALSE(root.is_nonce(""));
  EXPECT_EQ(
      error_of(root.update(share(0), "x", 3, actions)),
      "incorrect nonce supplied; nonce for this root generation operation is \"" + nonce + "\"");
  ASSERT_TRUE(root.update(share(0), nonce, 3, actions).has_value());
  EXPECT_EQ(error_of(root.update(share(0), nonce, 3, actions)),
            "given key has already been provided during this generation operation");
  ASSERT_TRUE(root.update(share(1), nonce, 3, actions).has_value());
  EXPECT_EQ(error_of(root.update(wrong(2), nonce, 3, actions)),
            "root generation aborted: unable to authenticate: unable to retrieve stored keys: "
            "invalid key: failed to decrypt keys from storage: cipher: message authentication "
            "failed");
  EXPECT_EQ(tokens_made, 0);
  EXPECT_EQ(root.status().progress, 0);
  EXPECT_EQ(root.status().nonce, nonce);
  root.cancel();
  EXPECT_FALSE(root.status().started);
  EXPECT_EQ(error_of(root.update(share(0), nonce, 3, actions)), "no root generation in progress");
}

// OpenBao 2.7.2 answered encoded_token to the password abcdefghijklmnopqrstuvwxyz.
TEST(EncodedRootToken, IsOpenBaosForm) {
  const auto token =
      decode_root_token("Ekw1NxMNLSAjDjNbPlkrBiUjIjMBHgYRTgs", "abcdefghijklmnopqrstuvwxyz");
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(token->substr(0, 2), "s.");
  EXPECT_EQ(token->size(), 26u);
  EXPECT_EQ(*encode_root_token(*token, "abcdefghijklmnopqrstuvwxyz"),
            "Ekw1NxMNLSAjDjNbPlkrBiUjIjMBHgYRTgs");
  EXPECT_FALSE(decode_root_token("Ekw1", "abc?").has_value());
  EXPECT_FALSE(decode_root_token("?", "a").has_value());
  EXPECT_FALSE(encode_root_token("ab", "a").has_value());
}

}  // namespace
}  // namespace rekey::barrier
