#include "engine/transit/backup.h"

#include "base/codec.h"

namespace rekey::engine::transit {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using base::SecretBytes;
using crypto::EcNumbers;
using crypto::KeyPair;
using crypto::RsaNumbers;

constexpr int kKdfHkdf = 1;            // of a derived key; 0 in others
constexpr int kConvergentVersion = 3;  // the only one that new keys have had since 2018
constexpr int kVaultHmacNumber = 11;   // OpenBao's number for it is 10
constexpr size_t kEd25519SeedBytes = 32;
constexpr std::string_view kNoTime = "0001-01-01T00:00:00Z";

std::unexpected<base::Error> bad(std::string why) {
  return base::fail(ErrorKind::kInvalid, "not a backup of a key: " + std::move(why));
}

Json number(const std::string& digits) {
  return digits.empty() ? Json() : Json(base::JsonNumber{digits});
}

Json base64(std::string_view bytes) {
  return bytes.empty() ? Json() : Json(base::base64_encode(bytes));
}

JsonObject blank_version() {
  return {{"key", nullptr},          {"hmac_key", nullptr},       {"time", kNoTime},
          {"ec_x", nullptr},         {"ec_y", nullptr},           {"ec_d", nullptr},
          {"rsa_key", nullptr},      {"rsa_public_key", nullptr}, {"public_key", ""},
          {"convergent_version", 0}, {"creation_time", 0},        {"certificate_chain", nullptr}};
}

void set_pair(JsonObject& out, const KeyPair& pair, const KeyVersion& version) {
  if (pair.kind() == crypto::KeyPairKind::kEd25519) {
    out.set("public_key", version.public_text);
    if (!pair.has_private()) return;
    // Go's form of a private key: the seed and then the public key.
    out.set("key", base64(std::string(version.key.reveal()) + pair.ed25519_public()));
    return;
  }
  if (!pair.is_rsa()) {
    const EcNumbers numbers = pair.ec_numbers();
    out.set("public_key", version.public_text);
    out.set("ec_x", number(numbers.x));
    out.set("ec_y", number(numbers.y));
    out.set("ec_d", number(numbers.d));
    return;
  }
  const RsaNumbers numbers = pair.rsa_numbers();
  if (!pair.has_private()) {
    out.set("rsa_public_key", JsonObject{{"N", number(numbers.n)}, {"E", number(numbers.e)}});
    return;
  }
  out.set("rsa_key", JsonObject{{"N", number(numbers.n)},
                                {"E", number(numbers.e)},
                                {"D", number(numbers.d)},
                                {"Primes", JsonArray{number(numbers.p), number(numbers.q)}},
                                {"Precomputed", JsonObject{{"Dp", number(numbers.dp)},
                                                           {"Dq", number(numbers.dq)},
                                                           {"Qinv", number(numbers.qinv)},
                                                           {"CRTValues", JsonArray{}}}}});
}

Result<Json> describe_version(const KeySettings& settings, const KeyVersion& version) {
  JsonObject out = blank_version();
  out.set("hmac_key", base64(version.hmac_key.reveal()));
  out.set("time", base::format_rfc3339(version.created));
  out.set(
      "creation_time",
      std::chrono::duration_cast<std::chrono::seconds>(version.created.time_since_epoch()).count());
  if (settings.convergent) out.set("convergent_version", kConvergentVersion);
  if (!settings.info().pair) {
    out.set("key", base64(version.key.reveal()));
    return Json(std::move(out));
  }
  auto pair = pair_of(settings.info(), version);
  if (!pair) return forward(pair);
  set_pair(out, *pair, version);
  return Json(std::move(out));
}

Json describe_copy(const std::optional<CopyInfo>& copy) {
  if (!copy) return Json();
  return JsonObject{{"time", base::format_rfc3339(copy->time)},
                    {"version", static_cast<int64_t>(copy->version)}};
}

JsonObject describe_settings(const KeyCopy& copy) {
  const KeySettings& s = copy.settings;
  JsonObject out{{"name", copy.name},
                 {"derived", s.derived},
                 {"kdf", s.derived ? kKdfHkdf : 0},
                 {"convergent_encryption", s.convergent},
                 {"exportable", s.exportable},
                 {"min_decryption_version", static_cast<int64_t>(s.min_decryption)},
                 {"min_encryption_version", static_cast<int64_t>(s.min_encryption)},
                 {"latest_version", static_cast<int64_t>(s.latest)},
                 {"archive_version", static_cast<int64_t>(s.latest)},
                 {"archive_min_version", static_cast<int64_t>(s.min_available)},
                 {"min_available_version", static_cast<int64_t>(s.min_available)},
                 {"deletion_allowed", s.deletion_allowed},
                 {"convergent_version", s.convergent ? -1 : 0},
                 {"type", s.info().backup_number},
                 {"backup_info", describe_copy(s.backup)},
                 {"restore_info", describe_copy(s.restore)},
                 {"allow_plaintext_backup", s.plaintext_backup},
                 {"version_template", ""},
                 {"storage_prefix", ""},
                 {"auto_rotate_period", s.auto_rotate_s * 1'000'000'000},
                 {"Imported", s.imported},
                 {"AllowImportedKeyRotation", s.imported && s.allow_rotation},
                 {"soft_deleted", s.soft_deleted}};
  if (s.type == KeyType::kHmac) out.set("key_size", s.hmac_key_bytes);
  return out;
}

int64_t integer(const Json& from, std::string_view name) {
  const Json* member = from.find(name);
  return member == nullptr ? 0 : member->as_int().value_or(0);
}

bool flag(const Json& from, std::string_view name) {
  const Json* member = from.find(name);
  return member != nullptr && member->as_bool() && *member->as_bool();
}

std::string digits(const Json& from, std::string_view name) {
  const Json* member = from.find(name);
  const base::JsonNumber* text = member == nullptr ? nullptr : member->as_number();
  return text == nullptr ? std::string() : text->text;
}

Result<SecretBytes> secret(const Json& from, std::string_view name) {
  auto bytes = base::base64_decode(from.string_or(name, ""));
  if (!bytes) return bad(std::string(name) + " is not base64");
  return SecretBytes::copy_of(*bytes);
}

Result<KeyPair> read_rsa(const Json& version) {
  const Json* key = version.find("rsa_key");
  if (key == nullptr || !key->is_object()) {
    const Json* half = version.find("rsa_public_key");
    if (half == nullptr || !half->is_object()) return bad("a version has no key");
    return KeyPair::from_numbers(RsaNumbers{.n = digits(*half, "N"), .e = digits(*half, "E")});
  }
  const Json* primes = key->find("Primes");
  const Json* computed = key->find("Precomputed");
  if (primes == nullptr || primes->as_array() == nullptr || primes->as_array()->size() != 2 ||
      computed == nullptr) {
    return bad("an RSA key must have two primes");
  }
  const JsonArray& factors = *primes->as_array();
  if (!factors[0].is_number() || !factors[1].is_number()) return bad("a prime is no number");
  return KeyPair::from_numbers(RsaNumbers{.n = digits(*key, "N"),
                                          .e = digits(*key, "E"),
                                          .d = digits(*key, "D"),
                                          .p = factors[0].as_number()->text,
                                          .q = factors[1].as_number()->text,
                                          .dp = digits(*computed, "Dp"),
                                          .dq = digits(*computed, "Dq"),
                                          .qinv = digits(*computed, "Qinv")});
}

Result<KeyPair> read_pair(const TypeInfo& info, const Json& version) {
  if (info.is_rsa()) return read_rsa(version);
  if (info.type != KeyType::kEd25519) {
    return KeyPair::from_numbers(*info.pair, EcNumbers{.x = digits(version, "ec_x"),
                                                       .y = digits(version, "ec_y"),
                                                       .d = digits(version, "ec_d")});
  }
  auto key = secret(version, "key");
  if (!key) return forward(key);
  if (key->empty()) {
    auto half = base::base64_decode(version.string_or("public_key", ""));
    if (!half) return bad("public_key is not base64");
    return KeyPair::from_ed25519_public(*half);
  }
  auto pair = KeyPair::from_seed(SecretBytes::copy_of(key->reveal().substr(0, kEd25519SeedBytes)));
  if (!pair) return pair;
  if (key->reveal().substr(kEd25519SeedBytes) != pair->ed25519_public()) {
    return bad("the halves of a key don't belong together");
  }
  return pair;
}

// A private key that signs what its public half accepts.
Result<void> try_pair(const TypeInfo& info, const KeyPair& pair) {
  if (pair.kind() != *info.pair) return bad("a key is not of the type that is named");
  if (!pair.has_private()) return {};
  const std::string digest(32, 'd');
  const auto signature = pair.sign({.hash = "sha2-256"}, digest);
  if (!signature) return bad("a private key is not sound");
  const auto valid = pair.verify({.hash = "sha2-256"}, digest, *signature);
  if (!valid || !*valid) return bad("the halves of a key don't belong together");
  return {};
}

base::WallTime creation_of(const Json& version) {
  const std::string text = version.string_or("time", "");
  const auto parsed = base::parse_rfc3339(text);
  if (parsed && text != kNoTime) return *parsed;
  return base::WallTime(std::chrono::seconds(integer(version, "creation_time")));
}

Result<KeyVersion> read_version(const KeySettings& settings, const Json& from) {
  KeyVersion version;
  version.created = creation_of(from);
  auto hmac_key = secret(from, "hmac_key");
  if (!hmac_key) return forward(hmac_key);
  if (hmac_key->empty()) return bad("a version has no HMAC key");
  const TypeInfo& info = settings.info();
  if (info.pair) {
    auto pair = read_pair(info, from);
    if (!pair) return forward(pair);
    auto sound = try_pair(info, *pair);
    if (!sound) return forward(sound);
    version = version_of(*pair, version.created, std::move(*hmac_key));
    return version;
  }
  auto key = secret(from, "key");
  if (!key) return forward(key);
  const size_t wanted = info.cipher ? crypto::cipher_key_bytes(*info.cipher)
                                    : static_cast<size_t>(settings.hmac_key_bytes);
  if (key->size() != wanted) return bad("a key has the wrong length");
  version.key = std::move(*key);
  version.hmac_key = std::move(*hmac_key);
  return version;
}

Result<void> read_kind(const Json& policy, KeySettings& s) {
  int64_t type_number = integer(policy, "type");
  s.hmac_key_bytes = integer(policy, "key_size");
  if (type_number == kVaultHmacNumber && s.hmac_key_bytes > 0) {
    type_number = info_of(KeyType::kHmac).backup_number;
  }
  const TypeInfo* type = type_numbered(static_cast<int>(type_number));
  if (type == nullptr) return bad("a type that is not supported");
  s.type = type->type;
  if (s.type == KeyType::kHmac &&
      (s.hmac_key_bytes < kHmacKeyBytesMin || s.hmac_key_bytes > kHmacKeyBytesMax)) {
    return bad("the length of the HMAC key");
  }
  s.derived = flag(policy, "derived");
  s.convergent = flag(policy, "convergent_encryption");
  const bool derivation_fits =
      !s.derived || (type->derives() && integer(policy, "kdf") == kKdfHkdf);
  if (!derivation_fits || (s.convergent && !(s.derived && type->cipher))) {
    return bad("a derivation that is not supported");
  }
  return {};
}

Result<KeySettings> read_settings(const Json& policy) {
  KeySettings s;
  auto kind = read_kind(policy, s);
  if (!kind) return forward(kind);
  const int64_t latest = integer(policy, "latest_version");
  const int64_t decryption = std::max<int64_t>(1, integer(policy, "min_decryption_version"));
  const int64_t encryption = integer(policy, "min_encryption_version");
  const int64_t available = integer(policy, "min_available_version");
  if (latest < 1 || latest > UINT32_MAX || decryption > latest || encryption < 0 ||
      encryption > latest || available < 0 || available > decryption ||
      latest - available > kKeyVersionsMax) {
    return bad("impossible versions");
  }
  s.latest = static_cast<uint32_t>(latest);
  s.min_decryption = static_cast<uint32_t>(decryption);
  s.min_encryption = static_cast<uint32_t>(encryption);
  s.min_available = static_cast<uint32_t>(available);
  s.exportable = flag(policy, "exportable");
  s.plaintext_backup = flag(policy, "allow_plaintext_backup");
  s.deletion_allowed = flag(policy, "deletion_allowed");
  s.soft_deleted = flag(policy, "soft_deleted");
  s.imported = flag(policy, "Imported");
  s.allow_rotation = !s.imported || flag(policy, "AllowImportedKeyRotation");
  s.auto_rotate_s = std::max<int64_t>(0, integer(policy, "auto_rotate_period") / 1'000'000'000);
  if (const Json* info = policy.find("backup_info"); info != nullptr && info->is_object()) {
    const auto time = base::parse_rfc3339(info->string_or("time", ""));
    s.backup =
        CopyInfo{time ? *time : base::WallTime{}, static_cast<uint32_t>(integer(*info, "version"))};
  }
  return s;
}

// Where the text of version `number` is: among the keys, or in the archive of old ones.
const Json* find_version(const Json& backup, const Json& policy, uint32_t number) {
  if (const Json* keys = policy.find("keys")) {
    if (const Json* found = keys->find(std::to_string(number))) return found;
  }
  const Json* archived = backup.find("archived_keys");
  const Json* list = archived == nullptr ? nullptr : archived->find("keys");
  const JsonArray* array = list == nullptr ? nullptr : list->as_array();
  const int64_t index = number - integer(policy, "archive_min_version");
  if (array == nullptr || index < 0 || static_cast<size_t>(index) >= array->size()) return nullptr;
  return &(*array)[static_cast<size_t>(index)];
}

}  // namespace

Result<std::string> encode_backup(const KeyCopy& copy) {
  const KeySettings& s = copy.settings;
  JsonObject keys;
  JsonArray archive;
  if (s.min_available == 0) archive.emplace_back(blank_version());
  for (const auto& [number_, version] : copy.versions) {
    auto described = describe_version(s, version);
    if (!described) return forward(described);
    if (number_ >= s.min_decryption) keys.set(std::to_string(number_), *described);
    archive.push_back(std::move(*described));
  }
  JsonObject policy = describe_settings(copy);
  policy.set("keys", std::move(keys));
  const Json whole = JsonObject{{"policy", std::move(policy)},
                                {"archived_keys", JsonObject{{"keys", std::move(archive)}}}};
  return base::base64_encode(whole.dump());
}

Result<KeyCopy> decode_backup(std::string_view text) {
  auto decoded = base::base64_decode(text);
  if (!decoded) return bad("illegal base64 data");
  const auto backup = Json::parse(*decoded);
  if (!backup) return bad("no JSON");
  const Json* policy = backup->find("policy");
  if (policy == nullptr || !policy->is_object()) return bad("no policy");
  auto settings = read_settings(*policy);
  if (!settings) return forward(settings);
  KeyCopy copy{.name = policy->string_or("name", ""), .settings = *settings};
  for (uint32_t number = copy.settings.latest; number >= copy.settings.oldest(); number--) {
    const Json* found = find_version(*backup, *policy, number);
    if (found == nullptr || !found->is_object()) {
      if (number >= copy.settings.min_decryption) return bad("a version is missing");
      // What can't be decrypted with anyway and wasn't archived is as good as trimmed.
      copy.settings.min_available = number + 1;
      break;
    }
    auto version = read_version(copy.settings, *found);
    if (!version) return forward(version);
    copy.versions.emplace(number, std::move(*version));
  }
  copy.settings.rotated = copy.versions.rbegin()->second.created;
  return copy;
}

}  // namespace rekey::engine::transit
