#include "engine/transit/key.h"

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"

namespace rekey::engine::transit {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using base::SecretBytes;
using crypto::CipherKind;
using crypto::KeyPair;
using crypto::KeyPairKind;

constexpr TypeInfo kTypes[] = {
    {KeyType::kAes128Gcm96, "aes128-gcm96", "", 8, CipherKind::kAes128Gcm, {}},
    {KeyType::kAes256Gcm96, "aes256-gcm96", "", 0, CipherKind::kAes256Gcm, {}},
    {KeyType::kChacha20Poly1305, "chacha20-poly1305", "", 5, CipherKind::kChacha20Poly1305, {}},
    {KeyType::kEd25519, "ed25519", "ed25519", 2, {}, KeyPairKind::kEd25519},
    {KeyType::kEcdsaP256, "ecdsa-p256", "P-256", 1, {}, KeyPairKind::kP256},
    {KeyType::kEcdsaP384, "ecdsa-p384", "P-384", 6, {}, KeyPairKind::kP384},
    {KeyType::kEcdsaP521, "ecdsa-p521", "P-521", 7, {}, KeyPairKind::kP521},
    {KeyType::kRsa2048, "rsa-2048", "rsa-2048", 3, {}, KeyPairKind::kRsa2048},
    {KeyType::kRsa3072, "rsa-3072", "rsa-3072", 9, {}, KeyPairKind::kRsa3072},
    {KeyType::kRsa4096, "rsa-4096", "rsa-4096", 4, {}, KeyPairKind::kRsa4096},
    {KeyType::kHmac, "hmac", "", 10, {}, {}},
};

std::unexpected<base::Error> corrupt(std::string detail) {
  return base::fail(ErrorKind::kCorrupt, "a stored key can't be read", std::move(detail));
}

int64_t integer(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  return member == nullptr ? 0 : member->as_int().value_or(0);
}

bool flag(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  return member != nullptr && member->as_bool() && *member->as_bool();
}

base::WallTime time_of(const Json& row, std::string_view name) {
  const auto parsed = base::parse_rfc3339(row.string_or(name, ""));
  return parsed ? *parsed : base::WallTime{};
}

Json describe(const CopyInfo& copy) {
  return JsonObject{{"time", base::format_rfc3339(copy.time)},
                    {"version", static_cast<int64_t>(copy.version)}};
}

std::optional<CopyInfo> copy_of(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  if (member == nullptr || !member->is_object()) return std::nullopt;
  return CopyInfo{time_of(*member, "time"), static_cast<uint32_t>(integer(*member, "version"))};
}

size_t key_bytes(const KeySettings& settings) {
  const TypeInfo& info = settings.info();
  if (info.cipher) return crypto::cipher_key_bytes(*info.cipher);
  return static_cast<size_t>(settings.hmac_key_bytes);
}

SecretBytes secret_member(const Json& row, std::string_view name, bool& ok) {
  auto bytes = base::base64_decode(row.string_or(name, ""));
  ok = ok && bytes.has_value();
  return bytes ? SecretBytes::copy_of(*bytes) : SecretBytes();
}

std::string public_text_of(const KeyPair& pair) {
  if (pair.kind() == KeyPairKind::kEd25519) return base::base64_encode(pair.ed25519_public());
  return pair.public_pem();
}

}  // namespace

const TypeInfo& info_of(KeyType type) {
  const TypeInfo* found = std::ranges::find(kTypes, type, &TypeInfo::type);
  REKEY_CHECK(found != std::ranges::end(kTypes));
  return *found;
}

const TypeInfo* type_named(std::string_view name) {
  const TypeInfo* found = std::ranges::find(kTypes, name, &TypeInfo::name);
  return found == std::ranges::end(kTypes) ? nullptr : found;
}

const TypeInfo* type_numbered(int backup_number) {
  const TypeInfo* found = std::ranges::find(kTypes, backup_number, &TypeInfo::backup_number);
  return found == std::ranges::end(kTypes) ? nullptr : found;
}

