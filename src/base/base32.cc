#include "base/base32.h"

#include <cstdint>

namespace rekey::base {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

int value_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a';
  if (c >= '2' && c <= '7') return c - '2' + 26;
  return -1;
}

}  // namespace

std::string base32_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() * 8 + 4) / 5);
  uint32_t bits = 0;
  int held = 0;
  for (const char c : bytes) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    held += 8;
    for (; held >= 5; held -= 5) out += kAlphabet[(bits >> (held - 5)) & 31];
  }
  if (held > 0) out += kAlphabet[(bits << (5 - held)) & 31];
  return out;
}

Result<std::string> base32_decode(std::string_view text) {
  const auto bad = [] { return fail(ErrorKind::kInvalid, "bad base32"); };
  if (text.size() % 8 == 0 && !text.empty()) {
    size_t padding = 0;
    while (padding < 6 && text.ends_with('=')) text.remove_suffix(1), padding++;
    if (padding == 2 || padding == 5) return bad();
  }
  // One, three or six letters over a group of eight are no whole bytes.
  const size_t over = text.size() % 8;
  if (over == 1 || over == 3 || over == 6) return bad();
  std::string out;
  out.reserve(text.size() * 5 / 8);
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const int value = value_of(c);
    if (value < 0) return bad();
    bits = (bits << 5) | static_cast<uint32_t>(value);
    held += 5;
    if (held >= 8) {
      held -= 8;
      out += static_cast<char>(bits >> held);
    }
  }
  if ((bits & ((1U << held) - 1)) != 0) return bad();
  return out;
}

}  // namespace rekey::base
