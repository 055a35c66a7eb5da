#include "crypto/totp.h"

#include <gtest/gtest.h>

#include "base/base32.h"
#include "crypto/testing/vectors.h"

namespace rekey::crypto {
namespace {

base::SecretBytes key_of(size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += "1234567890";
  return base::SecretBytes::copy_of(text.substr(0, bytes));
}

TEST(Totp, RFC4226) {
  const auto lines = testing::read_vectors("crypto/testdata/rfc4226_hotp.txt");
  ASSERT_EQ(lines.size(), 10u);
  for (const auto& line : lines) {
    EXPECT_EQ(totp_code({}, key_of(20), std::stoull(line[0])), line[1]);
  }
}

TEST(Totp, RFC6238) {
  const auto lines = testing::read_vectors("crypto/testdata/rfc6238_totp.txt");
  ASSERT_EQ(lines.size(), 18u);
  for (const auto& line : lines) {
    TotpParams params{.hash = *totp_hash_named(line[1]), .digits = 8, .skew = 0};
    const size_t bytes = params.hash == TotpHash::kSha1     ? 20
                         : params.hash == TotpHash::kSha256 ? 32
                                                            : 64;
    const int64_t now = std::stoll(line[0]);
    EXPECT_EQ(totp_code(params, key_of(bytes), static_cast<uint64_t>(now / 30)), line[2]);
    EXPECT_EQ(find_totp_step(params, key_of(bytes), line[2], now), now / 30);
    EXPECT_FALSE(find_totp_step(params, key_of(bytes), line[2], now + 30));
    EXPECT_FALSE(find_totp_step(params, key_of(bytes), line[2], now - 30));
  }
}

TEST(Totp, TheSkewTakesOneStepOnEachSide) {
  const auto key = key_of(20);
  TotpParams params;
  const std::string code = totp_code(params, key, 1000);
  for (const int64_t now : {999 * 30, 1000 * 30, 1001 * 30 + 29}) {
    EXPECT_EQ(find_totp_step(params, key, code, now), 1000);
  }
  EXPECT_FALSE(find_totp_step(params, key, code, 999 * 30 - 1));
  EXPECT_FALSE(find_totp_step(params, key, code, 1002 * 30));
  params.skew = 0;
  EXPECT_FALSE(find_totp_step(params, key, code, 999 * 30));
  EXPECT_EQ(find_totp_step(params, key, code, 1000 * 30 + 29), 1000);
}

TEST(Totp, NothingButTheWholeCodeIsTaken) {
  const auto key = key_of(20);
  const std::string code = totp_code({}, key, 1000);
  for (const std::string& other : {std::string(), code.substr(1), code + "0", " " + code,
                                   code.substr(0, 5) + "x", std::string(6, '\0')}) {
    EXPECT_FALSE(find_totp_step({}, key, other, 1000 * 30)) << other;
  }
  // There is no step before 1970.
  EXPECT_FALSE(find_totp_step({}, key, totp_code({}, key, UINT64_MAX), 0));
  EXPECT_EQ(find_totp_step({}, key, totp_code({}, key, 0), 0), 0);
}

TEST(Totp, ParametersAreBounded) {
  EXPECT_TRUE(check_totp({}));
  EXPECT_TRUE(check_totp({.digits = 8, .period_s = kTotpPeriodMaxS, .skew = 0}));
  EXPECT_FALSE(check_totp({.digits = 7}));
  EXPECT_FALSE(check_totp({.period_s = 0}));
  EXPECT_FALSE(check_totp({.period_s = -30}));
  EXPECT_FALSE(check_totp({.period_s = kTotpPeriodMaxS + 1}));
  EXPECT_FALSE(check_totp({.skew = 2}));
  EXPECT_FALSE(check_totp({.skew = -1}));
  EXPECT_FALSE(totp_hash_named("MD5"));
  EXPECT_FALSE(totp_hash_named("sha1"));
}

TEST(Otpauth, IsWrittenAndReadBack) {
  const Otpauth what{"Rekey & Söhne", "alice@example.com", {}, key_of(20)};
  const std::string url = otpauth_url(what);
  EXPECT_EQ(url,
            "otpauth://totp/Rekey%20%26%20S%C3%B6hne:alice@example.com?algorithm=SHA1&digits=6&"
            "issuer=Rekey%20%26%20S%C3%B6hne&period=30&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
  auto back = parse_otpauth_url(url);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->issuer, what.issuer);
  EXPECT_EQ(back->account, what.account);
  EXPECT_EQ(back->params, what.params);
  EXPECT_EQ(back->key.reveal(), what.key.reveal());
  // A name can't add a parameter.
  const auto sly =
      parse_otpauth_url(otpauth_url({"a&secret=AAAAAAAAAAAAAAAA?x#y", "b:c/d", {}, key_of(20)}));
  ASSERT_TRUE(sly);
  EXPECT_EQ(sly->issuer, "a&secret=AAAAAAAAAAAAAAAA?x#y");
  EXPECT_EQ(sly->account, "b:c/d");
  EXPECT_EQ(sly->key.reveal(), key_of(20).reveal());
}

TEST(Otpauth, TakesWhatAppsTakeAndNothingElse) {
  auto plain = parse_otpauth_url("otpauth://totp/alice?secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->account, "alice");
  EXPECT_EQ(plain->issuer, "");
  EXPECT_EQ(plain->params, TotpParams{});
  auto label = parse_otpauth_url("otpauth://totp/Shop:%20alice?secret=GEZDGNBV&image=x&digits=8");
  ASSERT_TRUE(label);
  EXPECT_EQ(label->issuer, "Shop");
  EXPECT_EQ(label->account, "alice");
  EXPECT_EQ(label->params.digits, 8);
  for (const char* bad :
       {"", "otpauth://", "otpauth://hotp/a?secret=GEZDGNBV&counter=1", "https://totp/a?secret=GE",
        "otpauth://totp/a", "otpauth://totp/a?secret=", "otpauth://totp/a?secret=G1",
        "otpauth://totp/a?secret=GEZDGNBV&digits=7", "otpauth://totp/a?secret=GEZDGNBV&period=0",
        "otpauth://totp/a?secret=GEZDGNBV&period=30x", "otpauth://totp/a%0a?secret=GEZDGNBV",
        "otpauth://totp/a%zz?secret=GEZDGNBV", "otpauth://totp/%ff?secret=GEZDGNBV",
        "otpauth://totp/a?secret=GEZDGNBV&algorithm=MD5", "otpauth://totp/a?secret=GEZDGNBV%"}) {
    EXPECT_FALSE(parse_otpauth_url(bad)) << bad;
  }
  EXPECT_FALSE(parse_otpauth_url("otpauth://totp/" + std::string(3000, 'a') + "?secret=GEZDGNBV"));
}

TEST(Base32, RFC4648) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "MY"},
                                                       {"fo", "MZXQ"},
                                                       {"foo", "MZXW6"},
                                                       {"foob", "MZXW6YQ"},
                                                       {"fooba", "MZXW6YTB"},
                                                       {"foobar", "MZXW6YTBOI"}};
  for (const auto& [plain, text] : cases) {
    EXPECT_EQ(base::base32_encode(plain), text);
    EXPECT_EQ(base::base32_decode(text), std::string(plain));
    std::string padded = text;
    while (padded.size() % 8 != 0) padded += '=';
    EXPECT_EQ(base::base32_decode(padded), std::string(plain));
  }
  EXPECT_EQ(base::base32_decode("mzxw6ytboi"), std::string("foobar"));
  for (const char* bad : {"M", "MZX", "MZXW6Y", "MZ", "M1", "MZXW 6YQ",
                          "MZXW6===MZXW6===", "MY=", "========", "MZXW6YTB========"}) {
    EXPECT_FALSE(base::base32_decode(bad)) << bad;
  }
}

}  // namespace
}  // namespace rekey::crypto
