// Making key pairs, reading and writing them.
#include "crypto/key_pair.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <optional>

#include "base/check.h"

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using base::Result;
using base::SecretBytes;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

constexpr size_t kKeyTextBytesMax = 64 * 1024;  // of a key from outside, in PEM or DER
constexpr size_t kEd25519Bytes = 32;

const unsigned char* data_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

std::unexpected<base::Error> unreadable(std::string message) {
  ERR_clear_error();  // TLS on the same thread would take what is queued for its own
  return base::fail(ErrorKind::kInvalid, std::move(message));
}

std::optional<KeyPairKind> kind_of(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_ED25519:
      return KeyPairKind::kEd25519;
    case EVP_PKEY_EC: {
      char name[64];
      size_t size = 0;
      if (EVP_PKEY_get_group_name(key, name, sizeof name, &size) != 1) return std::nullopt;
      const std::string_view group(name, size);
      if (group == "prime256v1") return KeyPairKind::kP256;
      if (group == "secp384r1") return KeyPairKind::kP384;
      if (group == "secp521r1") return KeyPairKind::kP521;
      return std::nullopt;
    }
    case EVP_PKEY_RSA:
      switch (EVP_PKEY_get_bits(key)) {
        case 2048:
          return KeyPairKind::kRsa2048;
        case 3072:
          return KeyPairKind::kRsa3072;
        case 4096:
          return KeyPairKind::kRsa4096;
        default:
          return std::nullopt;
      }
    default:
      return std::nullopt;
  }
}

EVP_PKEY* make_key(KeyPairKind kind) {
  switch (kind) {
    case KeyPairKind::kEd25519:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    case KeyPairKind::kP256:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "prime256v1");
    case KeyPairKind::kP384:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "secp384r1");
    case KeyPairKind::kP521:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "secp521r1");
    case KeyPairKind::kRsa2048:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048});
    case KeyPairKind::kRsa3072:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{3072});
    case KeyPairKind::kRsa4096:
      return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{4096});
  }
  return nullptr;
}

std::string_view text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  REKEY_CHECK(size > 0);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

void KeyPair::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

Result<KeyPair> KeyPair::adopt(evp_pkey_st* key, bool has_private) {
  Key owned(key);
  const auto kind = kind_of(key);
  if (!kind) {
    return unreadable("keys of this type, curve or length are not supported");
  }
  return KeyPair(std::move(owned), *kind, has_private);
}

KeyPair KeyPair::generate(KeyPairKind kind) {
  EVP_PKEY* key = make_key(kind);
  REKEY_CHECK(key != nullptr);
  return KeyPair(Key(key), kind, true);
}

Result<KeyPair> KeyPair::from_private_der(std::string_view der) {
  if (der.empty() || der.size() > kKeyTextBytesMax) return unreadable("error parsing private key");
  const unsigned char* at = data_of(der);
  EVP_PKEY* key = d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size()));
  if (key == nullptr) return unreadable("error parsing private key");
  if (at != data_of(der) + der.size()) {
    EVP_PKEY_free(key);
    return unreadable("error parsing private key: trailing data");
  }
  return adopt(key, true);
}

Result<KeyPair> KeyPair::from_public_pem(std::string_view pem) {
  if (pem.size() > kKeyTextBytesMax || pem.find("-----BEGIN ") == std::string_view::npos) {
    return unreadable("error parsing public key: not in PEM format");
  }
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all);
  REKEY_CHECK(bio != nullptr);
  EVP_PKEY* key = PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr);
  if (key == nullptr) return unreadable("error parsing public key");
  return adopt(key, false);
}

Result<KeyPair> KeyPair::from_public_der(std::string_view der) {
  if (der.empty() || der.size() > kKeyTextBytesMax) return unreadable("error parsing public key");
  const unsigned char* at = data_of(der);
  EVP_PKEY* key = d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size()));
  if (key == nullptr) return unreadable("error parsing public key");
  if (at != data_of(der) + der.size()) {
    EVP_PKEY_free(key);
    return unreadable("error parsing public key: trailing data");
  }
  return adopt(key, false);
}

