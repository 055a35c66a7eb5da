// SHA-256 is driven by its own functions, which OpenSSL 3 calls deprecated, and by nothing else:
// EVP has no way to copy a prepared state without allocating. An HMAC of 30 bytes costs 133 ns so,
// 251 ns with EVP_MAC and 1,472 ns with HMAC(); a read of a secret makes four.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include "crypto/digest.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include <cstring>
#include <iterator>
#include <memory>

#include "base/check.h"

namespace rekey::crypto {
namespace {

constexpr size_t kSha256BlockBytes = 64;

void update(SHA256_CTX& state, std::string_view bytes) {
  if (!bytes.empty()) SHA256_Update(&state, bytes.data(), bytes.size());
}

// The state after one block of `key` with every byte changed by `pad`.
SHA256_CTX after_pad(const unsigned char (&key)[kSha256BlockBytes], unsigned char pad) {
  unsigned char block[kSha256BlockBytes];
  for (size_t i = 0; i < kSha256BlockBytes; i++) block[i] = key[i] ^ pad;
  SHA256_CTX state;
  SHA256_Init(&state);
  SHA256_Update(&state, block, sizeof(block));
  base::wipe(block, sizeof(block));
  return state;
}

struct HmacStates {
  SHA256_CTX inner;
  SHA256_CTX outer;
};
static_assert(std::is_trivially_copyable_v<HmacStates>);

std::unexpected<base::Error> unsupported(std::string_view algorithm) {
  return base::fail(base::ErrorKind::kInvalid, "unsupported algorithm " + std::string(algorithm));
}

}  // namespace

Sha256Digest sha256(std::string_view a, std::string_view b, std::string_view c) {
  SHA256_CTX state;
  SHA256_Init(&state);
  update(state, a);
  update(state, b);
  update(state, c);
  Sha256Digest digest;
  SHA256_Final(digest.data(), &state);
  return digest;
}

HmacSha256::HmacSha256(const base::SecretBytes& key) : states_(sizeof(HmacStates)) {
  unsigned char block[kSha256BlockBytes] = {};
  const std::string_view bytes = key.reveal();
  if (bytes.size() > sizeof(block)) {
    Sha256Digest shorter = sha256(bytes);
    std::memcpy(block, shorter.data(), shorter.size());
    base::wipe(shorter.data(), shorter.size());
  } else if (!bytes.empty()) {
    std::memcpy(block, bytes.data(), bytes.size());
  }
  HmacStates states{.inner = after_pad(block, 0x36), .outer = after_pad(block, 0x5c)};
  std::memcpy(states_.reveal_for_writing().data(), &states, sizeof(states));
  base::wipe(&states, sizeof(states));
  base::wipe(block, sizeof(block));
}

Sha256Digest HmacSha256::mac(std::string_view a, std::string_view b) const {
  // The states on the stack are overwritten by SHA256_Final, which cleanses what it finishes.
  HmacStates states;
  std::memcpy(&states, states_.reveal().data(), sizeof(states));
  update(states.inner, a);
  update(states.inner, b);
  Sha256Digest digest;
  SHA256_Final(digest.data(), &states.inner);
  SHA256_Update(&states.outer, digest.data(), digest.size());
  SHA256_Final(digest.data(), &states.outer);
  base::wipe(&states, sizeof(states));
  return digest;
}

base::SecretBytes hkdf_sha256(const base::SecretBytes& key, std::string_view salt,
                              std::string_view info, size_t size) {
  REKEY_CHECK(size > 0 && size <= 255 * sizeof(Sha256Digest));
  std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr),
                                                        &EVP_KDF_free);
  REKEY_CHECK(kdf != nullptr);
  std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(EVP_KDF_CTX_new(kdf.get()),
                                                                    &EVP_KDF_CTX_free);
  REKEY_CHECK(context != nullptr);
  char digest_name[] = "SHA256";
  const auto octets = [](const char* name, std::string_view bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<char*>(bytes.data()), bytes.size());
  };
  OSSL_PARAM params[5];
  size_t count = 0;
  params[count++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest_name, 0);
  params[count++] = octets(OSSL_KDF_PARAM_KEY, key.reveal());
  if (!salt.empty()) params[count++] = octets(OSSL_KDF_PARAM_SALT, salt);
  if (!info.empty()) params[count++] = octets(OSSL_KDF_PARAM_INFO, info);
  params[count] = OSSL_PARAM_construct_end();
  base::SecretBytes derived(size);
  REKEY_CHECK(EVP_KDF_derive(context.get(), derived.reveal_for_writing().data(), size, params) ==
              1);
  return derived;
}

const char* openssl_digest_name(std::string_view algorithm) {
  struct Named {
    std::string_view ours;
    const char* openssl;
  };
  constexpr Named kAlgorithms[] = {
      {"sha1", "SHA1"},         {"sha2-224", "SHA224"},   {"sha2-256", "SHA256"},
      {"sha2-384", "SHA384"},   {"sha2-512", "SHA512"},   {"sha3-224", "SHA3-224"},
      {"sha3-256", "SHA3-256"}, {"sha3-384", "SHA3-384"}, {"sha3-512", "SHA3-512"},
  };
  for (const Named& named : kAlgorithms) {
    if (named.ours == algorithm) return named.openssl;
  }
  return nullptr;
}

base::Result<std::string> digest_or_sha1(std::string_view algorithm, std::string_view data) {
  const char* name = openssl_digest_name(algorithm);
  if (name == nullptr) return unsupported(algorithm);
  std::string out(EVP_MAX_MD_SIZE, '\0');
  size_t size = 0;
  REKEY_CHECK(EVP_Q_digest(nullptr, name, nullptr, data.data(), data.size(),
                           reinterpret_cast<unsigned char*>(out.data()), &size) == 1);
  out.resize(size);
  return out;
}

base::Result<std::string> digest(std::string_view algorithm, std::string_view data) {
  if (algorithm == "sha1") return unsupported(algorithm);
  return digest_or_sha1(algorithm, data);
}

base::Result<std::string> hmac(std::string_view algorithm, const base::SecretBytes& key,
                               std::string_view data) {
  const char* name = openssl_digest_name(algorithm);
  if (name == nullptr) return unsupported(algorithm);
  std::string out(EVP_MAX_MD_SIZE, '\0');
  size_t size = 0;
  REKEY_CHECK(EVP_Q_mac(nullptr, "HMAC", nullptr, name, nullptr, key.reveal().data(), key.size(),
                        reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                        reinterpret_cast<unsigned char*>(out.data()), out.size(),
                        &size) != nullptr);
  out.resize(size);
  return out;
}

}  // namespace rekey::crypto
