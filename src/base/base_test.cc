#include <gtest/gtest.h>

#include <cctype>

#include "base/base64_vector.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/random.h"
#include "base/secret_bytes.h"
#include "base/task.h"

namespace rekey::base {
namespace {

TEST(Json, NumbersComeBackDigitForDigit) {
  for (const char* text :
       {"1", "-0", "1.50", "1e400", "123456789012345678901234567890", "0.1E-7"}) {
    const auto parsed = Json::parse(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->dump(), text);
  }
}

TEST(Json, KeysAreSortedAndTheLastDuplicateWins) {
  EXPECT_EQ(Json::parse(R"({"b":1,"a":{"z":[],"y":null},"b":2})")->dump(),
            R"({"a":{"y":null,"z":[]},"b":2})");
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text :
       {"", "{", "nul", "[1,]", "{\"a\"}", "1 2", "\"\x01\"", "\"\xff\"", "NaN", "01"}) {
    EXPECT_FALSE(Json::parse(text)) << text;
  }
}

TEST(Json, LimitsHold) {
  EXPECT_TRUE(Json::parse("[[[]]]", {.depth_max = 3}));
  EXPECT_FALSE(Json::parse("[[[[]]]]", {.depth_max = 3}));
  EXPECT_TRUE(Json::parse("[1,2,3]", {.members_max = 3}));
  EXPECT_FALSE(Json::parse("[1,2,3,4]", {.members_max = 3}));
}

TEST(Json, StringsAreEscapedAndInvalidUtf8Replaced) {
  std::string out;
  append_json_string(out, "a\"\\\n\x01é\xff");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001é\xef\xbf\xbd\"");
}

// Each byte at each place of a long text: the fast way over plain text misses none.
TEST(Json, StringsAreEscapedWhereverItIs) {
  for (int byte = 0; byte < 256; byte++) {
    for (size_t at = 0; at < 40; at++) {
      std::string text(40, 'a');
      text[at] = static_cast<char>(byte);
      const bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
      std::string out;
      append_json_string(out, text);
      EXPECT_EQ(out == '"' + text + '"', plain) << byte << " at " << at;
      const auto back = Json::parse(out);
      ASSERT_TRUE(back) << byte;
      if (byte < 0x80) EXPECT_EQ(*back->as_string(), text);
    }
  }
}

TEST(Codec, Base64TakesBothPaddingsAndRefusesTheRest) {
  EXPECT_EQ(base64_encode("ab"), "YWI=");
  EXPECT_EQ(*base64_decode("YWI="), "ab");
  EXPECT_EQ(*base64_decode("YWI"), "ab");
  for (const char* text : {"Y", "YWI==", "YW I", "Y===", "-_=="})
    EXPECT_FALSE(base64_decode(text)) << text;
}

