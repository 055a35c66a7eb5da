#include "crypto/key_wrap.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "crypto/testing/vectors.h"

namespace rekey::crypto {
namespace {

using base::SecretBytes;
using testing::from_hex;

TEST(KeyWrap, AgreesWithNist) {
  size_t failing = 0;
  for (const auto& fields : testing::read_vectors("crypto/testdata/nist_kwp_256.txt")) {
    ASSERT_EQ(fields.size(), 4u);
    const SecretBytes key = SecretBytes::copy_of(from_hex(fields[0]));
    const auto unwrapped = key_unwrap(key, from_hex(fields[2]));
    if (fields[3] == "fail") {
      failing++;
      EXPECT_FALSE(unwrapped.has_value());
      continue;
    }
    const SecretBytes plain = SecretBytes::copy_of(from_hex(fields[1]));
    ASSERT_TRUE(unwrapped.has_value());
    EXPECT_EQ(unwrapped->reveal(), plain.reveal());
    EXPECT_EQ(key_wrap(key, plain), from_hex(fields[2]));
  }
  EXPECT_GT(failing, 20u);
}

TEST(KeyWrap, TakesEveryLengthAndRefusesWhatWasChanged) {
  base::SeededRandom random(1);
  const SecretBytes key = random.secret(kKeyWrapKeyBytes);
  for (size_t size : {1, 7, 8, 9, 31, 32, 2400}) {
    const SecretBytes plain = random.secret(size);
    std::string wrapped = key_wrap(key, plain);
    const auto back = key_unwrap(key, wrapped);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->reveal(), plain.reveal());
    wrapped[wrapped.size() / 2] = static_cast<char>(wrapped[wrapped.size() / 2] ^ 1);
    EXPECT_FALSE(key_unwrap(key, wrapped).has_value());
    EXPECT_FALSE(key_unwrap(key, wrapped.substr(1)).has_value());
  }
  EXPECT_FALSE(key_unwrap(key, "").has_value());
  EXPECT_FALSE(key_unwrap(key, "12345678").has_value());
  EXPECT_FALSE(key_unwrap(key, std::string(kKeyWrapInputBytesMax + 24, 'x')).has_value());
}

}  // namespace
}  // namespace rekey::crypto
