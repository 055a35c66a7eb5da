#include "crypto/password.h"

#include <gtest/gtest.h>

namespace rekey::crypto {
namespace {

TEST(Password, AHashKnowsItsPasswordAndNoOther) {
  base::SeededRandom random(1);
  auto hash = hash_password("correct horse", random);
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
  EXPECT_TRUE(check_password("correct horse", *hash));
  EXPECT_FALSE(check_password("correct hors", *hash));
  EXPECT_FALSE(check_password("", *hash));
  EXPECT_NE(*hash, *hash_password("correct horse", random));
}

// From the reference implementation's own tests (m = 2^16, t = 2, p = 1).
TEST(Password, HashesOfOthersAreChecked) {
  EXPECT_TRUE(check_password(
      "password",
      "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"));
}

// Solar Designer's test vectors of crypt_blowfish.
TEST(Password, BcryptHashesAreChecked) {
  const std::string hash = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
  EXPECT_TRUE(is_bcrypt_hash(hash));
  EXPECT_TRUE(check_password("U*U", hash));
  EXPECT_FALSE(check_password("U*U*", hash));
  const std::string older = "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a";
  EXPECT_TRUE(check_password("U*U*U", older));
}

TEST(Password, WhatIsNoHashMatchesNothing) {
  for (const char* hash : {"", "*0", "$2a$", "$2b$05$CCCC", "$argon2id$",
                           "$argon2id$v=19$m=1,t=1,p=1$$", "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
                           "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}) {
    EXPECT_FALSE(check_password("", hash)) << hash;
    EXPECT_FALSE(is_bcrypt_hash(hash)) << hash;
  }
}

TEST(Password, TooLongIsRefused) {
  base::SeededRandom random(1);
  EXPECT_FALSE(hash_password(std::string(kPasswordBytesMax + 1, 'x'), random));
  EXPECT_TRUE(hash_password(std::string(kPasswordBytesMax, 'x'), random));
}

TEST(Password, ANulIsPartOfIt) {
  base::SeededRandom random(1);
  using namespace std::string_view_literals;
  auto hash = hash_password("a\0b"sv, random);
  EXPECT_TRUE(check_password("a\0b"sv, *hash));
  EXPECT_FALSE(check_password("a\0c"sv, *hash));
  EXPECT_FALSE(
      check_password("U*U\0"sv, "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
}

}  // namespace
}  // namespace rekey::crypto
