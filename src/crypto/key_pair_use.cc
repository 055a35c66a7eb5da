// What key pairs do: sign, verify, encrypt, decrypt, agree.
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/check.h"
#include "crypto/digest.h"
#include "crypto/key_pair.h"

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using base::Result;
using base::SecretBytes;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

const unsigned char* data_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* data_of(std::string& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

std::unexpected<base::Error> refused(std::string message) {
  ERR_clear_error();
  return base::fail(ErrorKind::kInvalid, std::move(message));
}

const EVP_MD* digest_named(std::string_view hash) {
  const char* name = openssl_digest_name(hash);
  return name == nullptr ? nullptr : EVP_get_digestbyname(name);
}

int openssl_salt(int salt_bytes, bool verifying) {
  if (salt_bytes == kPssSaltAuto) return verifying ? RSA_PSS_SALTLEN_AUTO : RSA_PSS_SALTLEN_MAX;
  return salt_bytes == kPssSaltHash ? RSA_PSS_SALTLEN_DIGEST : salt_bytes;
}

// Sets padding and digest of an RSA operation; ECDSA needs neither, its digest is cut to the order.
Result<void> prepare_rsa(EVP_PKEY_CTX* context, const SignatureScheme& scheme,
                         std::string_view digest, bool verifying) {
  const EVP_MD* md = nullptr;
  if (scheme.hash != "none") {
    md = digest_named(scheme.hash);
    if (md == nullptr) return refused("unsupported hash algorithm " + std::string(scheme.hash));
    if (digest.size() != static_cast<size_t>(EVP_MD_get_size(md))) {
      return refused("crypto/rsa: input must be hashed with given hash");
    }
  } else if (scheme.padding == Padding::kPss) {
    return refused("PSS needs a hash");
  }
  const int padding = scheme.padding == Padding::kPss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
  bool ok = EVP_PKEY_CTX_set_rsa_padding(context, padding) == 1;
  ok = ok && (md == nullptr || EVP_PKEY_CTX_set_signature_md(context, md) == 1);
  if (ok && scheme.padding == Padding::kPss) {
    ok = EVP_PKEY_CTX_set_rsa_pss_saltlen(context, openssl_salt(scheme.salt_bytes, verifying)) == 1;
  }
  if (!ok) return refused("this combination of hash and padding is not supported");
  return {};
}

std::string ed25519_sign(EVP_PKEY* key, std::string_view message) {
  const DigestContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  REKEY_CHECK(context != nullptr);
  REKEY_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key) == 1);
  std::string signature(64, '\0');
  size_t size = signature.size();
  REKEY_CHECK(EVP_DigestSign(context.get(), data_of(signature), &size, data_of(message),
                             message.size()) == 1);
  return signature;
}

bool ed25519_valid(EVP_PKEY* key, std::string_view message, std::string_view signature) {
  const DigestContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  REKEY_CHECK(context != nullptr);
  const bool valid = EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key) == 1 &&
                     EVP_DigestVerify(context.get(), data_of(signature), signature.size(),
                                      data_of(message), message.size()) == 1;
  if (!valid) ERR_clear_error();
  return valid;
}

size_t coordinate_bytes(KeyPairKind kind) {
  switch (kind) {
    case KeyPairKind::kP256:
      return 32;
    case KeyPairKind::kP384:
      return 48;
    default:
      return 66;
  }
}

using EcdsaSignature = std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)>;

EcdsaSignature parse_der(std::string_view der) {
  const unsigned char* at = data_of(der);
  EcdsaSignature parsed(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())),
                        &ECDSA_SIG_free);
  if (parsed == nullptr || at != data_of(der) + der.size()) {
    ERR_clear_error();
    parsed.reset();
  }
  return parsed;
}

KeyContext oaep_context(EVP_PKEY* key, std::string_view hash, bool encrypting) {
  KeyContext context(EVP_PKEY_CTX_new(key, nullptr), &EVP_PKEY_CTX_free);
  REKEY_CHECK(context != nullptr);
  const EVP_MD* md = digest_named(hash);
  REKEY_CHECK(md != nullptr);
  const int started =
      encrypting ? EVP_PKEY_encrypt_init(context.get()) : EVP_PKEY_decrypt_init(context.get());
  REKEY_CHECK(started == 1);
  REKEY_CHECK(EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) == 1);
  REKEY_CHECK(EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), md) == 1);
  REKEY_CHECK(EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), md) == 1);
  return context;
}

}  // namespace

Result<std::string> KeyPair::sign(const SignatureScheme& scheme, std::string_view digest) const {
  if (!has_private_) return refused("the key has no private part");
  if (kind_ == KeyPairKind::kEd25519) return ed25519_sign(key_.get(), digest);
  const KeyContext context(EVP_PKEY_CTX_new(key_.get(), nullptr), &EVP_PKEY_CTX_free);
  REKEY_CHECK(context != nullptr && EVP_PKEY_sign_init(context.get()) == 1);
  if (is_rsa()) {
    auto prepared = prepare_rsa(context.get(), scheme, digest, false);
    if (!prepared) return forward(prepared);
  }
  size_t size = static_cast<size_t>(EVP_PKEY_get_size(key_.get()));
  std::string signature(size, '\0');
  if (EVP_PKEY_sign(context.get(), data_of(signature), &size, data_of(digest), digest.size()) !=
      1) {
    return refused("the input or the salt is too long for the key");
  }
  signature.resize(size);
  return signature;
}

