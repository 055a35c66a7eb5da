#include "crypto/siphash.h"

#include <sodium/crypto_shorthash_siphash24.h>

#include "base/check.h"

namespace rekey::crypto {

static_assert(crypto_shorthash_siphashx24_KEYBYTES == kSipHashKeyBytes);
static_assert(crypto_shorthash_siphashx24_BYTES == sizeof(SipDigest));

SipHash::SipHash(base::SecretBytes key) : key_(std::move(key)) {
  REKEY_CHECK(key_.size() == kSipHashKeyBytes);
}

SipDigest SipHash::operator()(std::string_view bytes) const {
  SipDigest digest;
  crypto_shorthash_siphashx24(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()),
                              bytes.size(),
                              reinterpret_cast<const unsigned char*>(key_.reveal().data()));
  return digest;
}

}  // namespace rekey::crypto