const TypeInfo* type_of_pair(KeyPairKind kind) {
  return std::ranges::find(kTypes, std::optional(kind), &TypeInfo::pair);
}

bool KeySettings::rotation_due(base::WallTime now) const {
  return auto_rotate_s > 0 && rotatable() && !soft_deleted &&
         now >= rotated + std::chrono::seconds(auto_rotate_s);
}

std::string encode(const KeySettings& s) {
  JsonObject row{{"type", s.info().name},
                 {"latest", static_cast<int64_t>(s.latest)},
                 {"min_decryption", static_cast<int64_t>(s.min_decryption)},
                 {"min_encryption", static_cast<int64_t>(s.min_encryption)},
                 {"min_available", static_cast<int64_t>(s.min_available)},
                 {"hmac_key_bytes", s.hmac_key_bytes},
                 {"auto_rotate_s", s.auto_rotate_s},
                 {"derived", s.derived},
                 {"convergent", s.convergent},
                 {"exportable", s.exportable},
                 {"plaintext_backup", s.plaintext_backup},
                 {"deletion_allowed", s.deletion_allowed},
                 {"soft_deleted", s.soft_deleted},
                 {"imported", s.imported},
                 {"allow_rotation", s.allow_rotation},
                 {"rotated", base::format_rfc3339(s.rotated)}};
  if (s.backup) row.set("backup", describe(*s.backup));
  if (s.restore) row.set("restore", describe(*s.restore));
  return Json(std::move(row)).dump();
}

Result<KeySettings> decode_settings(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) return corrupt("no JSON object");
  const TypeInfo* type = type_named(row->string_or("type", ""));
  if (type == nullptr) return corrupt("an unknown type");
  KeySettings s;
  s.type = type->type;
  s.latest = static_cast<uint32_t>(integer(*row, "latest"));
  s.min_decryption = static_cast<uint32_t>(integer(*row, "min_decryption"));
  s.min_encryption = static_cast<uint32_t>(integer(*row, "min_encryption"));
  s.min_available = static_cast<uint32_t>(integer(*row, "min_available"));
  s.hmac_key_bytes = integer(*row, "hmac_key_bytes");
  s.auto_rotate_s = integer(*row, "auto_rotate_s");
  s.derived = flag(*row, "derived");
  s.convergent = flag(*row, "convergent");
  s.exportable = flag(*row, "exportable");
  s.plaintext_backup = flag(*row, "plaintext_backup");
  s.deletion_allowed = flag(*row, "deletion_allowed");
  s.soft_deleted = flag(*row, "soft_deleted");
  s.imported = flag(*row, "imported");
  s.allow_rotation = flag(*row, "allow_rotation");
  s.rotated = time_of(*row, "rotated");
  s.backup = copy_of(*row, "backup");
  s.restore = copy_of(*row, "restore");
  if (s.latest == 0 || s.min_decryption == 0 || s.min_decryption > s.latest) {
    return corrupt("impossible versions");
  }
  return s;
}

std::string encode(const KeyVersion& version) {
  std::string out;
  base::JsonWriter json(out);
  json.begin_object();
  json.member("created", base::format_rfc3339(version.created));
  json.member("key", base::base64_encode(version.key.reveal()));
  json.member("hmac_key", base::base64_encode(version.hmac_key.reveal()));
  json.member("public", version.public_text);
  json.member("public_der", base::base64_encode(version.public_der));
  json.end_object();
  return out;
}

Result<KeyVersion> decode_version(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) return corrupt("no JSON object");
  KeyVersion version;
  bool ok = true;
  version.created = time_of(*row, "created");
  version.key = secret_member(*row, "key", ok);
  version.hmac_key = secret_member(*row, "hmac_key", ok);
  version.public_text = row->string_or("public", "");
  auto der = base::base64_decode(row->string_or("public_der", ""));
  if (!ok || !der || version.hmac_key.empty()) return corrupt("a version's material");
  version.public_der = std::move(*der);
  if (version.key.empty() && version.public_der.empty()) return corrupt("a version without a key");
  return version;
}

