// What a transit key is: its type, its settings and its versions, as they lie in the store
// (docs/formats/transit.md). Knows nothing of requests. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "base/secret_bytes.h"
#include "crypto/cipher.h"
#include "crypto/key_pair.h"

namespace rekey::engine::transit {

inline constexpr uint32_t kKeyVersionsMax =
    10'000;  // of one key, between the oldest and the latest
inline constexpr int64_t kHmacKeyBytesMin = 32;
inline constexpr int64_t kHmacKeyBytesMax = 512;
inline constexpr size_t kVersionHmacKeyBytes = 32;  // of the HMAC key beside each version's own key
inline constexpr int64_t kAutoRotateSecondsMin = 3600;

enum class KeyType {
  kAes128Gcm96,
  kAes256Gcm96,
  kChacha20Poly1305,
  kEd25519,
  kEcdsaP256,
  kEcdsaP384,
  kEcdsaP521,
  kRsa2048,
  kRsa3072,
  kRsa4096,
  kHmac,
};

struct TypeInfo {
  KeyType type;
  std::string_view name;          // "aes256-gcm96"
  std::string_view version_name;  // of one version in answers: "P-256"; empty for symmetric keys
  int backup_number;              // in Vault's backups
  std::optional<crypto::CipherKind> cipher;
  std::optional<crypto::KeyPairKind> pair;

  bool is_rsa() const { return pair && *pair >= crypto::KeyPairKind::kRsa2048; }
  bool encrypts() const { return cipher || is_rsa(); }
  bool signs() const { return pair.has_value(); }
  bool derives() const { return cipher || type == KeyType::kEd25519; }
  // Making a key or using its private half takes a millisecond or more.
  bool slow() const { return pair && *pair > crypto::KeyPairKind::kP256; }
};

const TypeInfo& info_of(KeyType type);
const TypeInfo* type_named(std::string_view name);    // nullptr where there is none
const TypeInfo* type_numbered(int backup_number);     // as type_named
const TypeInfo* type_of_pair(crypto::KeyPairKind k);  // never nullptr

struct CopyInfo {  // when a backup or a restore was made, and of which version
  base::WallTime time{};
  uint32_t version = 0;
};

// Everything about a key but its material.
struct KeySettings {
  KeyType type = KeyType::kAes256Gcm96;
  uint32_t latest = 0;
  uint32_t min_decryption = 1;
  uint32_t min_encryption = 0;  // 0: only the latest unless a request names another
  uint32_t min_available = 0;   // 0: nothing was trimmed
  int64_t hmac_key_bytes = 0;   // of type hmac
  int64_t auto_rotate_s = 0;    // 0: never
  bool derived = false;
  bool convergent = false;
  bool exportable = false;
  bool plaintext_backup = false;
  bool deletion_allowed = false;
  bool soft_deleted = false;
  bool imported = false;
  bool allow_rotation = true;  // looked at where `imported`
  base::WallTime rotated{};    // when the latest version was made
  std::optional<CopyInfo> backup, restore;

  const TypeInfo& info() const { return info_of(type); }
  uint32_t oldest() const { return min_available == 0 ? 1 : min_available; }
  bool rotation_due(base::WallTime now) const;
  bool rotatable() const { return !imported || allow_rotation; }
};

// One version. `key` holds a symmetric key, an HMAC key, an Ed25519 seed or PKCS #8 in DER; it is
// empty where only a public key was imported, which is then in `public_der`.
struct KeyVersion {
  base::WallTime created{};
  base::SecretBytes key;
  base::SecretBytes hmac_key;
  std::string public_text;  // as answers show it: PEM, or base64 for Ed25519
  std::string public_der;
};

std::string encode(const KeySettings& settings);
base::Result<KeySettings> decode_settings(std::string_view text);
std::string encode(const KeyVersion& version);
base::Result<KeyVersion> decode_version(std::string_view text);

// A new version's material. Slow for types that say so.
KeyVersion make_version(const KeySettings& settings, base::WallTime now, base::Random& random);
// A version from material that came from outside: kInvalid unless it is a key of this type. For a
// pair `key` is what KeyPair::from_private_der takes.
base::Result<KeyVersion> adopt_version(const KeySettings& settings, base::SecretBytes key,
                                       base::WallTime now, base::Random& random);
base::Result<KeyVersion> adopt_public(const KeySettings& settings, const crypto::KeyPair& pair,
                                      base::WallTime now, base::Random& random);
KeyVersion version_of(const crypto::KeyPair& pair, base::WallTime now, base::SecretBytes hmac_key);

// The pair of a version; kCorrupt where the row isn't one. REKEY_CHECKs that the type has pairs.
base::Result<crypto::KeyPair> pair_of(const TypeInfo& info, const KeyVersion& version);

// Key names as Vault takes them: letters, digits and '_', with '-' and '.' inside.
bool is_key_name(std::string_view name);

}  // namespace rekey::engine::transit