// Every way that this machine has to do the bulk of it, against the plain definition.
TEST(Codec, Base64WithWideRegistersIsTheSame) {
  constexpr char kLetters[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  SeededRandom random(1);
  for (const Base64Kernel* kernel : {base64_avx2(), base64_avx512()}) {
    if (kernel == nullptr) continue;
    for (const auto alphabet : {Base64Alphabet::kStandard, Base64Alphabet::kUrl}) {
      const char* letters = kLetters + (alphabet == Base64Alphabet::kUrl ? 64 : 0);
      for (size_t groups = 0; groups <= 120; groups++) {
        const std::string bytes = random.bytes(3 * groups);
        std::string text;
        for (size_t i = 0; i < bytes.size(); i += 3) {
          const auto byte = [&](size_t j) { return static_cast<unsigned char>(bytes[i + j]); };
          const uint32_t v = uint32_t{byte(0)} << 16 | uint32_t{byte(1)} << 8 | byte(2);
          for (const int shift : {18, 12, 6, 0}) text += letters[v >> shift & 63];
        }
        // The last byte is a mark that must stay.
        std::string encoded(text.size() + 1, '#'), decoded(bytes.size() + 1, '#');
        const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
        const size_t taken = kernel->encode(from, bytes.size(), encoded.data(), alphabet);
        ASSERT_EQ(taken % 3, 0u);
        EXPECT_EQ(encoded.substr(0, taken / 3 * 4), text.substr(0, taken / 3 * 4));
        EXPECT_EQ(encoded.back(), '#');
        from = reinterpret_cast<const unsigned char*>(text.data());
        const size_t read = kernel->decode(from, text.size(), decoded.data(), alphabet);
        ASSERT_EQ(read % 4, 0u);
        EXPECT_EQ(decoded.substr(0, read / 4 * 3), bytes.substr(0, read / 4 * 3));
        EXPECT_EQ(decoded.back(), '#');
        if (alphabet == Base64Alphabet::kStandard && groups == 120) EXPECT_GT(read, 400u);
      }
    }
  }
}

TEST(Codec, Base64RefusesEachWrongByteAtEachPlace) {
  const std::string good = base64_encode(std::string(144, 'x'));  // 192 characters
  for (const Base64Kernel* kernel : {base64_avx2(), base64_avx512()}) {
    for (int byte = 0; byte < 256; byte++) {
      const bool digit = std::isalnum(byte) || byte == '+' || byte == '/';
      for (size_t at = 0; at < good.size(); at += 7) {
        std::string text = good;
        text[at] = static_cast<char>(byte);
        EXPECT_EQ(base64_decode(text).has_value(), digit) << byte << " at " << at;
        if (kernel == nullptr) continue;
        std::string out(144, ' ');
        const size_t read = kernel->decode(reinterpret_cast<const unsigned char*>(text.data()),
                                           text.size(), out.data(), Base64Alphabet::kStandard);
        if (!digit) EXPECT_LE(read, at) << byte;
      }
    }
  }
}

TEST(Codec, Base64OfEachLengthComesBack) {
  SeededRandom random(2);
  for (size_t size = 0; size <= 300; size++) {
    const std::string bytes = random.bytes(size);
    const std::string text = base64_encode(bytes), url = base64url_encode(bytes);
    EXPECT_EQ(text.size(), (size + 2) / 3 * 4);
    EXPECT_EQ(url.size(), (size * 4 + 2) / 3);
    EXPECT_EQ(base64_decode(text).value_or("?"), bytes);
    EXPECT_EQ(base64url_decode(url).value_or("?"), bytes);
    std::string behind = "before";
    append_base64(behind, bytes);
    EXPECT_EQ(behind, "before" + text);
  }
}

TEST(Codec, Utf8) {
  EXPECT_TRUE(is_valid_utf8("é漢😀"));
  for (const char* text : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
    EXPECT_FALSE(is_valid_utf8(text));
  }
}

TEST(Clock, Rfc3339RoundTrips) {
  const auto time = parse_rfc3339("2026-02-28T23:59:59.123456789+01:00");
  ASSERT_TRUE(time);
  EXPECT_EQ(format_rfc3339(*time), "2026-02-28T22:59:59.123456789Z");
  EXPECT_FALSE(parse_rfc3339("2026-02-30T00:00:00Z"));
  EXPECT_FALSE(parse_rfc3339("2026-02-28T00:00:00"));
}

TEST(Clock, Durations) {
  using namespace std::chrono_literals;
  EXPECT_EQ(*parse_duration("90"), 90s);
  EXPECT_EQ(*parse_duration("1h30m"), 90min);
  EXPECT_EQ(*parse_duration("1.5h"), 90min);
  EXPECT_EQ(*parse_duration("2d"), 48h);
  EXPECT_EQ(*parse_duration("-5s"), -5s);
  for (const char* text : {"", "s", "5x", "1h5", ".", "1e3", "99999999999h"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  EXPECT_EQ(format_duration(768h), "768h0m0s");
  EXPECT_EQ(format_duration(90s), "1m30s");
  EXPECT_EQ(format_duration(1500ms), "1.5s");
}

TEST(SecretBytes, MovesAndWipes) {
  auto secret = SecretBytes::copy_of("hunter2");
  const char* at = secret.reveal().data();
  SecretBytes moved = std::move(secret);
  EXPECT_EQ(moved.reveal(), "hunter2");
  EXPECT_EQ(moved.reveal().data(), at);
  moved.wipe();
  EXPECT_TRUE(moved.empty());
  EXPECT_NE(std::string_view(at, 7), "hunter2");
  EXPECT_EQ(SecretBytes(100'000).size(), 100'000u);
}

TEST(Random, Base62IsOfItsAlphabetAndLength) {
  SystemRandom random;
  const std::string text = random.base62(1000);
  EXPECT_EQ(text.size(), 1000u);
  for (char c : text) EXPECT_TRUE(isalnum(static_cast<unsigned char>(c)));
  EXPECT_EQ(random.uuid().size(), 36u);
  EXPECT_NE(random.uuid(), random.uuid());
}

Task<int> add_later(std::function<void(int)>& later) {
  const int a = co_await suspend<int>([](auto done) { done(1); });
  const int b = co_await suspend<int>([&](auto done) { later = done; });
  co_return a + b;
}

Task<int> twice(std::function<void(int)>& later) { co_return 2 * co_await add_later(later); }

TEST(Task, GoesOnWhenItsCallbackIsCalled) {
  std::function<void(int)> later;
  int result = 0;
  twice(later).start([&](int value) { result = value; });
  EXPECT_EQ(result, 0);
  later(20);
  EXPECT_EQ(result, 42);
}

TEST(NeverBackClock, GoesOnWhereTheClockWasPutBack) {
  using std::chrono::hours;
  using std::chrono::minutes;
  FakeClock machine;
  const NeverBackClock clock(machine);
  const WallTime start = clock.wall();
  machine.jump_wall(hours(24 * 365));
  EXPECT_EQ(clock.wall(), start + hours(24 * 365));
  machine.jump_wall(-hours(24 * 365));
  EXPECT_EQ(clock.wall(), start + hours(24 * 365));
  // An hour's token must not live for a year because somebody mended the clock.
  machine.advance(minutes(61));
  EXPECT_EQ(clock.wall(), start + hours(24 * 365) + minutes(61));
}

}  // namespace
}  // namespace rekey::base
