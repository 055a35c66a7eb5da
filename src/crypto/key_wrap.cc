#include "crypto/key_wrap.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>

#include "base/check.h"

namespace rekey::crypto {
namespace {

constexpr size_t kBlockBytes = 8;
constexpr size_t kWrappedBytesMin = 2 * kBlockBytes;

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

const unsigned char* data_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Context start(const base::SecretBytes& key, int encrypt) {
  REKEY_CHECK(key.size() == kKeyWrapKeyBytes);
  Context context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  REKEY_CHECK(context != nullptr);
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  REKEY_CHECK(EVP_CipherInit_ex(context.get(), EVP_aes_256_wrap_pad(), nullptr,
                                data_of(key.reveal()), nullptr, encrypt) == 1);
  return context;
}

}  // namespace

std::string key_wrap(const base::SecretBytes& wrapping_key, const base::SecretBytes& key) {
  REKEY_CHECK(!key.empty() && key.size() <= kKeyWrapInputBytesMax);
  const Context context = start(wrapping_key, 1);
  std::string out(key.size() + 2 * kBlockBytes, '\0');
  int size = 0;
  REKEY_CHECK(EVP_CipherUpdate(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                               data_of(key.reveal()), static_cast<int>(key.size())) == 1);
  out.resize(static_cast<size_t>(size));
  return out;
}

base::Result<base::SecretBytes> key_unwrap(const base::SecretBytes& wrapping_key,
                                           std::string_view wrapped) {
  if (wrapped.size() < kWrappedBytesMin || wrapped.size() % kBlockBytes != 0 ||
      wrapped.size() > kKeyWrapInputBytesMax + kWrappedBytesMin) {
    return base::fail(base::ErrorKind::kInvalid, "a wrapped key of the wrong length");
  }
  const Context context = start(wrapping_key, 0);
  base::SecretBytes padded(wrapped.size());
  int size = 0;
  const bool ok = EVP_CipherUpdate(context.get(), padded.reveal_for_writing().data(), &size,
                                   data_of(wrapped), static_cast<int>(wrapped.size())) == 1;
  if (!ok || size <= 0) {
    ERR_clear_error();
    return base::fail(base::ErrorKind::kInvalid, "the wrapped key is not what was wrapped");
  }
  return base::SecretBytes::copy_of(padded.reveal().substr(0, static_cast<size_t>(size)));
}

}  // namespace rekey::crypto
