#include "base/codec.h"

#include <array>
#include <cstring>

#include "base/base64_vector.h"
#include "base/check.h"

namespace rekey::base {
namespace {

constexpr char kStandard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kUrl[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// Two characters at once for each 12 bits.
struct EncodeTable {
  Base64Alphabet alphabet;
  const char* letters;
  std::array<char, 2 * 4096> pairs{};
  explicit constexpr EncodeTable(Base64Alphabet which)
      : alphabet(which), letters(which == Base64Alphabet::kUrl ? kUrl : kStandard) {
    for (size_t i = 0; i < 4096; i++) {
      pairs[2 * i] = letters[i >> 6];
      pairs[2 * i + 1] = letters[i & 63];
    }
  }
};

void encode64_to(char* to, std::string_view bytes, const EncodeTable& table) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  size_t size = bytes.size();
  if (const Base64Kernel* kernel = base64_kernel(); kernel != nullptr) {
    const size_t taken = kernel->encode(at, size, to, table.alphabet);
    at += taken, size -= taken, to += taken / 3 * 4;
  }
  const size_t left = size % 3;
  for (size_t i = 0; i < size / 3; i++, at += 3, to += 4) {
    std::memcpy(to, &table.pairs[2 * (static_cast<size_t>(at[0]) << 4 | at[1] >> 4)], 2);
    std::memcpy(to + 2, &table.pairs[2 * (static_cast<size_t>(at[1] & 15) << 8 | at[2])], 2);
  }
  if (left == 0) return;
  const uint32_t second = left == 2 ? static_cast<uint32_t>(at[1]) << 8 : 0;
  const uint32_t v = static_cast<uint32_t>(at[0]) << 16 | second;
  to[0] = table.letters[v >> 18];
  to[1] = table.letters[v >> 12 & 63];
  if (left == 2) to[2] = table.letters[v >> 6 & 63];
}

void encode64(std::string& out, std::string_view bytes, const EncodeTable& table, bool pad) {
  const size_t start = out.size(), left = bytes.size() % 3;
  const size_t size = start + bytes.size() / 3 * 4 + (left == 0 ? 0 : pad ? 4 : left + 1);
  out.resize_and_overwrite(size, [&](char* data, size_t) {
    if (left > 0) std::memset(data + size - 2, '=', 2);
    encode64_to(data + start, bytes, table);
    return size;
  });
}

// For each of the four places of a character, its value in place; kNoDigit for what is none.
constexpr uint32_t kNoDigit = 1u << 31;
struct DecodeTable {
  Base64Alphabet alphabet;
  std::array<std::array<uint32_t, 256>, 4> places{};
  explicit constexpr DecodeTable(Base64Alphabet which) : alphabet(which) {
    const char* letters = which == Base64Alphabet::kUrl ? kUrl : kStandard;
    for (auto& place : places) place.fill(kNoDigit);
    for (uint32_t i = 0; i < 64; i++) {
      const auto c = static_cast<unsigned char>(letters[i]);
      places[0][c] = i << 18;
      places[1][c] = i << 12;
      places[2][c] = i << 6;
      places[3][c] = i;
    }
  }
};

// Decodes to `to`; kNoDigit is set in the answer where some character is none.
uint32_t decode64_to(char* to, std::string_view text, const DecodeTable& table) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = text.size();
  if (const Base64Kernel* kernel = base64_kernel(); kernel != nullptr) {
    const size_t taken = kernel->decode(at, size, to, table.alphabet);
    at += taken, size -= taken, to += taken / 4 * 3;
  }
  const auto& places = table.places;
  uint32_t seen = 0;
  for (size_t i = 0; i < size / 4; i++, at += 4, to += 3) {
    const uint32_t v = places[0][at[0]] | places[1][at[1]] | places[2][at[2]] | places[3][at[3]];
    seen |= v;
    to[0] = static_cast<char>(v >> 16);
    to[1] = static_cast<char>(v >> 8);
    to[2] = static_cast<char>(v);
  }
  const size_t left = size % 4;
  if (left == 0) return seen;
  const uint32_t v = places[0][at[0]] | places[1][at[1]] | (left == 3 ? places[2][at[2]] : 0);
  to[0] = static_cast<char>(v >> 16);
  if (left == 3) to[1] = static_cast<char>(v >> 8);
  return seen | v;
}

Result<void> decode64(std::string& out, std::string_view text, const DecodeTable& table) {
  const size_t padded_size = text.size();
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  const size_t padding = padded_size - text.size();
  if (padding > 2 || (padding > 0 && padded_size % 4 != 0) || text.size() % 4 == 1) {
    return fail(ErrorKind::kInvalid, "illegal base64 data");
  }
  const size_t left = text.size() % 4;
  const size_t size = text.size() / 4 * 3 + (left == 0 ? 0 : left - 1);
  uint32_t seen = 0;
  out.resize_and_overwrite(size, [&](char* data, size_t) {
    seen = decode64_to(data, text, table);
    return size;
  });
  if ((seen & kNoDigit) != 0) return fail(ErrorKind::kInvalid, "illegal base64 data");
  return {};
}

Result<std::string> decoded64(std::string_view text, const DecodeTable& table) {
  std::string out;
  auto decoded = decode64(out, text, table);
  if (!decoded) return forward(decoded);
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string hex_encode(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (unsigned char byte : bytes) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

Result<std::string> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return fail(ErrorKind::kInvalid, "odd number of hex digits");
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return fail(ErrorKind::kInvalid, "not a hex digit");
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

namespace {
constexpr EncodeTable kEncodeStandard(Base64Alphabet::kStandard), kEncodeUrl(Base64Alphabet::kUrl);
constexpr DecodeTable kDecodeStandard(Base64Alphabet::kStandard), kDecodeUrl(Base64Alphabet::kUrl);
}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
  encode64(out, bytes, kEncodeStandard, true);
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  append_base64(out, bytes);
  return out;
}

std::string base64url_encode(std::string_view bytes) {
  std::string out;
  encode64(out, bytes, kEncodeUrl, false);
  return out;
}

Result<std::string> base64_decode(std::string_view text) {
  return decoded64(text, kDecodeStandard);
}

Result<void> base64_decode_to(std::string& out, std::string_view text) {
  return decode64(out, text, kDecodeStandard);
}

Result<std::string> base64url_decode(std::string_view text) { return decoded64(text, kDecodeUrl); }

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

void append_u16(std::string& out, uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}

void append_u32(std::string& out, uint32_t value) {
  append_u16(out, static_cast<uint16_t>(value >> 16));
  append_u16(out, static_cast<uint16_t>(value));
}

void append_u64(std::string& out, uint64_t value) {
  append_u32(out, static_cast<uint32_t>(value >> 32));
  append_u32(out, static_cast<uint32_t>(value));
}

uint16_t read_u16(const char* at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(at[0]) << 8 |
                               static_cast<unsigned char>(at[1]));
}

uint32_t read_u32(const char* at) {
  return static_cast<uint32_t>(read_u16(at)) << 16 | read_u16(at + 2);
}

uint64_t read_u64(const char* at) {
  return static_cast<uint64_t>(read_u32(at)) << 32 | read_u32(at + 4);
}

bool ByteReader::u8(uint8_t& out) {
  std::string_view raw;
  if (!bytes(1, raw)) return false;
  out = static_cast<uint8_t>(raw[0]);
  return true;
}

bool ByteReader::u16(uint16_t& out) {
  std::string_view raw;
  if (!bytes(2, raw)) return false;
  out = read_u16(raw.data());
  return true;
}

bool ByteReader::u32(uint32_t& out) {
  std::string_view raw;
  if (!bytes(4, raw)) return false;
  out = read_u32(raw.data());
  return true;
}

bool ByteReader::u64(uint64_t& out) {
  std::string_view raw;
  if (!bytes(8, raw)) return false;
  out = read_u64(raw.data());
  return true;
}

bool ByteReader::bytes(size_t count, std::string_view& out) {
  if (rest_.size() < count) return false;
  out = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return true;
}

bool ByteReader::string16(std::string_view& out) {
  uint16_t size;
  return u16(size) && bytes(size, out);
}

bool ByteReader::string32(std::string_view& out) {
  uint32_t size;
  return u32(size) && bytes(size, out);
}

void append_string16(std::string& out, std::string_view text) {
  REKEY_CHECK(text.size() <= 0xffff);
  append_u16(out, static_cast<uint16_t>(text.size()));
  out += text;
}

void append_string32(std::string& out, std::string_view text) {
  REKEY_CHECK(text.size() <= 0xffffffff);
  append_u32(out, static_cast<uint32_t>(text.size()));
  out += text;
}

bool is_valid_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = at + text.size();
  while (at < end) {
    if (*at < 0x80) {
      at++;
      continue;
    }
    int more;
    uint32_t code, least;
    if ((*at & 0xe0) == 0xc0)
      more = 1, code = *at & 0x1f, least = 0x80;
    else if ((*at & 0xf0) == 0xe0)
      more = 2, code = *at & 0x0f, least = 0x800;
    else if ((*at & 0xf8) == 0xf0)
      more = 3, code = *at & 0x07, least = 0x10000;
    else
      return false;
    if (end - at <= more) return false;
    for (int i = 1; i <= more; i++) {
      if ((at[i] & 0xc0) != 0x80) return false;
      code = code << 6 | (at[i] & 0x3f);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
    at += more + 1;
  }
  return true;
}

}  // namespace rekey::base
