#include "engine/transit/common.h"

#include <charconv>

#include "base/codec.h"
#include "crypto/digest.h"

namespace rekey::engine::transit {
namespace {

using base::ErrorKind;
using base::JsonWriter;
using base::Result;

void write_copy(JsonWriter& json, std::string_view name, const std::optional<CopyInfo>& copy) {
  if (!copy) return;
  json.key(name);
  json.begin_object();
  json.member("time", base::format_rfc3339(copy->time));
  json.member("version", copy->version);
  json.end_object();
}

Result<std::string> public_text(const KeySettings& settings, const KeyVersion& version,
                                std::string_view derivation_context) {
  if (!settings.derived) return version.public_text;
  if (derivation_context.empty()) return std::string();
  auto seed = derive(settings, version, derivation_context, 32);
  if (!seed) return forward(seed);
  auto pair = crypto::KeyPair::from_seed(*seed);
  if (!pair) return forward(pair);
  return base::base64_encode(pair->ed25519_public());
}

Result<void> write_versions(JsonWriter& json, Keys& keys, std::string_view name,
                            const KeySettings& settings, std::string_view derivation_context) {
  json.key("keys");
  json.begin_object();
  for (uint32_t number = settings.min_decryption; number <= settings.latest; number++) {
    auto version = keys.version(name, number);
    if (!version) return forward(version);
    json.dynamic_key(std::to_string(number));
    if (!settings.info().pair) {
      json.value(
          std::chrono::duration_cast<std::chrono::seconds>(version->created.time_since_epoch())
              .count());
      continue;
    }
    auto text = public_text(settings, *version, derivation_context);
    if (!text) return forward(text);
    json.begin_object();
    json.member("certificate_chain", "");
    json.member("creation_time", base::format_rfc3339(version->created));
    json.member("name", settings.info().version_name);
    json.member("public_key", *text);
    json.end_object();
  }
  json.end_object();
  return {};
}

}  // namespace

Result<std::string_view> key_name(const logical::Context& context) {
  const std::string_view name = context.fields.text("name");
  if (!is_key_name(name)) return base::fail(ErrorKind::kNotFound, "unsupported path");
  return name;
}

Result<std::string> decode_base64(std::string_view text) {
  std::string out;
  auto decoded = decode_base64_to(out, text);
  if (!decoded) return forward(decoded);
  return out;
}

Result<void> decode_base64_to(std::string& out, std::string_view text) {
  if (text.size() % 4 != 0) return base::fail(ErrorKind::kInvalid, "illegal base64 data");
  return base::base64_decode_to(out, text);
}

Result<int64_t> auto_rotate_seconds(const logical::Context& context, int64_t otherwise) {
  const auto period = context.fields.duration("auto_rotate_period");
  if (!period) return otherwise;
  const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(*period).count();
  if (seconds != 0 && seconds < kAutoRotateSecondsMin) {
    return logical::bad_request("auto rotate period must be 0 to disable or at least an hour");
  }
  return seconds;
}

Result<void> check_derivation(const KeySettings& settings) {
  if (settings.convergent && !settings.derived) {
    return logical::bad_request("convergent encryption requires derivation to be enabled");
  }
  const TypeInfo& info = settings.info();
  if (settings.derived && !info.derives()) {
    return logical::bad_request(
        "key derivation and convergent encryption not supported for keys of type " +
        std::string(info.name));
  }
  if (settings.convergent && !info.cipher) {
    return logical::bad_request("convergent encryption not supported for keys of type " +
                                std::string(info.name));
  }
  return {};
}

Result<Range> versions_of(const KeySettings& settings, std::string_view text) {
  if (text.empty()) return Range{settings.min_decryption, settings.latest};
  if (text == "latest") return Range{settings.latest, settings.latest};
  int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size()) {
    return logical::bad_request("invalid key version");
  }
  if (number < settings.min_decryption) {
    return logical::bad_request("version for export is below minimum decryption version");
  }
  if (number > settings.latest)
    return logical::bad_request("version does not exist or cannot be found");
  return Range{static_cast<uint32_t>(number), static_cast<uint32_t>(number)};
}

Result<std::string> decode_context(std::string_view text) {
  auto decoded = decode_base64(text);
  if (!decoded) return logical::bad_request("failed to base64-decode context");
  return decoded;
}

Result<base::SecretBytes> derive(const KeySettings& settings, const KeyVersion& version,
                                 std::string_view context, size_t size) {
  if (context.empty()) return logical::bad_request(std::string(kMissingContext));
  if (settings.type != KeyType::kEd25519) {
    return crypto::hkdf_sha256(version.key, {}, context, size);
  }
  // Vault derives from Go's form of the private key: the seed and then the public key.
  auto public_key = base::base64_decode(version.public_text);
  if (!public_key) return base::fail(ErrorKind::kCorrupt, "a stored key can't be read");
  const auto whole = base::SecretBytes::copy_of(std::string(version.key.reveal()) + *public_key);
  return crypto::hkdf_sha256(whole, {}, context, size);
}

Result<logical::Response> describe_key(Keys& keys, std::string_view name, const KeySettings& s,
                                       std::string_view derivation_context) {
  logical::Response response;
  JsonWriter json(response.data);
  const TypeInfo& info = s.info();
  json.begin_object();
  json.member("allow_plaintext_backup", s.plaintext_backup);
  json.member("auto_rotate_period", s.auto_rotate_s);
  write_copy(json, "backup_info", s.backup);
  if (s.derived) json.member("convergent_encryption", s.convergent);
  if (s.convergent) json.member("convergent_encryption_version", -1);
  json.member("deletion_allowed", s.deletion_allowed);
  json.member("derived", s.derived);
  json.member("exportable", s.exportable);
  json.member("imported_key", s.imported);
  if (s.imported) json.member("imported_key_allow_rotation", s.allow_rotation);
  if (s.derived) json.member("kdf", "hkdf_sha256");
  if (s.type == KeyType::kHmac) {
    json.member("key_size", s.hmac_key_bytes);
  } else {
    auto written = write_versions(json, keys, name, s, derivation_context);
    if (!written) return forward(written);
  }
  json.member("latest_version", s.latest);
  json.member("min_available_version", s.min_available);
  json.member("min_decryption_version", s.min_decryption);
  json.member("min_encryption_version", s.min_encryption);
  json.member("name", name);
  write_copy(json, "restore_info", s.restore);
  json.member("soft_deleted", s.soft_deleted);
  json.member("supports_decryption", info.encrypts());
  json.member("supports_derivation", info.derives());
  json.member("supports_encryption", info.encrypts());
  json.member("supports_signing", info.signs());
  json.member("type", info.name);
  json.end_object();
  return response;
}

}  // namespace rekey::engine::transit
