// Shamir's secret sharing over GF(2^8) with the polynomial x^8+x^4+x^3+x+1, byte by byte, in the
// form that Vault writes: a share is one y for each byte of the secret and then, last, the x
// coordinate that all of them have in common. Shares of either program can be combined by the
// other.
//
// Field arithmetic takes the same time for all values and looks nothing up by a secret. Pure; any
// thread.
#pragma once

#include <span>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "base/secret_bytes.h"

namespace rekey::crypto {

inline constexpr int kShamirSharesMax = 255;
inline constexpr int kShamirThresholdMin = 2;

// `shares` shares of secret.size() + 1 bytes, any `threshold` of which give the secret back and
// fewer of which say nothing about it. kInvalid for an empty secret, a threshold below
// kShamirThresholdMin, more than kShamirSharesMax shares or a threshold above their number.
base::Result<std::vector<base::SecretBytes>> shamir_split(const base::SecretBytes& secret,
                                                          int shares, int threshold,
                                                          base::Random& random);

// The secret, if the shares are at least as many as the threshold and unaltered; otherwise other
// bytes of the same length: the format can't tell. kInvalid for fewer than two shares, shares that
// are shorter than two bytes or not of one length, and two with the same x coordinate.
base::Result<base::SecretBytes> shamir_combine(std::span<const base::SecretBytes> shares);

}  // namespace rekey::crypto
