#include "crypto/aead.h"

#include <openssl/evp.h>

#include <cstdint>

#include "base/check.h"

namespace rekey::crypto {
namespace {

const unsigned char* data_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

int size_of(std::string_view bytes) {
  REKEY_CHECK(bytes.size() <= INT32_MAX);
  return static_cast<int>(bytes.size());
}

// Where in the pool a thread starts to look. The address of a thread's own variable differs from
// thread to thread and costs nothing to get.
size_t first_slot() {
  static thread_local char own_address;
  const auto address = reinterpret_cast<uintptr_t>(&own_address);
  // Thread-local areas are far apart: the low 12 bits are the same in all of them.
  return (address >> 12) * 0x9E3779B97F4A7C15u >> 32;
}

}  // namespace

// A context taken out of the pool for one call and put back after it.
class Aead::Borrowed {
 public:
  explicit Borrowed(const Aead& owner) : owner_(owner), first_(first_slot()) {
    for (size_t i = 0; i < kProbes && context_ == nullptr; i++) {
      context_ = slot(i).exchange(nullptr, std::memory_order_acquire);
    }
    if (context_ == nullptr) context_ = owner_.make_context();
  }
  ~Borrowed() {
    for (size_t i = 0; i < kProbes; i++) {
      Context* expected = nullptr;
      if (slot(i).compare_exchange_strong(expected, context_, std::memory_order_release,
                                          std::memory_order_relaxed)) {
        return;
      }
    }
    EVP_CIPHER_CTX_free(context_);
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  Context* get() const { return context_; }

 private:
  static constexpr size_t kProbes = 4;
  std::atomic<Context*>& slot(size_t i) const {
    return owner_.pool_[(first_ + i) % kPoolSlots].context;
  }

  const Aead& owner_;
  const size_t first_;
  Context* context_ = nullptr;
};

Aead::Aead(const base::SecretBytes& key)
    : key_(key.clone()), cipher_(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)) {
  REKEY_CHECK(key.size() == kAeadKeyBytes);
  REKEY_CHECK(cipher_ != nullptr);
}

Aead::~Aead() {
  // EVP_CIPHER_CTX_free cleanses the key schedule before it releases it.
  for (Slot& slot : pool_) EVP_CIPHER_CTX_free(slot.context.exchange(nullptr));
  EVP_CIPHER_free(cipher_);
}

Aead::Context* Aead::make_context() const {
  Context* context = EVP_CIPHER_CTX_new();
  REKEY_CHECK(context != nullptr);
  // The key schedule of GCM is the same in both directions, so one context serves both.
  REKEY_CHECK(EVP_EncryptInit_ex2(context, cipher_, data_of(key_.reveal()), nullptr, nullptr) == 1);
  return context;
}

void Aead::seal(std::string_view nonce, std::string_view aad_1, std::string_view aad_2,
                std::string_view plaintext, std::string& out) const {
  REKEY_CHECK(nonce.size() == kAeadNonceBytes);
  const size_t start = out.size();
  out.resize(start + plaintext.size() + kAeadTagBytes);
  auto* to = reinterpret_cast<unsigned char*>(out.data() + start);

  const Borrowed borrowed(*this);
  Context* context = borrowed.get();
  int done = 0;
  bool ok = EVP_CipherInit_ex2(context, nullptr, nullptr, data_of(nonce), 1, nullptr) == 1;
  ok = ok && EVP_EncryptUpdate(context, nullptr, &done, data_of(aad_1), size_of(aad_1)) == 1;
  ok = ok && EVP_EncryptUpdate(context, nullptr, &done, data_of(aad_2), size_of(aad_2)) == 1;
  if (!plaintext.empty()) {
    ok = ok && EVP_EncryptUpdate(context, to, &done, data_of(plaintext), size_of(plaintext)) == 1;
    to += plaintext.size();
  }
  ok = ok && EVP_EncryptFinal_ex(context, to, &done) == 1;
  ok = ok && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kAeadTagBytes, to) == 1;
  REKEY_CHECK(ok);
}

base::Result<void> Aead::open(std::string_view nonce, std::string_view aad_1,
                              std::string_view aad_2, std::string_view ciphertext_and_tag,
                              std::string& out) const {
  if (nonce.size() != kAeadNonceBytes || ciphertext_and_tag.size() < kAeadTagBytes) {
    return base::fail(base::ErrorKind::kCorrupt, "message authentication failed");
  }
  const size_t size = ciphertext_and_tag.size() - kAeadTagBytes;
  const std::string_view ciphertext = ciphertext_and_tag.substr(0, size);
  unsigned char tag[kAeadTagBytes];
  ciphertext_and_tag.copy(reinterpret_cast<char*>(tag), kAeadTagBytes, size);
  const size_t start = out.size();
  out.resize(start + size);
  auto* to = reinterpret_cast<unsigned char*>(out.data() + start);

  const Borrowed borrowed(*this);
  Context* context = borrowed.get();
  int done = 0;
  bool ok = EVP_CipherInit_ex2(context, nullptr, nullptr, data_of(nonce), 0, nullptr) == 1;
  ok = ok && EVP_DecryptUpdate(context, nullptr, &done, data_of(aad_1), size_of(aad_1)) == 1;
  ok = ok && EVP_DecryptUpdate(context, nullptr, &done, data_of(aad_2), size_of(aad_2)) == 1;
  if (!ciphertext.empty()) {
    ok = ok && EVP_DecryptUpdate(context, to, &done, data_of(ciphertext), size_of(ciphertext)) == 1;
    to += size;
  }
  ok = ok && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kAeadTagBytes, tag) == 1;
  REKEY_CHECK(ok);
  unsigned char nothing[kAeadTagBytes];
  if (EVP_DecryptFinal_ex(context, nothing, &done) != 1) {
    // What was decrypted before the tag was checked must not be seen by anyone.
    base::wipe(out.data() + start, size);
    out.resize(start);
    return base::fail(base::ErrorKind::kCorrupt, "message authentication failed");
  }
  return {};
}

}  // namespace rekey::crypto