Result<KeyPair> KeyPair::from_key_or_certificate_pem(std::string_view pem) {
  const auto no_key = [] { return unreadable("data does not contain any valid public keys"); };
  if (pem.empty() || pem.size() > kKeyTextBytesMax) return no_key();
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all);
  REKEY_CHECK(bio != nullptr);
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* der = nullptr;
  long size = 0;
  if (PEM_read_bio(bio.get(), &name, &header, &der, &size) != 1) return no_key();
  const unsigned char* at = der;
  EVP_PKEY* key = d2i_PUBKEY(nullptr, &at, size);
  if (key == nullptr) {
    at = der;
    if (X509* certificate = d2i_X509(nullptr, &at, size)) {
      key = X509_get_pubkey(certificate);
      X509_free(certificate);
    }
  }
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(der);
  std::string rest(pem.size(), '\0');
  const int left = BIO_read(bio.get(), rest.data(), static_cast<int>(rest.size()));
  rest.resize(left > 0 ? static_cast<size_t>(left) : 0);
  if (key == nullptr) return no_key();
  if (rest.find_first_not_of(" \t\r\n") != std::string::npos) {
    EVP_PKEY_free(key);
    return unreadable("unexpected trailing data after parsed PEM block");
  }
  return adopt(key, false);
}

Result<KeyPair> KeyPair::from_seed(const SecretBytes& seed) {
  if (seed.size() != kEd25519Bytes) return unreadable("an Ed25519 seed has 32 bytes");
  EVP_PKEY* key =
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, data_of(seed.reveal()), seed.size());
  REKEY_CHECK(key != nullptr);
  return KeyPair(Key(key), KeyPairKind::kEd25519, true);
}

Result<KeyPair> KeyPair::from_ed25519_public(std::string_view bytes) {
  if (bytes.size() != kEd25519Bytes) return unreadable("an Ed25519 public key has 32 bytes");
  EVP_PKEY* key =
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, data_of(bytes), bytes.size());
  if (key == nullptr) return unreadable("error parsing public key");
  return KeyPair(Key(key), KeyPairKind::kEd25519, false);
}

bool KeyPair::check() const {
  if (!has_private_) return false;
  if (kind_ == KeyPairKind::kEd25519) return true;  // any seed is a key
  const KeyContext context(EVP_PKEY_CTX_new(key_.get(), nullptr), &EVP_PKEY_CTX_free);
  REKEY_CHECK(context != nullptr);
  const bool sound = EVP_PKEY_check(context.get()) == 1;
  if (!sound) ERR_clear_error();
  return sound;
}

bool KeyPair::same_public(const KeyPair& other) const {
  return EVP_PKEY_eq(key_.get(), other.key_.get()) == 1;
}

SecretBytes KeyPair::private_der() const {
  REKEY_CHECK(has_private_);
  PKCS8_PRIV_KEY_INFO* info = EVP_PKEY2PKCS8(key_.get());
  REKEY_CHECK(info != nullptr);
  const int size = i2d_PKCS8_PRIV_KEY_INFO(info, nullptr);
  REKEY_CHECK(size > 0);
  SecretBytes out(static_cast<size_t>(size));
  unsigned char* at = out.reveal_for_writing().data();
  REKEY_CHECK(i2d_PKCS8_PRIV_KEY_INFO(info, &at) == size);
  PKCS8_PRIV_KEY_INFO_free(info);
  return out;
}

SecretBytes KeyPair::private_pem() const {
  REKEY_CHECK(has_private_);
  const Bio bio(BIO_new(BIO_s_secmem()), &BIO_free_all);
  REKEY_CHECK(bio != nullptr);
  REKEY_CHECK(PEM_write_bio_PrivateKey_traditional(bio.get(), key_.get(), nullptr, nullptr, 0,
                                                   nullptr, nullptr) == 1);
  return SecretBytes::copy_of(text_of(bio.get()));
}

SecretBytes KeyPair::seed() const {
  REKEY_CHECK(has_private_ && kind_ == KeyPairKind::kEd25519);
  SecretBytes out(kEd25519Bytes);
  size_t size = out.size();
  REKEY_CHECK(EVP_PKEY_get_raw_private_key(key_.get(), out.reveal_for_writing().data(), &size) ==
              1);
  return out;
}

std::string KeyPair::public_der() const {
  const int size = i2d_PUBKEY(key_.get(), nullptr);
  REKEY_CHECK(size > 0);
  std::string out(static_cast<size_t>(size), '\0');
  auto* at = reinterpret_cast<unsigned char*>(out.data());
  REKEY_CHECK(i2d_PUBKEY(key_.get(), &at) == size);
  return out;
}

std::string KeyPair::public_pem() const {
  const Bio bio(BIO_new(BIO_s_mem()), &BIO_free_all);
  REKEY_CHECK(bio != nullptr);
  REKEY_CHECK(PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1);
  return std::string(text_of(bio.get()));
}

std::string KeyPair::ed25519_public() const {
  REKEY_CHECK(kind_ == KeyPairKind::kEd25519);
  std::string out(kEd25519Bytes, '\0');
  size_t size = out.size();
  REKEY_CHECK(EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(out.data()),
                                          &size) == 1);
  return out;
}

}  // namespace rekey::crypto
