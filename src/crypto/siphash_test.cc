#include "crypto/siphash.h"

#include <gtest/gtest.h>

#include "base/codec.h"

namespace rekey::crypto {
namespace {

// The authors' vectors_sip128: key 00..0f, input 00..(n-1).
TEST(SipHash, AuthorsVectors) {
  std::string key, input;
  for (char i = 0; i < 16; i++) key += i;
  const SipHash hash(base::SecretBytes::copy_of(key));
  const auto hex = [&](std::string_view bytes) {
    const SipDigest digest = hash(bytes);
    return base::hex_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
  };
  EXPECT_EQ(hex(""), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(hex(std::string(1, '\0')), "da87c1d86b99af44347659119b22fc45");
  for (char i = 0; i < 15; i++) input += i;
  EXPECT_EQ(hex(input), "5493e99933b0a8117e08ec0f97cfc3d9");
}

}  // namespace
}  // namespace rekey::crypto
