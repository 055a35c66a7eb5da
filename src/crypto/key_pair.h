// Key pairs that sign, and where they are RSA also encrypt: Ed25519 (RFC 8032), ECDSA over NIST's
// curves (FIPS 186-4), RSA (RFC 8017). With or without the private half.
//
// Knows nothing of versions, policies or of texts around a signature. An object is immutable and
// any thread may use it, but making one, and what RSA does with the private half, takes
// milliseconds: not on an io thread. Private keys lie in OpenSSL's own memory, which
// openssl_memory.cc of room net makes wiping. Keys come from OpenSSL's own generator: its key
// generation takes no other.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret_bytes.h"

struct evp_pkey_st;

namespace rekey::crypto {

enum class KeyPairKind { kEd25519, kP256, kP384, kP521, kRsa2048, kRsa3072, kRsa4096 };

enum class Padding { kPss, kPkcs1 };
inline constexpr int kPssSaltAuto = -1;  // signing: as long as fits; verifying: whatever it has
inline constexpr int kPssSaltHash = -2;  // as long as the digest

// How a digest becomes a signature. Ed25519 takes the message itself and looks at nothing here.
struct SignatureScheme {
  std::string_view hash;  // "sha2-256" and the like; "none": the digest as it is (PKCS #1)
  Padding padding = Padding::kPss;  // RSA only
  int salt_bytes = kPssSaltAuto;    // of PSS
};

// Coordinates or factors as decimal numbers, the form that Vault's backups have them in.
struct EcNumbers {
  std::string x, y, d;  // d is empty where there is no private half
};
struct RsaNumbers {
  std::string n, e, d, p, q, dp, dq, qinv;
};

class KeyPair {
 public:
  static KeyPair generate(KeyPairKind kind);
  // PKCS #8, PKCS #1 or SEC 1 in DER. kInvalid for what is none of the kinds above and for bytes
  // behind it. Whether the key is sound is for check() to say.
  static base::Result<KeyPair> from_private_der(std::string_view der);
  // A SubjectPublicKeyInfo, in PEM or DER.
  static base::Result<KeyPair> from_public_pem(std::string_view pem);
  static base::Result<KeyPair> from_public_der(std::string_view der);
  // The same in PEM, or a certificate, whose key it is then; nothing behind it. What Vault's auth
  // methods take for a key; in their words where it is none.
  static base::Result<KeyPair> from_key_or_certificate_pem(std::string_view pem);
  static base::Result<KeyPair> from_seed(const base::SecretBytes& seed);  // Ed25519
  static base::Result<KeyPair> from_ed25519_public(std::string_view bytes);
  static base::Result<KeyPair> from_numbers(KeyPairKind kind, const EcNumbers& numbers);
  static base::Result<KeyPair> from_numbers(const RsaNumbers& numbers);

  KeyPairKind kind() const { return kind_; }
  bool has_private() const { return has_private_; }
  bool is_rsa() const { return kind_ >= KeyPairKind::kRsa2048; }
  // Whether the private half is sound and belongs to the public one. Takes as long as 100 ms: for
  // keys that come from outside.
  bool check() const;
  // The same public half.
  bool same_public(const KeyPair& other) const;

  base::SecretBytes private_der() const;  // PKCS #8
  // "BEGIN RSA PRIVATE KEY" or "BEGIN EC PRIVATE KEY": the traditional forms.
  base::SecretBytes private_pem() const;
  base::SecretBytes seed() const;  // of Ed25519
  std::string public_der() const;
  std::string public_pem() const;
  std::string ed25519_public() const;
  EcNumbers ec_numbers() const;
  RsaNumbers rsa_numbers() const;

  // ECDSA signatures are DER, see ecdsa_to_fixed. kInvalid without a private half, for a digest of
  // the wrong length, for an unknown hash and for a salt that doesn't fit.
  base::Result<std::string> sign(const SignatureScheme& scheme, std::string_view digest) const;
  base::Result<bool> verify(const SignatureScheme& scheme, std::string_view digest,
                            std::string_view signature) const;

  // RSAES-OAEP with `hash` for both of its hashes and an empty label.
  base::Result<std::string> encrypt_oaep(std::string_view hash, std::string_view plaintext) const;
  base::Result<base::SecretBytes> decrypt_oaep(std::string_view hash,
                                               std::string_view ciphertext) const;

  // ECDH's shared secret, the x coordinate (SP 800-56A 5.7.1.2). Both on one curve.
  base::Result<base::SecretBytes> agree(const KeyPair& peer) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  using Key = std::unique_ptr<evp_pkey_st, Free>;
  KeyPair(Key key, KeyPairKind kind, bool has_private)
      : key_(std::move(key)), kind_(kind), has_private_(has_private) {}
  static base::Result<KeyPair> adopt(evp_pkey_st* key, bool has_private);

  Key key_;
  KeyPairKind kind_;
  bool has_private_;
};

// ECDSA signatures as r and s of fixed length one after the other (RFC 7518 3.4), from DER and
// back. kInvalid for what isn't one.
base::Result<std::string> ecdsa_to_fixed(KeyPairKind kind, std::string_view der);
base::Result<std::string> ecdsa_to_der(KeyPairKind kind, std::string_view fixed);
bool is_ecdsa_der(std::string_view der);

}  // namespace rekey::crypto
