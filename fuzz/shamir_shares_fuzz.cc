// rooms: crypto barrier
// Shares as people type them: decoding and combining never crashes, and what was split is found
// again from enough of its shares. One share a line; the bytes are also split themselves.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "barrier/seal.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/random.h"
#include "crypto/shamir.h"

namespace barrier = rekey::barrier;
namespace base = rekey::base;
namespace crypto = rekey::crypto;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<base::SecretBytes> shares;
  std::string_view rest = text;
  while (!rest.empty() && shares.size() < 300) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (auto share = barrier::decode_share(rest.substr(0, end))) {
      REKEY_CHECK(barrier::decode_share(base::hex_encode(share->reveal()))->reveal() ==
                  share->reveal());
      shares.push_back(std::move(*share));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (const auto secret = crypto::shamir_combine(shares)) {
    REKEY_CHECK(secret->size() + 1 == shares[0].size());
  }
  if (size < 3) return 0;
  const int threshold = 2 + data[0] % 4;
  const int count = threshold + data[1] % 4;
  base::SeededRandom random(size);
  const auto secret = base::SecretBytes::copy_of(text.substr(2, 64));
  const auto split = crypto::shamir_split(secret, count, threshold, random);
  REKEY_CHECK(split.has_value());
  const auto last = std::span(*split).last(static_cast<size_t>(threshold));
  REKEY_CHECK(crypto::shamir_combine(last)->reveal() == secret.reveal());
  return 0;
}
