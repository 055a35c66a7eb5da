// AES-256-GCM (NIST SP 800-38D) under one key, for the barrier.
//
// Knows nothing of what it encrypts, of nonces' origin or of key numbers. Safe on any thread at the
// same time. A prepared OpenSSL context (key schedule and GHASH tables) is borrowed for each call
// from a small lock-free pool that belongs to the object, so that no copy of the key lives in
// thread-local memory: when the object goes, every key schedule made from its key is wiped.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret_bytes.h"

struct evp_cipher_st;
struct evp_cipher_ctx_st;

namespace rekey::crypto {

inline constexpr size_t kAeadKeyBytes = 32;
inline constexpr size_t kAeadNonceBytes = 12;
inline constexpr size_t kAeadTagBytes = 16;

class Aead {
 public:
  // `key` has kAeadKeyBytes bytes and isn't kept.
  explicit Aead(const base::SecretBytes& key);
  ~Aead();  // no call may still run
  Aead(const Aead&) = delete;
  Aead& operator=(const Aead&) = delete;

  // Appends ciphertext and tag to `out`. The associated data is the two parts one after the other;
  // the caller makes sure that different pairs can't give the same bytes. A nonce of
  // kAeadNonceBytes bytes must never be used twice under one key.
  void seal(std::string_view nonce, std::string_view aad_1, std::string_view aad_2,
            std::string_view plaintext, std::string& out) const;

  // Appends the plaintext to `out`. kCorrupt, and `out` as it was, unless every byte of nonce,
  // associated data, ciphertext and tag is what was sealed.
  base::Result<void> open(std::string_view nonce, std::string_view aad_1, std::string_view aad_2,
                          std::string_view ciphertext_and_tag, std::string& out) const;

 private:
  using Context = evp_cipher_ctx_st;
  // More slots than threads that ever encrypt at the same time; beyond, a context is made per call.
  static constexpr size_t kPoolSlots = 64;
  struct alignas(64) Slot {
    std::atomic<Context*> context{nullptr};
  };

  class Borrowed;
  Context* make_context() const;

  base::SecretBytes key_;
  evp_cipher_st* cipher_;
  mutable std::array<Slot, kPoolSlots> pool_;
};

}  // namespace rekey::crypto
