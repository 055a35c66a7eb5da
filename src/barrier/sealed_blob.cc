#include "barrier/sealed_blob.h"

#include "crypto/aead.h"

namespace rekey::barrier {
namespace {
constexpr char kBlobVersion = 1;
constexpr size_t kHeaderBytes = 1 + crypto::kAeadNonceBytes;
}  // namespace

std::string seal_blob(const base::SecretBytes& key, std::string_view meaning,
                      std::string_view plaintext, base::Random& random) {
  const crypto::Aead aead(key);
  const std::string nonce = random.bytes(crypto::kAeadNonceBytes);
  std::string blob(1, kBlobVersion);
  blob += nonce;
  aead.seal(nonce, std::string_view(&kBlobVersion, 1), meaning, plaintext, blob);
  return blob;
}

base::Result<base::SecretBytes> open_blob(const base::SecretBytes& key, std::string_view meaning,
                                          std::string_view blob) {
  if (blob.size() < kHeaderBytes || blob[0] != kBlobVersion) {
    return base::fail(base::ErrorKind::kCorrupt, "stored key material has an unknown form");
  }
  const crypto::Aead aead(key);
  std::string plaintext;
  base::Result<void> opened = aead.open(blob.substr(1, crypto::kAeadNonceBytes), blob.substr(0, 1),
                                        meaning, blob.substr(kHeaderBytes), plaintext);
  if (!opened) return base::forward(opened);
  return base::SecretBytes::copy_of(plaintext);  // the heap wipes `plaintext`
}

}  // namespace rekey::barrier
