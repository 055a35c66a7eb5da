#include "base/base64_vector.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <array>
#include <cstdint>

namespace rekey::base {

#if defined(__x86_64__)

namespace {

// ---- AVX2: 24 bytes and 32 characters at once, the standard alphabet only ---------------------

constexpr size_t kAvx2Bytes = 24, kAvx2Chars = 32;
constexpr size_t kAvx2ReadBytes = 28;   // of which it uses 24
constexpr size_t kAvx2SlackChars = 12;  // so that the 8 bytes too many that it writes have room

[[gnu::target("avx2")]] __m256i digits_of(__m256i groups) {
  // Each group of 3 bytes a, b, c stands as b, a, c, b: two products move its four sixes of bits
  // into a byte each.
  const __m256i high = _mm256_and_si256(groups, _mm256_set1_epi32(0x0fc0fc00));
  const __m256i low = _mm256_and_si256(groups, _mm256_set1_epi32(0x003f03f0));
  return _mm256_or_si256(_mm256_mulhi_epu16(high, _mm256_set1_epi32(0x04000040)),
                         _mm256_mullo_epi16(low, _mm256_set1_epi32(0x01000010)));
}

[[gnu::target("avx2")]] __m256i letters_of(__m256i digits) {
  // What is to be added: 13 stands for A-Z, 0 for a-z, 1 to 10 for 0-9, 11 and 12 for the last two.
  const __m256i offsets = _mm256_broadcastsi128_si256(
      _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                    '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0));
  const __m256i range = _mm256_subs_epu8(digits, _mm256_set1_epi8(51));
  const __m256i upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), digits);
  const __m256i which = _mm256_or_si256(range, _mm256_and_si256(upper, _mm256_set1_epi8(13)));
  return _mm256_add_epi8(_mm256_shuffle_epi8(offsets, which), digits);
}

[[gnu::target("avx2")]] size_t encode_avx2(const unsigned char* from, size_t size, char* to,
                                           Base64Alphabet alphabet) {
  if (alphabet != Base64Alphabet::kStandard) return 0;
  const __m256i order =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
  size_t at = 0;
  for (; size - at >= kAvx2ReadBytes; at += kAvx2Bytes, to += kAvx2Chars) {
    const auto half = [](const unsigned char* bytes) {
      return reinterpret_cast<const __m128i*>(bytes);
    };
    const __m256i bytes = _mm256_loadu2_m128i(half(from + at + kAvx2Bytes / 2), half(from + at));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        letters_of(digits_of(_mm256_shuffle_epi8(bytes, order))));
  }
  return at;
}

[[gnu::target("avx2")]] size_t decode_avx2(const unsigned char* from, size_t size, char* to,
                                           Base64Alphabet alphabet) {
  if (alphabet != Base64Alphabet::kStandard) return 0;
  // Each half of a character gives a set of bits; a character is a digit where they have none in
  // common. What is to be added follows from the upper half, but for '/'.
  const __m256i of_low =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                                0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a));
  const __m256i of_high =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08,
                                                0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10));
  const __m256i offsets = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m256i order = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
  const __m256i together = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
  const __m256i slash = _mm256_set1_epi8('/');
  size_t at = 0;
  for (; size - at >= kAvx2Chars + kAvx2SlackChars; at += kAvx2Chars, to += kAvx2Bytes) {
    const __m256i chars = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at));
    // '/' is 0x2f: a mask as good as 0x0f, because a shuffle looks at bits 0 to 3 and 7 only.
    const __m256i high = _mm256_and_si256(_mm256_srli_epi32(chars, 4), slash);
    const __m256i low = _mm256_and_si256(chars, slash);
    if (!_mm256_testz_si256(_mm256_shuffle_epi8(of_low, low), _mm256_shuffle_epi8(of_high, high))) {
      break;
    }
    const __m256i is_slash = _mm256_cmpeq_epi8(chars, slash);
    const __m256i offset = _mm256_shuffle_epi8(offsets, _mm256_add_epi8(is_slash, high));
    const __m256i digits = _mm256_add_epi8(chars, offset);
    const __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi32(0x01400140));
    const __m256i groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(groups, order), together);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
  }
  return at;
}

// ---- AVX-512 with VBMI: 48 bytes and 64 characters at once, either alphabet -------------------