KeyVersion version_of(const KeyPair& pair, base::WallTime now, SecretBytes hmac_key) {
  KeyVersion version;
  version.created = now;
  version.hmac_key = std::move(hmac_key);
  version.public_text = public_text_of(pair);
  if (!pair.has_private()) {
    version.public_der = pair.public_der();
  } else if (pair.kind() == KeyPairKind::kEd25519) {
    version.key = pair.seed();
  } else {
    version.key = pair.private_der();
  }
  return version;
}

KeyVersion make_version(const KeySettings& settings, base::WallTime now, base::Random& random) {
  const TypeInfo& info = settings.info();
  if (info.pair)
    return version_of(KeyPair::generate(*info.pair), now, random.secret(kVersionHmacKeyBytes));
  KeyVersion version;
  version.created = now;
  version.key = random.secret(key_bytes(settings));
  // An HMAC key is its own HMAC key.
  version.hmac_key =
      settings.type == KeyType::kHmac ? version.key.clone() : random.secret(kVersionHmacKeyBytes);
  return version;
}

Result<KeyVersion> adopt_version(const KeySettings& settings, SecretBytes key, base::WallTime now,
                                 base::Random& random) {
  const TypeInfo& info = settings.info();
  if (!info.pair) {
    if (key.size() != key_bytes(settings)) {
      return base::fail(ErrorKind::kInvalid, "invalid key size " + std::to_string(key.size()) +
                                                 " bytes for key type " + std::string(info.name));
    }
    KeyVersion version;
    version.created = now;
    version.hmac_key =
        settings.type == KeyType::kHmac ? key.clone() : random.secret(kVersionHmacKeyBytes);
    version.key = std::move(key);
    return version;
  }
  auto pair = KeyPair::from_private_der(key.reveal());
  if (!pair) return forward(pair);
  if (pair->kind() != *info.pair) {
    return base::fail(ErrorKind::kInvalid, "invalid key type: expected " + std::string(info.name) +
                                               ", got " +
                                               std::string(type_of_pair(pair->kind())->name));
  }
  if (!pair->check()) {
    return base::fail(ErrorKind::kInvalid, "the private key is not sound");
  }
  return version_of(*pair, now, random.secret(kVersionHmacKeyBytes));
}

Result<KeyVersion> adopt_public(const KeySettings& settings, const KeyPair& pair,
                                base::WallTime now, base::Random& random) {
  const TypeInfo& info = settings.info();
  if (!info.pair) {
    return base::fail(ErrorKind::kInvalid, "provided type does not support public_key import");
  }
  if (pair.kind() != *info.pair) {
    return base::fail(ErrorKind::kInvalid, "error importing key: invalid key type: expected " +
                                               std::string(info.name) + ", got " +
                                               std::string(type_of_pair(pair.kind())->name));
  }
  return version_of(pair, now, random.secret(kVersionHmacKeyBytes));
}

Result<KeyPair> pair_of(const TypeInfo& info, const KeyVersion& version) {
  REKEY_CHECK(info.pair.has_value());
  auto pair = version.key.empty()              ? KeyPair::from_public_der(version.public_der)
              : info.type == KeyType::kEd25519 ? KeyPair::from_seed(version.key)
                                               : KeyPair::from_private_der(version.key.reveal());
  if (!pair || pair->kind() != *info.pair) return corrupt("a key pair");
  return pair;
}

bool is_key_name(std::string_view name) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && is_word(name.front()) && is_word(name.back()) &&
         std::ranges::all_of(name, [&](char c) { return is_word(c) || c == '-' || c == '.'; });
}

}  // namespace rekey::engine::transit
