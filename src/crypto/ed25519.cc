#include "crypto/ed25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>
#include <utility>

#include "base/check.h"

namespace rekey::crypto {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

const unsigned char* data_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Key private_key(const base::SecretBytes& seed) {
  const std::string_view bytes = seed.reveal();
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, data_of(bytes), bytes.size()),
          &EVP_PKEY_free);
  REKEY_CHECK(key != nullptr);
  return key;
}

}  // namespace

Ed25519PrivateKey::Ed25519PrivateKey(base::SecretBytes seed)
    : seed_(std::move(seed)), public_key_(kEd25519PublicKeyBytes, '\0') {
  size_t size = public_key_.size();
  REKEY_CHECK(EVP_PKEY_get_raw_public_key(private_key(seed_).get(),
                                          reinterpret_cast<unsigned char*>(public_key_.data()),
                                          &size) == 1);
}

Ed25519PrivateKey Ed25519PrivateKey::generate(base::Random& random) {
  return Ed25519PrivateKey(random.secret(kEd25519SeedBytes));
}

base::Result<Ed25519PrivateKey> Ed25519PrivateKey::from_seed(base::SecretBytes seed) {
  if (seed.size() != kEd25519SeedBytes) {
    return base::fail(base::ErrorKind::kInvalid, "an Ed25519 seed has 32 bytes");
  }
  return Ed25519PrivateKey(std::move(seed));
}

std::string Ed25519PrivateKey::sign(std::string_view message) const {
  const Key key = private_key(seed_);
  const DigestContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  REKEY_CHECK(context != nullptr);
  REKEY_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  std::string signature(kEd25519SignatureBytes, '\0');
  size_t size = signature.size();
  REKEY_CHECK(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                             &size, data_of(message), message.size()) == 1);
  return signature;
}

bool ed25519_verify(std::string_view public_key, std::string_view message,
                    std::string_view signature) {
  if (public_key.size() != kEd25519PublicKeyBytes || signature.size() != kEd25519SignatureBytes) {
    return false;
  }
  const Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, data_of(public_key),
                                            public_key.size()),
                &EVP_PKEY_free);
  const DigestContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  REKEY_CHECK(context != nullptr);
  const bool valid =
      key != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), data_of(signature), signature.size(), data_of(message),
                       message.size()) == 1;
  // A refusal leaves an entry in this thread's error queue, which TLS on the same thread would take
  // for one of its own.
  if (!valid) ERR_clear_error();
  return valid;
}

}  // namespace rekey::crypto