constexpr size_t kAvx512Bytes = 48, kAvx512Chars = 64;
constexpr __mmask64 kFirst48 = (uint64_t{1} << kAvx512Bytes) - 1;
constexpr char kNoDigit = static_cast<char>(0x80);

struct alignas(64) Tables {
  std::array<char, 64> letters{};
  std::array<char, 128> digits{};      // of ASCII; kNoDigit for the rest
  std::array<char, 64> to_groups{};    // the order in which bytes are taken to be encoded
  std::array<char, 64> from_groups{};  // and that in which decoded ones lie
  explicit constexpr Tables(const char* alphabet) {
    digits.fill(kNoDigit);
    for (size_t i = 0; i < 64; i++) {
      letters[i] = alphabet[i];
      digits[static_cast<size_t>(alphabet[i])] = static_cast<char>(i);
    }
    for (size_t group = 0; group < 16; group++) {
      for (size_t i = 0; i < 4; i++) {
        constexpr size_t kTaken[] = {1, 0, 2, 1};
        to_groups[4 * group + i] = static_cast<char>(3 * group + kTaken[i]);
      }
      for (size_t i = 0; i < 3; i++) {
        from_groups[3 * group + i] = static_cast<char>(4 * group + 2 - i);
      }
    }
  }
};
constexpr Tables kTables[] = {
    Tables("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
    Tables("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")};

[[gnu::target("avx512f,avx512bw,avx512vbmi")]] size_t encode_avx512(const unsigned char* from,
                                                                    size_t size, char* to,
                                                                    Base64Alphabet alphabet) {
  const Tables& tables = kTables[static_cast<size_t>(alphabet)];
  const __m512i order = _mm512_load_si512(tables.to_groups.data());
  const __m512i letters = _mm512_load_si512(tables.letters.data());
  // Where in its eight bytes the six bits of each digit begin; those above them aren't looked at.
  const __m512i shifts = _mm512_set1_epi64(0x3036242a1016040a);
  size_t at = 0;
  for (; size - at >= kAvx512Bytes; at += kAvx512Bytes, to += kAvx512Chars) {
    const __m512i bytes = _mm512_maskz_loadu_epi8(kFirst48, from + at);
    const __m512i groups = _mm512_permutexvar_epi8(order, bytes);
    const __m512i digits = _mm512_multishift_epi64_epi8(shifts, groups);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi8(digits, letters));
  }
  return at;
}

[[gnu::target("avx512f,avx512bw,avx512vbmi")]] size_t decode_avx512(const unsigned char* from,
                                                                    size_t size, char* to,
                                                                    Base64Alphabet alphabet) {
  const Tables& tables = kTables[static_cast<size_t>(alphabet)];
  const __m512i below_64 = _mm512_load_si512(tables.digits.data());
  const __m512i from_64 = _mm512_load_si512(tables.digits.data() + 64);
  const __m512i order = _mm512_load_si512(tables.from_groups.data());
  size_t at = 0;
  for (; size - at >= kAvx512Chars; at += kAvx512Chars, to += kAvx512Bytes) {
    const __m512i chars = _mm512_loadu_si512(from + at);
    const __m512i digits = _mm512_permutex2var_epi8(below_64, chars, from_64);
    // Bit 7 of either: beyond ASCII, or no digit.
    if (_mm512_movepi8_mask(_mm512_or_si512(chars, digits)) != 0) break;
    const __m512i pairs = _mm512_maddubs_epi16(digits, _mm512_set1_epi32(0x01400140));
    const __m512i groups = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000));
    _mm512_mask_storeu_epi8(to, kFirst48, _mm512_permutexvar_epi8(order, groups));
  }
  return at;
}

constexpr Base64Kernel kAvx2{encode_avx2, decode_avx2};
constexpr Base64Kernel kAvx512{encode_avx512, decode_avx512};

}  // namespace

const Base64Kernel* base64_avx2() { return __builtin_cpu_supports("avx2") ? &kAvx2 : nullptr; }

const Base64Kernel* base64_avx512() {
  const bool has = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi");
  return has ? &kAvx512 : nullptr;
}

#else

const Base64Kernel* base64_avx2() { return nullptr; }
const Base64Kernel* base64_avx512() { return nullptr; }

#endif

const Base64Kernel* base64_kernel() {
  static const Base64Kernel* const best = base64_avx512() ? base64_avx512() : base64_avx2();
  return best;
}

}  // namespace rekey::base
