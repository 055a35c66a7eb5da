#include "crypto/digest.h"

#include <gtest/gtest.h>

#include "base/codec.h"
#include "base/random.h"
#include "crypto/testing/vectors.h"

namespace rekey::crypto {
namespace {

using base::SecretBytes;
using testing::from_hex;
using testing::read_vectors;

TEST(Digest, AgreesWithNist) {
  size_t sha256_cases = 0;
  for (const auto& fields : read_vectors("crypto/testdata/nist_digests.txt")) {
    ASSERT_EQ(fields.size(), 3u);
    const std::string message = from_hex(fields[1]);
    const base::Result<std::string> found = digest(fields[0], message);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(base::hex_encode(*found), fields[2]) << fields[0];
    if (fields[0] != "sha2-256") continue;
    sha256_cases++;
    EXPECT_EQ(base::hex_encode(as_bytes(sha256(message))), fields[2]);
    const std::string_view view(message);
    const size_t cut = view.size() / 2;
    EXPECT_EQ(base::hex_encode(as_bytes(sha256(view.substr(0, cut), {}, view.substr(cut)))),
              fields[2]);
  }
  EXPECT_GT(sha256_cases, 5u);
}

TEST(Digest, HmacsAgreeWithRfc4231) {
  for (const auto& fields : read_vectors("crypto/testdata/rfc4231_hmac.txt")) {
    ASSERT_EQ(fields.size(), 4u);
    const auto mac =
        hmac(fields[0], SecretBytes::copy_of(from_hex(fields[1])), from_hex(fields[2]));
    ASSERT_TRUE(mac.has_value());
    EXPECT_EQ(base::hex_encode(*mac), fields[3]);
  }
  EXPECT_FALSE(hmac("md5", SecretBytes::copy_of("k"), "x").has_value());
  EXPECT_FALSE(digest("sha1", "x").has_value());
  EXPECT_TRUE(digest_or_sha1("sha1", "x").has_value());
}

TEST(Digest, RefusesAnUnknownName) {
  const base::Result<std::string> found = digest("md5", "x");
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().kind(), base::ErrorKind::kInvalid);
}

TEST(HmacSha256, AgreesWithRfc4231) {
  for (const auto& fields : read_vectors("crypto/testdata/rfc4231_hmac_sha256.txt")) {
    const HmacSha256 hmac(SecretBytes::copy_of(from_hex(fields[0])));
    const std::string message = from_hex(fields[1]);
    EXPECT_EQ(base::hex_encode(as_bytes(hmac.mac(message))), fields[2]);
    EXPECT_EQ(base::hex_encode(as_bytes(hmac.mac(message.substr(0, 3), message.substr(3)))),
              fields[2]);
  }
}

TEST(HmacSha256, TakesAnEmptyKeyAndMessage) {
  // HMAC_SHA256("", "") as RFC 4868 implementations and python3's hmac give it.
  EXPECT_EQ(base::hex_encode(as_bytes(HmacSha256(SecretBytes()).mac(""))),
            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(Hkdf, AgreesWithRfc5869) {
  for (const auto& fields : read_vectors("crypto/testdata/rfc5869_hkdf_sha256.txt")) {
    ASSERT_EQ(fields.size(), 5u);
    const SecretBytes out =
        hkdf_sha256(SecretBytes::copy_of(from_hex(fields[0])), from_hex(fields[1]),
                    from_hex(fields[2]), fields[4].size() / 2);
    EXPECT_EQ(base::hex_encode(out.reveal()), fields[4]);
  }
}

}  // namespace
}  // namespace rekey::crypto
