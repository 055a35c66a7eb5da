#include "crypto/cipher.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/random.h"
#include "crypto/testing/memory_scan.h"
#include "crypto/testing/vectors.h"

namespace rekey::crypto {
namespace {

using base::SecretBytes;
using testing::from_hex;

std::string sealed_with(Cipher& cipher, std::string_view nonce, std::string_view associated,
                        std::string_view plaintext) {
  std::string out(plaintext.size() + kCipherTagBytes, '\0');
  cipher.seal(nonce, associated, plaintext, out.data());
  return out;
}

TEST(Cipher, AgreesWithOthers) {
  size_t failing = 0;
  for (const auto& fields : testing::read_vectors("crypto/testdata/ciphers.txt")) {
    ASSERT_EQ(fields.size(), 7u);
    const CipherKind kind =
        fields[0] == "aes128" ? CipherKind::kAes128Gcm : CipherKind::kChacha20Poly1305;
    Cipher cipher(kind, SecretBytes::copy_of(from_hex(fields[1])));
    const std::string nonce = from_hex(fields[2]), associated = from_hex(fields[3]);
    std::string opened = "before";
    const auto result = cipher.open(nonce, associated, from_hex(fields[5]), opened);
    if (fields[6] == "fail") {
      failing++;
      EXPECT_FALSE(result.has_value());
      EXPECT_EQ(opened, "before");
      continue;
    }
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(opened, "before" + from_hex(fields[4]));
    EXPECT_EQ(sealed_with(cipher, nonce, associated, from_hex(fields[4])), from_hex(fields[5]));
  }
  EXPECT_GE(failing, 1u);
}

TEST(Cipher, AgreesWithNistFor256Bits) {
  for (const auto& fields : testing::read_vectors("crypto/testdata/nist_aes256_gcm.txt")) {
    Cipher cipher(CipherKind::kAes256Gcm, SecretBytes::copy_of(from_hex(fields[0])));
    std::string opened;
    const auto result = cipher.open(from_hex(fields[1]), from_hex(fields[2]),
                                    from_hex(fields[4]) + from_hex(fields[5]), opened);
    EXPECT_EQ(result.has_value(), fields[6] != "fail");
    if (result) EXPECT_EQ(opened, from_hex(fields[3]));
  }
}

TEST(Cipher, RefusesEveryChangedBit) {
  base::SeededRandom random(1);
  for (const CipherKind kind :
       {CipherKind::kAes128Gcm, CipherKind::kAes256Gcm, CipherKind::kChacha20Poly1305}) {
    Cipher cipher(kind, random.secret(cipher_key_bytes(kind)));
    const std::string nonce = random.bytes(kCipherNonceBytes);
    const std::string sealed = sealed_with(cipher, nonce, "about", "the plaintext");
    std::string out;
    for (size_t bit = 0; bit < sealed.size() * 8; bit++) {
      std::string changed = sealed;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      EXPECT_FALSE(cipher.open(nonce, "about", changed, out).has_value());
    }
    for (size_t size = 0; size < sealed.size(); size++) {
      EXPECT_FALSE(cipher.open(nonce, "about", sealed.substr(0, size), out).has_value());
    }
    EXPECT_FALSE(cipher.open(nonce, "abouT", sealed, out).has_value());
    EXPECT_TRUE(out.empty());
    EXPECT_TRUE(cipher.open(nonce, "about", sealed, out).has_value());  // nothing spoiled it
  }
}

TEST(Cipher, LeavesNothingOfItsKey) {
  if (!testing::memory_scan_works()) GTEST_SKIP() << "sanitized";
  base::SystemRandom random;
  std::optional<SecretBytes> key = random.secret(32);
  const testing::Needle needle(key->reveal());
  {
    Cipher cipher(CipherKind::kAes256Gcm, *key);
    sealed_with(cipher, "123456789012", {}, "plaintext");
    EXPECT_GE(needle.count_in_memory(), 2u);  // the key and the schedule, which begins with it
  }
  key.reset();
  EXPECT_EQ(needle.count_in_memory(), 0u);
}

}  // namespace
}  // namespace rekey::crypto
