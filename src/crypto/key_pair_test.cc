#include "crypto/key_pair.h"

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "crypto/digest.h"
#include "crypto/testing/vectors.h"
#include "crypto/x509.h"

namespace rekey::crypto {
namespace {

using base::SecretBytes;
using testing::from_hex;
using testing::read_vectors;

constexpr KeyPairKind kKinds[] = {KeyPairKind::kEd25519, KeyPairKind::kP256, KeyPairKind::kP384,
                                  KeyPairKind::kP521, KeyPairKind::kRsa2048};

// RSA keys take their time: one for all tests.
const KeyPair& rsa_key() {
  static const KeyPair key = KeyPair::generate(KeyPairKind::kRsa2048);
  return key;
}
KeyPair make(KeyPairKind kind) {
  if (kind != KeyPairKind::kRsa2048) return KeyPair::generate(kind);
  return std::move(*KeyPair::from_private_der(rsa_key().private_der().reveal()));
}

TEST(KeyPair, VerifiesWhatNistSignedWithEcdsa) {
  const std::map<std::string, KeyPairKind> curves = {
      {"P-256", KeyPairKind::kP256}, {"P-384", KeyPairKind::kP384}, {"P-521", KeyPairKind::kP521}};
  for (const auto& f : read_vectors("crypto/testdata/nist_ecdsa.txt")) {
    ASSERT_EQ(f.size(), 7u);
    const KeyPairKind kind = curves.at(f[0]);
    const auto key = KeyPair::from_numbers(kind, EcNumbers{.x = f[2], .y = f[3]});
    if (!key) {  // "Q changed" may leave a point that is not on the curve
      EXPECT_EQ(f[6], "fail");
      continue;
    }
    EXPECT_FALSE(key->has_private());
    const auto digest = digest_or_sha1(f[1], from_hex(f[4]));
    ASSERT_TRUE(digest.has_value());
    const auto der = ecdsa_to_der(kind, from_hex(f[5]));
    ASSERT_TRUE(der.has_value());
    EXPECT_EQ(*ecdsa_to_fixed(kind, *der), from_hex(f[5]));
    const auto valid = key->verify({.hash = f[1]}, *digest, *der);
    ASSERT_TRUE(valid.has_value());
    EXPECT_EQ(*valid, f[6] == "ok") << f[0] << " " << f[1];
  }
}

TEST(KeyPair, VerifiesWhatNistSignedWithRsa) {
  size_t good = 0;
  for (const auto& f : read_vectors("crypto/testdata/nist_rsa_signatures.txt")) {
    ASSERT_EQ(f.size(), 8u);
    RsaNumbers numbers;
    numbers.n = f[3];
    numbers.e = f[4];
    const auto key = KeyPair::from_numbers(numbers);
    ASSERT_TRUE(key.has_value());
    const auto digest = digest_or_sha1(f[1], from_hex(f[5]));
    SignatureScheme scheme{.hash = f[1],
                           .padding = f[0] == "pss" ? Padding::kPss : Padding::kPkcs1,
                           .salt_bytes = std::stoi(f[2])};
    const auto valid = key->verify(scheme, *digest, from_hex(f[6]));
    ASSERT_TRUE(valid.has_value());
    EXPECT_EQ(*valid, f[7] == "ok") << f[0] << " " << f[1];
    if (!*valid || f[0] != "pss") continue;
    good++;
    scheme.salt_bytes = kPssSaltAuto;
    EXPECT_TRUE(*key->verify(scheme, *digest, from_hex(f[6])));
    scheme.salt_bytes = kPssSaltHash;
    EXPECT_FALSE(*key->verify(scheme, *digest, from_hex(f[6])));
  }
  EXPECT_EQ(good, 15u);
}

TEST(KeyPair, OpensWhatOthersEncrypted) {
  for (const auto& f : read_vectors("crypto/testdata/oaep.txt")) {
    ASSERT_EQ(f.size(), 11u);
    const auto key = KeyPair::from_numbers(RsaNumbers{.n = f[1],
                                                      .e = f[2],
                                                      .d = f[3],
                                                      .p = f[4],
                                                      .q = f[5],
                                                      .dp = f[6],
                                                      .dq = f[7],
                                                      .qinv = f[8]});
    ASSERT_TRUE(key.has_value());
    EXPECT_TRUE(key->check());
    const auto opened = key->decrypt_oaep(f[0], from_hex(f[10]));
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->reveal(), from_hex(f[9]));
    EXPECT_FALSE(key->decrypt_oaep("sha2-384", from_hex(f[10])).has_value());
    EXPECT_FALSE(key->decrypt_oaep(f[0], from_hex(f[10]).substr(1)).has_value());
    const auto sealed = key->encrypt_oaep(f[0], "hello");
    ASSERT_TRUE(sealed.has_value());
    EXPECT_EQ(key->decrypt_oaep(f[0], *sealed)->reveal(), "hello");
  }
}

TEST(KeyPair, Ed25519AgreesWithRfc8032) {
  for (const auto& f : read_vectors("crypto/testdata/ed25519.txt")) {
    const auto key = KeyPair::from_seed(SecretBytes::copy_of(from_hex(f[0])));
    ASSERT_TRUE(key.has_value());
    EXPECT_EQ(key->ed25519_public(), from_hex(f[1]));
    EXPECT_EQ(*key->sign({}, from_hex(f[2])), from_hex(f[3]));
    const auto half = KeyPair::from_ed25519_public(from_hex(f[1]));
    ASSERT_TRUE(half.has_value());
    EXPECT_TRUE(*half->verify({}, from_hex(f[2]), from_hex(f[3])));
    EXPECT_FALSE(*half->verify({}, from_hex(f[2]) + "x", from_hex(f[3])));
    EXPECT_FALSE(half->sign({}, "x").has_value());
  }
}

TEST(KeyPair, ComesBackFromEachForm) {
  for (const KeyPairKind kind : kKinds) {
    const KeyPair key = make(kind);
    EXPECT_EQ(key.kind(), kind);
    EXPECT_TRUE(key.check());
    const auto again = KeyPair::from_private_der(key.private_der().reveal());
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->kind(), kind);
    EXPECT_TRUE(again->same_public(key));
    const auto pem = KeyPair::from_public_pem(key.public_pem());
    const auto der = KeyPair::from_public_der(key.public_der());
    ASSERT_TRUE(pem && der);
    EXPECT_TRUE(pem->same_public(key) && der->same_public(key));
    EXPECT_FALSE(pem->has_private() || der->has_private());
    EXPECT_FALSE(KeyPair::from_private_der(std::string(key.private_der().reveal()) + "x"));
    EXPECT_FALSE(KeyPair::from_public_der(key.public_der() + "x"));
    EXPECT_FALSE(KeyPair::from_private_der(key.public_der()));
    const std::string digest(32, 'd');
    const auto signature = key.sign({.hash = "sha2-256"}, digest);
    ASSERT_TRUE(signature.has_value());
    EXPECT_TRUE(*pem->verify({.hash = "sha2-256"}, digest, *signature));
    EXPECT_FALSE(*pem->verify({.hash = "sha2-256"}, std::string(32, 'e'), *signature));
    EXPECT_FALSE(*make(KeyPairKind::kP256).verify({.hash = "sha2-256"}, digest, *signature));
    if (kind == KeyPairKind::kEd25519) {
      EXPECT_TRUE(KeyPair::from_seed(key.seed())->same_public(key));
    } else if (kind == KeyPairKind::kRsa2048) {
      const auto numbers = KeyPair::from_numbers(key.rsa_numbers());
      EXPECT_TRUE(numbers && numbers->same_public(key) && numbers->check());
      EXPECT_TRUE(key.private_pem().reveal().starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    } else {
      const auto numbers = KeyPair::from_numbers(kind, key.ec_numbers());
      EXPECT_TRUE(numbers && numbers->same_public(key) && numbers->check());
      EXPECT_TRUE(key.private_pem().reveal().starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
    }
  }
}

TEST(KeyPair, RefusesWhatIsNoKey) {
  EXPECT_FALSE(KeyPair::from_private_der(""));
  EXPECT_FALSE(KeyPair::from_private_der("nonsense"));
  EXPECT_FALSE(KeyPair::from_public_pem("nonsense"));
  EXPECT_FALSE(KeyPair::from_public_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END"));
  EXPECT_FALSE(KeyPair::from_ed25519_public("short"));
  EcNumbers numbers = KeyPair::generate(KeyPairKind::kP256).ec_numbers();
  EXPECT_FALSE(KeyPair::from_numbers(KeyPairKind::kP384, numbers));
  EcNumbers other = numbers;
  other.x = "1";
  EXPECT_FALSE(KeyPair::from_numbers(KeyPairKind::kP256, other));
  other = numbers;
  other.d = "-1";
  EXPECT_FALSE(KeyPair::from_numbers(KeyPairKind::kP256, other));
  // Two halves that don't belong together make a key that check() refuses.
  other = numbers;
  other.d = KeyPair::generate(KeyPairKind::kP256).ec_numbers().d;
  const auto mixed = KeyPair::from_numbers(KeyPairKind::kP256, other);
  EXPECT_TRUE(!mixed || !mixed->check());
  RsaNumbers factors = rsa_key().rsa_numbers();
  factors.p = factors.q;
  const auto wrong = KeyPair::from_numbers(factors);
  EXPECT_TRUE(!wrong || !wrong->check());
}

TEST(KeyPair, RefusesWhatDoesNotFit) {
  const KeyPair& key = rsa_key();
  EXPECT_FALSE(key.sign({.hash = "sha2-256"}, "short"));
  EXPECT_FALSE(key.sign({.hash = "md5"}, std::string(16, 'd')));
  EXPECT_FALSE(key.sign({.hash = "none"}, "x"));
  EXPECT_FALSE(key.sign({.hash = "sha2-256", .salt_bytes = 300}, std::string(32, 'd')));
  const SignatureScheme plain{.hash = "none", .padding = Padding::kPkcs1};
  EXPECT_TRUE(*key.verify(plain, "x", *key.sign(plain, "x")));
  EXPECT_FALSE(key.encrypt_oaep("sha2-256", std::string(200, 'x')));
  EXPECT_FALSE(ecdsa_to_der(KeyPairKind::kP256, "short"));
  EXPECT_FALSE(ecdsa_to_fixed(KeyPairKind::kP256, "nonsense"));
  EXPECT_FALSE(is_ecdsa_der("nonsense"));
}

TEST(KeyPair, ReadsAKeyOrACertificate) {
  const KeyPair key = make(KeyPairKind::kP256);
  const auto plain = KeyPair::from_key_or_certificate_pem(key.public_pem() + "\n \n");
  ASSERT_TRUE(plain.has_value());
  EXPECT_TRUE(plain->same_public(key));
  base::SeededRandom random(1);
  const base::WallTime now(std::chrono::seconds(1'790'000'000));
  const auto authority = make_certificate_authority("ca", now, 1, random);
  ASSERT_TRUE(authority.has_value());
  const auto certified = KeyPair::from_key_or_certificate_pem(authority->certificate_pem);
  ASSERT_TRUE(certified.has_value());
  EXPECT_EQ(certified->kind(), KeyPairKind::kP256);
  for (const std::string& text :
       {std::string(), std::string("nonsense"), key.public_pem() + key.public_pem(),
        key.public_pem() + "x", std::string(key.private_pem().reveal()),
        std::string("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")}) {
    EXPECT_FALSE(KeyPair::from_key_or_certificate_pem(text).has_value()) << text;
  }
}

TEST(KeyPair, AgreesOnOneSecret) {
  const KeyPair a = make(KeyPairKind::kP384), b = make(KeyPairKind::kP384);
  const auto one = a.agree(b), two = b.agree(a);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->reveal(), two->reveal());
  EXPECT_EQ(one->size(), 48u);
  EXPECT_FALSE(a.agree(make(KeyPairKind::kP256)));
  EXPECT_FALSE(rsa_key().agree(rsa_key()));
}

}  // namespace
}  // namespace rekey::crypto
