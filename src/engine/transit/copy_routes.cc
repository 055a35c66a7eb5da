// export/, backup/, restore/: keys that may leave, as text.
#include "base/codec.h"
#include "engine/transit/backup.h"
#include "engine/transit/common.h"
#include "engine/transit/transit.h"

namespace rekey::engine::transit {
namespace {

using base::ErrorKind;
using base::JsonWriter;
using base::Result;
using logical::bad_request;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

enum class What { kEncryption, kSigning, kHmac, kPublic };

Result<What> what_of(std::string_view type) {
  if (type == "encryption-key") return What::kEncryption;
  if (type == "signing-key") return What::kSigning;
  if (type == "hmac-key") return What::kHmac;
  if (type == "public-key") return What::kPublic;
  return bad_request("invalid export type: " + std::string(type));
}

Result<void> check_export(What what, const KeySettings& settings) {
  const TypeInfo& info = settings.info();
  if (what != What::kPublic && !settings.exportable) {
    return bad_request("private key material is not exportable");
  }
  if (what == What::kEncryption && !info.encrypts()) {
    return bad_request("encryption not supported for the key");
  }
  if (what == What::kSigning && !info.signs()) {
    return bad_request("signing not supported for the key");
  }
  if (what == What::kPublic && (!info.pair || settings.derived)) {
    return bad_request("unknown key type " + std::string(info.name) +
                       " for export type public-key");
  }
  return {};
}

std::string without_last_newline(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return std::string(text);
}

Result<std::string> exported(What what, const KeySettings& settings, const KeyVersion& version) {
  const TypeInfo& info = settings.info();
  if (what == What::kHmac) return base::base64_encode(version.hmac_key.reveal());
  if (what == What::kPublic) return without_last_newline(version.public_text);
  if (version.key.empty()) return bad_request("the key has no private part");
  if (!info.pair) return base::base64_encode(version.key.reveal());
  auto pair = pair_of(info, version);
  if (!pair) return forward(pair);
  if (info.type == KeyType::kEd25519) {
    return base::base64_encode(std::string(version.key.reveal()) + pair->ed25519_public());
  }
  return without_last_newline(pair->private_pem().reveal());
}

Result<Response> export_key(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  auto what = what_of(context.fields.text("type"));
  if (!what) return forward(what);
  Keys keys(context);
  auto key = keys.find(*name);
  if (!key) return forward(key);
  if (*key == nullptr) return logical::nothing_there();
  const KeySettings& settings = (*key)->settings;
  auto allowed = check_export(*what, settings);
  if (!allowed) return forward(allowed);
  auto range = versions_of(settings, context.fields.text("version"));
  if (!range) return forward(range);
  Response response;
  JsonWriter json(response.data);
  json.begin_object();
  json.key("keys");
  json.begin_object();
  for (uint32_t number = range->first; number <= range->last; number++) {
    auto version = keys.version(*name, number);
    if (!version) return forward(version);
    auto text = exported(*what, settings, *version);
    if (!text) return forward(text);
    json.dynamic_key(std::to_string(number));
    json.value(*text);
  }
  json.end_object();
  json.member("name", *name);
  json.member("type", settings.info().name);
  json.end_object();
  return response;
}

Result<Response> backup(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  Keys keys(context);
  auto settings = keys.settings_to_change(*name);
  if (!settings) return forward(settings);
  if (!*settings) return bad_request("key \"" + std::string(*name) + "\" not found");
  if (!(*settings)->exportable) return bad_request("exporting is disallowed on the policy");
  if (!(*settings)->plaintext_backup) {
    return bad_request("plaintext backup is disallowed on the policy");
  }
  (*settings)->backup = CopyInfo{context.clock.wall(), (*settings)->latest};
  KeyCopy copy{.name = std::string(*name), .settings = **settings};
  for (uint32_t number = copy.settings.oldest(); number <= copy.settings.latest; number++) {
    auto version = keys.version(*name, number);
    if (!version) return forward(version);
    copy.versions.emplace(number, std::move(*version));
  }
  auto text = encode_backup(copy);
  if (!text) return forward(text);
  auto written = keys.write(*name, **settings);
  if (!written) return forward(written);
  return logical::with_data({{"backup", std::move(*text)}});
}

Result<Response> restore(Context& context) {
  const std::string_view text = context.fields.text("backup");
  if (text.empty()) return bad_request("'backup' must be supplied");
  auto copy = decode_backup(text);
  if (!copy) return forward(copy);
  std::string name(context.fields.text("name"));
  if (name.empty()) name = copy->name;
  if (name.find('/') != std::string::npos) return bad_request("key names cannot be paths");
  if (!is_key_name(name)) return bad_request("invalid key name");
  Keys keys(context);
  auto there = keys.settings_to_change(name);
  if (!there) return forward(there);
  if (*there) {
    if (!context.fields.flag("force")) {
      return bad_request("key \"" + name + "\" already exists");
    }
    auto erased = keys.erase(name, **there);
    if (!erased) return forward(erased);
  }
  copy->settings.restore = CopyInfo{context.clock.wall(), copy->settings.latest};
  for (const auto& [number, version] : copy->versions) {
    auto written = keys.write_version(name, number, version);
    if (!written) return forward(written);
  }
  auto written = keys.write(name, copy->settings);
  if (!written) return forward(written);
  return Response{};
}

}  // namespace

void Engine::add_copy_routes() {
  for (const char* pattern : {"export/{type}/{name}", "export/{type}/{name}/{version}"}) {
    routes_.add({.pattern = pattern,
                 .handlers = {{Operation::kRead, export_key}},
                 .synopsis = "A key that may be exported: encryption-key, signing-key, hmac-key "
                             "or public-key.",
                 .blocking = true});
  }
  routes_.add({.pattern = "backup/{name}",
               .handlers = {{Operation::kRead, backup}},
               .synopsis = "A key with all its versions, in the clear.",
               .blocking = true});
  const Field text{"backup", FieldType::kString, "What backup answered."};
  const Field force{"force", FieldType::kBoolean, "In place of a key of that name."};
  routes_.add({.pattern = "restore",
               .fields = {text, force},
               .handlers = {{Operation::kUpdate, restore}},
               .synopsis = "Brings a backed-up key back, under its own name.",
               .blocking = true});
  routes_.add({.pattern = "restore/{name*}",
               .fields = {text, force},
               .handlers = {{Operation::kUpdate, restore}},
               .synopsis = "Brings a backed-up key back, under this name.",
               .blocking = true});
}

}  // namespace rekey::engine::transit
