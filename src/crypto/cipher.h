// AEAD ciphers for keys that clients own (the transit engine): AES-GCM (NIST SP 800-38D) with 128
// or 256 bits and ChaCha20-Poly1305 (RFC 8439), each with a nonce of 12 bytes and a tag of 16.
//
// Knows nothing of key versions or of where nonces come from. Keeps one prepared OpenSSL context,
// so an object is used by one thread at a time; many threads at once are what Aead is for. The key
// schedule is wiped with the object.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret_bytes.h"

struct evp_cipher_ctx_st;

namespace rekey::crypto {

enum class CipherKind { kAes128Gcm, kAes256Gcm, kChacha20Poly1305 };

inline constexpr size_t kCipherNonceBytes = 12;
inline constexpr size_t kCipherTagBytes = 16;
inline constexpr size_t kCipherInputBytesMax = size_t{1} << 30;  // of one message

size_t cipher_key_bytes(CipherKind kind);

class Cipher {
 public:
  // `key` has cipher_key_bytes(kind) bytes and isn't kept.
  Cipher(CipherKind kind, const base::SecretBytes& key);
  ~Cipher();
  Cipher(Cipher&&) noexcept = default;
  Cipher& operator=(Cipher&&) noexcept = default;

  // Writes ciphertext and tag, plaintext.size() + kCipherTagBytes bytes, to `out`. The plaintext
  // has at most kCipherInputBytesMax bytes; a nonce must never be used twice under one key.
  void seal(std::string_view nonce, std::string_view associated, std::string_view plaintext,
            char* out);

  // Appends the plaintext to `out`. kInvalid, and `out` as it was, unless every byte of nonce,
  // associated data, ciphertext and tag is what was sealed.
  base::Result<void> open(std::string_view nonce, std::string_view associated,
                          std::string_view ciphertext_and_tag, std::string& out);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  std::unique_ptr<evp_cipher_ctx_st, Free> context_;
};

}  // namespace rekey::crypto
