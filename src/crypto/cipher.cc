#include "crypto/cipher.h"

#include <openssl/evp.h>

#include "base/check.h"

namespace rekey::crypto {
namespace {

const unsigned char* data_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

const EVP_CIPHER* cipher_of(CipherKind kind) {
  switch (kind) {
    case CipherKind::kAes128Gcm:
      return EVP_aes_128_gcm();
    case CipherKind::kAes256Gcm:
      return EVP_aes_256_gcm();
    case CipherKind::kChacha20Poly1305:
      return EVP_chacha20_poly1305();
  }
  return nullptr;
}

std::unexpected<base::Error> refused() {
  return base::fail(base::ErrorKind::kInvalid, "message authentication failed");
}

}  // namespace

size_t cipher_key_bytes(CipherKind kind) { return kind == CipherKind::kAes128Gcm ? 16 : 32; }

// EVP_CIPHER_CTX_free cleanses the key schedule before it releases it.
void Cipher::Free::operator()(evp_cipher_ctx_st* context) const { EVP_CIPHER_CTX_free(context); }

Cipher::Cipher(CipherKind kind, const base::SecretBytes& key) : context_(EVP_CIPHER_CTX_new()) {
  REKEY_CHECK(key.size() == cipher_key_bytes(kind));
  REKEY_CHECK(context_ != nullptr);
  REKEY_CHECK(EVP_EncryptInit_ex2(context_.get(), cipher_of(kind), data_of(key.reveal()), nullptr,
                                  nullptr) == 1);
}

Cipher::~Cipher() = default;

void Cipher::seal(std::string_view nonce, std::string_view associated, std::string_view plaintext,
                  char* out) {
  REKEY_CHECK(nonce.size() == kCipherNonceBytes);
  REKEY_CHECK(plaintext.size() <= kCipherInputBytesMax);
  REKEY_CHECK(associated.size() <= kCipherInputBytesMax);
  auto* to = reinterpret_cast<unsigned char*>(out);
  EVP_CIPHER_CTX* context = context_.get();
  int done = 0;
  bool ok = EVP_CipherInit_ex2(context, nullptr, nullptr, data_of(nonce), 1, nullptr) == 1;
  if (!associated.empty()) {
    ok = ok && EVP_EncryptUpdate(context, nullptr, &done, data_of(associated),
                                 static_cast<int>(associated.size())) == 1;
  }
  if (!plaintext.empty()) {
    ok = ok && EVP_EncryptUpdate(context, to, &done, data_of(plaintext),
                                 static_cast<int>(plaintext.size())) == 1;
    to += plaintext.size();
  }
  ok = ok && EVP_EncryptFinal_ex(context, to, &done) == 1;
  ok = ok && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kCipherTagBytes, to) == 1;
  REKEY_CHECK(ok);
}

base::Result<void> Cipher::open(std::string_view nonce, std::string_view associated,
                                std::string_view ciphertext_and_tag, std::string& out) {
  if (nonce.size() != kCipherNonceBytes || ciphertext_and_tag.size() < kCipherTagBytes ||
      ciphertext_and_tag.size() > kCipherInputBytesMax) {
    return refused();
  }
  const size_t size = ciphertext_and_tag.size() - kCipherTagBytes;
  const std::string_view ciphertext = ciphertext_and_tag.substr(0, size);
  unsigned char tag[kCipherTagBytes];
  ciphertext_and_tag.copy(reinterpret_cast<char*>(tag), kCipherTagBytes, size);
  const size_t start = out.size();
  out.resize(start + size);
  EVP_CIPHER_CTX* context = context_.get();
  int done = 0;
  bool ok = EVP_CipherInit_ex2(context, nullptr, nullptr, data_of(nonce), 0, nullptr) == 1;
  if (!associated.empty()) {
    ok = ok && EVP_DecryptUpdate(context, nullptr, &done, data_of(associated),
                                 static_cast<int>(associated.size())) == 1;
  }
  if (size > 0) {
    ok = ok && EVP_DecryptUpdate(context, reinterpret_cast<unsigned char*>(out.data() + start),
                                 &done, data_of(ciphertext), static_cast<int>(size)) == 1;
  }
  ok = ok && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kCipherTagBytes, tag) == 1;
  REKEY_CHECK(ok);
  unsigned char nothing[kCipherTagBytes];
  if (EVP_DecryptFinal_ex(context, nothing, &done) != 1) {
    // What was decrypted before the tag was checked must not be seen by anyone.
    base::wipe(out.data() + start, size);
    out.resize(start);
    return refused();
  }
  return {};
}

}  // namespace rekey::crypto
