#include "crypto/shamir.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using base::SecretBytes;

// Multiplication in GF(2^8), eight steps whatever the operands are. The mask is hidden from the
// compiler, which could otherwise turn it back into a branch.
uint8_t multiply(uint8_t a, uint8_t b) {
  unsigned product = 0;
  unsigned shifted = a;
  for (int bit = 0; bit < 8; bit++) {
    unsigned take = -(static_cast<unsigned>(b) >> bit & 1u);
    unsigned reduce = -(shifted >> 7 & 1u);
    asm volatile("" : "+r"(take), "+r"(reduce));
    product ^= shifted & take;
    shifted = (shifted << 1 ^ (0x11bu & reduce)) & 0xffu;
  }
  return static_cast<uint8_t>(product);
}

// a^254, which is 1/a; 0 for 0.
uint8_t inverse(uint8_t a) {
  uint8_t power = a;  // a^(2^(i+1) - 1) after step i
  for (int i = 0; i < 6; i++) power = multiply(multiply(power, power), a);
  return multiply(power, power);
}

// The weight of share `index` in the value at x = 0 (Lagrange). x coordinates aren't secret.
uint8_t weight(std::span<const uint8_t> xs, size_t index) {
  uint8_t numerator = 1;
  uint8_t denominator = 1;
  for (size_t other = 0; other < xs.size(); other++) {
    if (other == index) continue;
    numerator = multiply(numerator, xs[other]);
    denominator = multiply(denominator, xs[other] ^ xs[index]);
  }
  return multiply(numerator, inverse(denominator));
}

// 1 to 255 in random order (Fisher-Yates), so that a share doesn't say in which order it was made.
std::array<uint8_t, 255> shuffled_coordinates(base::Random& random) {
  std::array<uint8_t, 255> xs;
  for (size_t i = 0; i < xs.size(); i++) xs[i] = static_cast<uint8_t>(i + 1);
  for (size_t i = xs.size() - 1; i > 0; i--) {
    std::swap(xs[i], xs[random.number() % (i + 1)]);  // coordinates needn't be unbiased
  }
  return xs;
}

}  // namespace

base::Result<std::vector<SecretBytes>> shamir_split(const SecretBytes& secret, int shares,
                                                    int threshold, base::Random& random) {
  if (secret.empty()) return base::fail(ErrorKind::kInvalid, "cannot split an empty secret");
  if (threshold < kShamirThresholdMin) {
    return base::fail(ErrorKind::kInvalid, "threshold must be at least 2");
  }
  if (shares > kShamirSharesMax) return base::fail(ErrorKind::kInvalid, "parts cannot exceed 255");
  if (shares < threshold) {
    return base::fail(ErrorKind::kInvalid, "parts cannot be less than threshold");
  }
  const std::array<uint8_t, 255> xs = shuffled_coordinates(random);
  const std::string_view bytes = secret.reveal();
  std::vector<SecretBytes> out;
  for (int i = 0; i < shares; i++) {
    out.emplace_back(bytes.size() + 1);
    out.back().reveal_for_writing()[bytes.size()] = xs[static_cast<size_t>(i)];
  }
  const auto degree = static_cast<size_t>(threshold - 1);
  for (size_t at = 0; at < bytes.size(); at++) {
    const SecretBytes coefficients = random.secret(degree);
    for (size_t share = 0; share < out.size(); share++) {
      uint8_t y = 0;  // Horner's rule, from the highest coefficient down to the secret
      for (size_t i = degree; i-- > 0;) {
        y = multiply(y ^ static_cast<uint8_t>(coefficients.reveal()[i]), xs[share]);
      }
      out[share].reveal_for_writing()[at] = y ^ static_cast<uint8_t>(bytes[at]);
    }
  }
  return out;
}

base::Result<SecretBytes> shamir_combine(std::span<const SecretBytes> shares) {
  if (shares.size() < 2) {
    return base::fail(ErrorKind::kInvalid,
                      "less than two parts cannot be used to reconstruct the secret");
  }
  const size_t size = shares[0].size();
  if (size < 2) return base::fail(ErrorKind::kInvalid, "parts must be at least two bytes");
  std::vector<uint8_t> xs;
  std::array<bool, 256> seen{};
  for (const SecretBytes& share : shares) {
    if (share.size() != size) {
      return base::fail(ErrorKind::kInvalid, "all parts must be the same length");
    }
    const auto x = static_cast<uint8_t>(share.reveal()[size - 1]);
    if (seen[x]) return base::fail(ErrorKind::kInvalid, "duplicate part detected");
    if (x == 0) return base::fail(ErrorKind::kInvalid, "a part has no coordinate");
    seen[x] = true;
    xs.push_back(x);
  }
  SecretBytes secret(size - 1);
  for (size_t i = 0; i < shares.size(); i++) {
    const uint8_t share_weight = weight(xs, i);
    for (size_t at = 0; at + 1 < size; at++) {
      secret.reveal_for_writing()[at] ^=
          multiply(static_cast<uint8_t>(shares[i].reveal()[at]), share_weight);
    }
  }
  return secret;
}

}  // namespace rekey::crypto
