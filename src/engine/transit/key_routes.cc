// keys/: creating, reading, configuring, rotating, trimming and deleting keys.
#include "engine/transit/common.h"
#include "engine/transit/transit.h"
#include "logical/named_rows.h"

namespace rekey::engine::transit {
namespace {

using base::Result;
using logical::bad_request;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

Result<Response> list(Context& context) { return logical::list_rows(context, "key"); }

Result<Response> read(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  auto derivation = decode_context(context.fields.text("context"));
  if (!derivation) return forward(derivation);
  Keys keys(context);
  auto key = keys.find(*name);
  if (!key) return forward(key);
  if (*key == nullptr) return logical::nothing_there();
  if ((*key)->settings.rotation_due(context.clock.wall())) {
    key = keys.find_for_use(*name);  // what is shown is what would be used
    if (!key) return forward(key);
  }
  return describe_key(keys, *name, (*key)->settings, *derivation);
}

Result<void> choose_hmac_key_size(Context& context, KeySettings& settings) {
  const int64_t size = context.fields.integer("key_size");
  if (settings.type != KeyType::kHmac) {
    if (size == 0) return {};
    return bad_request("key_size is not valid for algorithm " + std::string(settings.info().name));
  }
  if (size == 0) {
    return bad_request("invalid key size for HMAC key, must be between 32 and 512 bytes");
  }
  if (size < kHmacKeyBytesMin || size > kHmacKeyBytesMax) {
    return bad_request("invalid key_size " + std::to_string(size));
  }
  settings.hmac_key_bytes = size;
  return {};
}

Result<Response> create(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  const std::string_view type_name = context.fields.text("type", "aes256-gcm96");
  const TypeInfo* type = type_named(type_name);
  if (type == nullptr) return bad_request("unknown key type " + std::string(type_name));
  KeySettings settings;
  settings.type = type->type;
  settings.derived = context.fields.flag("derived");
  settings.convergent = context.fields.flag("convergent_encryption");
  settings.exportable = context.fields.flag("exportable");
  settings.plaintext_backup = context.fields.flag("allow_plaintext_backup");
  auto period = auto_rotate_seconds(context, 0);
  if (!period) return forward(period);
  settings.auto_rotate_s = *period;
  auto sized = choose_hmac_key_size(context, settings);
  if (!sized) return forward(sized);
  auto derivable = check_derivation(settings);
  if (!derivable) return forward(derivable);
  Keys keys(context);
  auto there = keys.settings_to_change(*name);
  if (!there) return forward(there);
  if (*there) return describe_key(keys, *name, **there);  // stays as it is, as in Vault
  auto made = keys.rotate(*name, settings);
  if (!made) return forward(made);
  return describe_key(keys, *name, settings);
}

Result<Response> rotate(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  Keys keys(context);
  auto settings = keys.settings_to_change(*name);
  if (!settings) return forward(settings);
  if (!*settings) return bad_request("key not found");
  auto rotated = keys.rotate(*name, **settings);
  if (!rotated) return forward(rotated);
  return describe_key(keys, *name, **settings);
}

// min_decryption_version and min_encryption_version, checked against what there is.
Result<void> configure_versions(Context& context, KeySettings& s, Response& answer) {
  int64_t decryption = s.min_decryption, encryption = s.min_encryption;
  if (context.fields.has("min_decryption_version")) {
    decryption = context.fields.integer("min_decryption_version");
    if (decryption < 0) return bad_request("min decryption version cannot be negative");
    if (decryption == 0) {
      decryption = 1;
      answer.warnings.emplace_back("transit key numbering starts at 1; forcing minimum to 1");
    }
    if (decryption > s.latest) {
      return bad_request("cannot set min decryption version of " + std::to_string(decryption) +
                         ", latest key version is " + std::to_string(s.latest));
    }
  }
  if (context.fields.has("min_encryption_version")) {
    encryption = context.fields.integer("min_encryption_version");
    if (encryption < 0) return bad_request("min encryption version cannot be negative");
    if (encryption > s.latest) {
      return bad_request("cannot set min encryption version of " + std::to_string(encryption) +
                         ", latest key version is " + std::to_string(s.latest));
    }
  }
  if (encryption > 0 && encryption < decryption) {
    return bad_request("cannot set min encryption/decryption values; min encryption version of " +
                       std::to_string(encryption) +
                       " must be greater than or equal to min decryption version of " +
                       std::to_string(decryption));
  }
  if (decryption < s.min_available) {
    return bad_request("min decryption version should not be less then min available version");
  }
  s.min_decryption = static_cast<uint32_t>(decryption);
  s.min_encryption = static_cast<uint32_t>(encryption);
  return {};
}

Result<Response> configure(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  Keys keys(context);
  auto found = keys.settings_to_change(*name);
  if (!found) return forward(found);
  if (!*found) {
    return bad_request("no existing key named " + std::string(*name) + " could be found");
  }
  KeySettings& s = **found;
  Response warned;
  auto configured = configure_versions(context, s, warned);
  if (!configured) return forward(configured);
  s.deletion_allowed = context.fields.flag("deletion_allowed", s.deletion_allowed);
  // Once set, these two stay.
  s.exportable = s.exportable || context.fields.flag("exportable");
  s.plaintext_backup = s.plaintext_backup || context.fields.flag("allow_plaintext_backup");
  auto period = auto_rotate_seconds(context, s.auto_rotate_s);
  if (!period) return forward(period);
  s.auto_rotate_s = *period;
  auto written = keys.write(*name, s);
  if (!written) return forward(written);
  auto answer = describe_key(keys, *name, s);
  if (answer) answer->warnings = std::move(warned.warnings);
  return answer;
}

Result<void> check_trim(const KeySettings& s, int64_t to) {
  if (to < s.min_available) {
    return bad_request("minimum available version cannot be decremented");
  }
  if (s.min_encryption == 0) {
    return bad_request(
        "minimum available version cannot be set when minimum encryption version is not set");
  }
  if (to == 0) return bad_request("minimum available version should be positive");
  if (to > s.min_encryption) {
    return bad_request(
        "minimum available version cannot be greater than minmum encryption version");
  }
  if (to > s.min_decryption) {
    return bad_request(
        "minimum available version cannot be greater than minimum decryption version");
  }
  return {};
}

Result<Response> trim(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  Keys keys(context);
  auto found = keys.settings_to_change(*name);
  if (!found) return forward(found);
  if (!*found) return bad_request("invalid key name");
  if (!context.fields.has("min_available_version")) {
    return bad_request("missing min_available_version");
  }
  const int64_t to = context.fields.integer("min_available_version");
  auto allowed = check_trim(**found, to);
  if (!allowed) return forward(allowed);
  for (uint32_t number = (*found)->oldest(); number < to; number++) {
    auto erased = keys.erase_version(*name, number);
    if (!erased) return forward(erased);
  }
  (*found)->min_available = static_cast<uint32_t>(to);
  auto written = keys.write(*name, **found);
  if (!written) return forward(written);
  return describe_key(keys, *name, **found);
}

Result<Response> erase(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  const std::string failed = "error deleting policy " + std::string(*name) + ": ";
  Keys keys(context);
  auto found = keys.settings_to_change(*name);
  if (!found) return forward(found);
  if (!*found) return bad_request(failed + "could not delete key; not found");
  if (!(*found)->deletion_allowed) {
    return bad_request(failed + "deletion is not allowed for this key");
  }
  auto erased = keys.erase(*name, **found);
  if (!erased) return forward(erased);
  return Response{};
}

// Marks the key as deleted or takes the mark away; nothing is lost.
Result<Response> mark_deleted(Context& context, bool deleted) {
  auto name = key_name(context);
  if (!name) return forward(name);
  Keys keys(context);
  auto found = keys.settings_to_change(*name);
  if (!found) return forward(found);
  if (!*found) return Response{};
  (*found)->soft_deleted = deleted;
  auto written = keys.write(*name, **found);
  if (!written) return forward(written);
  return describe_key(keys, *name, **found);
}

std::vector<Field> creation_fields() {
  return {{"type", FieldType::kString, "aes256-gcm96 (default), ed25519, rsa-4096 ..."},
          {"derived", FieldType::kBoolean, "A key of its own for each `context`."},
          {"convergent_encryption", FieldType::kBoolean, "The same ciphertext for the same text."},
          {"exportable", FieldType::kBoolean, "The key may be exported. Can't be taken back."},
          {"allow_plaintext_backup", FieldType::kBoolean, "The key may be backed up. Stays set."},
          {"key_size", FieldType::kInteger, "Of an HMAC key, bytes: 32 to 512."},
          {"auto_rotate_period", FieldType::kDuration, "How old a version may get; 0: any age."},
          {"context", FieldType::kString, "Base64: whose public key to show, of a derived key."}};
}

}  // namespace

void Engine::add_key_routes() {
  routes_.add({.pattern = "keys",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list}},
               .synopsis = "The names of the keys."});
  routes_.add({.pattern = "keys/{name}",
               .fields = creation_fields(),
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, create},
                            {Operation::kDelete, erase}},
               .synopsis = "Creates, shows and deletes a key."});
  routes_.add(
      {.pattern = "keys/{name}/config",
       .fields = {{"min_decryption_version", FieldType::kInteger, "The oldest that decrypts."},
                  {"min_encryption_version", FieldType::kInteger, "The oldest that encrypts."},
                  {"deletion_allowed", FieldType::kBoolean, "Whether the key may be deleted."},
                  {"exportable", FieldType::kBoolean, "The key may be exported. Stays set."},
                  {"allow_plaintext_backup", FieldType::kBoolean, "As it says. Stays set."},
                  {"auto_rotate_period", FieldType::kDuration, "At least an hour, or 0."}},
       .handlers = {{Operation::kUpdate, configure}},
       .synopsis = "Configures a key."});
  routes_.add({.pattern = "keys/{name}/rotate",
               .handlers = {{Operation::kUpdate, rotate}},
               .synopsis = "Makes a new version of a key."});
  routes_.add({.pattern = "keys/{name}/trim",
               .fields = {{"min_available_version", FieldType::kInteger, "The oldest to keep."}},
               .handlers = {{Operation::kUpdate, trim}},
               .synopsis = "Deletes old versions of a key for good."});
  routes_.add({.pattern = "keys/{name}/soft-delete",
               .handlers = {{Operation::kDelete,
                             [](Context& context) { return mark_deleted(context, true); }}},
               .synopsis = "Takes a key out of use, so that it can come back."});
  routes_.add({.pattern = "keys/{name}/soft-delete-restore",
               .handlers = {{Operation::kUpdate,
                             [](Context& context) { return mark_deleted(context, false); }}},
               .synopsis = "Takes a key that was soft-deleted back into use."});
}

Engine::Engine() {
  add_key_routes();
  add_copy_routes();
  add_import_routes();
  add_derive_routes();
  add_encrypt_routes();
  add_sign_routes();
  add_tool_routes();
}

}  // namespace rekey::engine::transit