Result<bool> KeyPair::verify(const SignatureScheme& scheme, std::string_view digest,
                             std::string_view signature) const {
  if (kind_ == KeyPairKind::kEd25519) return ed25519_valid(key_.get(), digest, signature);
  const KeyContext context(EVP_PKEY_CTX_new(key_.get(), nullptr), &EVP_PKEY_CTX_free);
  REKEY_CHECK(context != nullptr && EVP_PKEY_verify_init(context.get()) == 1);
  if (is_rsa()) {
    auto prepared = prepare_rsa(context.get(), scheme, digest, true);
    if (!prepared) return forward(prepared);
  }
  const bool valid = EVP_PKEY_verify(context.get(), data_of(signature), signature.size(),
                                     data_of(digest), digest.size()) == 1;
  if (!valid) ERR_clear_error();
  return valid;
}

Result<std::string> KeyPair::encrypt_oaep(std::string_view hash, std::string_view plaintext) const {
  REKEY_CHECK(is_rsa());
  const KeyContext context = oaep_context(key_.get(), hash, true);
  size_t size = static_cast<size_t>(EVP_PKEY_get_size(key_.get()));
  std::string out(size, '\0');
  if (EVP_PKEY_encrypt(context.get(), data_of(out), &size, data_of(plaintext), plaintext.size()) !=
      1) {
    return refused("message too long for RSA key size");
  }
  out.resize(size);
  return out;
}

Result<SecretBytes> KeyPair::decrypt_oaep(std::string_view hash,
                                          std::string_view ciphertext) const {
  REKEY_CHECK(is_rsa());
  if (!has_private_) return refused("the key has no private part");
  const KeyContext context = oaep_context(key_.get(), hash, false);
  SecretBytes room(static_cast<size_t>(EVP_PKEY_get_size(key_.get())));
  size_t size = room.size();
  if (EVP_PKEY_decrypt(context.get(), room.reveal_for_writing().data(), &size, data_of(ciphertext),
                       ciphertext.size()) != 1) {
    return refused("decryption error");
  }
  return SecretBytes::copy_of(room.reveal().substr(0, size));
}

Result<SecretBytes> KeyPair::agree(const KeyPair& peer) const {
  if (!has_private_) return refused("the key has no private part");
  if (kind_ != peer.kind_ || is_rsa() || kind_ == KeyPairKind::kEd25519) {
    return refused("the keys are not on the same curve");
  }
  const KeyContext context(EVP_PKEY_CTX_new(key_.get(), nullptr), &EVP_PKEY_CTX_free);
  REKEY_CHECK(context != nullptr && EVP_PKEY_derive_init(context.get()) == 1);
  size_t size = 0;
  if (EVP_PKEY_derive_set_peer(context.get(), peer.key_.get()) != 1 ||
      EVP_PKEY_derive(context.get(), nullptr, &size) != 1) {
    return refused("the peer's key is not usable");
  }
  SecretBytes shared(size);
  if (EVP_PKEY_derive(context.get(), shared.reveal_for_writing().data(), &size) != 1) {
    return refused("the peer's key is not usable");
  }
  return shared;
}

Result<std::string> ecdsa_to_fixed(KeyPairKind kind, std::string_view der) {
  const EcdsaSignature parsed = parse_der(der);
  if (parsed == nullptr) return refused("not a signature");
  const size_t half = coordinate_bytes(kind);
  std::string out(2 * half, '\0');
  const int size = static_cast<int>(half);
  if (BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), data_of(out), size) != size ||
      BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), data_of(out) + half, size) != size) {
    return refused("not a signature of this curve");
  }
  return out;
}

Result<std::string> ecdsa_to_der(KeyPairKind kind, std::string_view fixed) {
  const size_t half = coordinate_bytes(kind);
  if (fixed.size() != 2 * half) return refused("not a signature of this curve");
  const EcdsaSignature signature(ECDSA_SIG_new(), &ECDSA_SIG_free);
  REKEY_CHECK(signature != nullptr);
  BIGNUM* r = BN_bin2bn(data_of(fixed), static_cast<int>(half), nullptr);
  BIGNUM* s = BN_bin2bn(data_of(fixed) + half, static_cast<int>(half), nullptr);
  REKEY_CHECK(r != nullptr && s != nullptr && ECDSA_SIG_set0(signature.get(), r, s) == 1);
  const int size = i2d_ECDSA_SIG(signature.get(), nullptr);
  REKEY_CHECK(size > 0);
  std::string out(static_cast<size_t>(size), '\0');
  unsigned char* at = data_of(out);
  REKEY_CHECK(i2d_ECDSA_SIG(signature.get(), &at) == size);
  return out;
}

bool is_ecdsa_der(std::string_view der) { return parse_der(der) != nullptr; }

}  // namespace rekey::crypto
