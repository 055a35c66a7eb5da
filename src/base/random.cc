#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace rekey::base {
namespace {

constexpr size_t kBufferBytes = 1024;

void fill_from_kernel(unsigned char* out, size_t size) {
  while (size > 0) {
    const ssize_t got = getrandom(out, size, 0);
    if (got < 0 && errno == EINTR) continue;
    REKEY_CHECK(got > 0);
    out += got;
    size -= static_cast<size_t>(got);
  }
}

struct Buffer {
  unsigned char bytes[kBufferBytes];
  size_t left = 0;
  ~Buffer() { wipe(bytes, sizeof bytes); }
};

}  // namespace

std::string Random::bytes(size_t count) {
  std::string out(count, '\0');
  fill({reinterpret_cast<unsigned char*>(out.data()), count});
  return out;
}

SecretBytes Random::secret(size_t count) {
  SecretBytes out(count);
  fill(out.reveal_for_writing());
  return out;
}

uint64_t Random::number() {
  uint64_t out;
  fill({reinterpret_cast<unsigned char*>(&out), sizeof out});
  return out;
}

std::string Random::uuid() {
  unsigned char raw[16];
  fill(raw);
  raw[6] = static_cast<unsigned char>((raw[6] & 0x0f) | 0x40);
  raw[8] = static_cast<unsigned char>((raw[8] & 0x3f) | 0x80);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(36);
  for (size_t i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += kHex[raw[i] >> 4];
    out += kHex[raw[i] & 15];
  }
  return out;
}

std::string Random::base62(size_t length) {
  static constexpr char kAlphabet[] =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string out;
  out.reserve(length);
  while (out.size() < length) {
    unsigned char raw[32];
    fill(raw);
    for (unsigned char byte : raw) {
      if (byte >= 248 || out.size() == length) continue;  // 248 = 4 * 62: keeps it uniform
      out += kAlphabet[byte % 62];
    }
    wipe(raw, sizeof raw);
  }
  return out;
}

void SystemRandom::fill(std::span<unsigned char> out) {
  if (out.size() > kBufferBytes / 4) return fill_from_kernel(out.data(), out.size());
  thread_local Buffer buffer;
  if (buffer.left < out.size()) {
    fill_from_kernel(buffer.bytes, kBufferBytes);
    buffer.left = kBufferBytes;
  }
  unsigned char* from = buffer.bytes + (kBufferBytes - buffer.left);
  std::memcpy(out.data(), from, out.size());
  wipe(from, out.size());
  buffer.left -= out.size();
}

void SeededRandom::fill(std::span<unsigned char> out) {
  // splitmix64: small, and good enough for drawing tests.
  for (size_t at = 0; at < out.size(); at += 8) {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    std::memcpy(out.data() + at, &z, std::min<size_t>(8, out.size() - at));
  }
}

}  // namespace rekey::base
