#include "identity/mfa.h"

#include <algorithm>

#include "base/codec.h"
#include "crypto/digest.h"
#include "logical/row.h"

namespace rekey::identity {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::int_at;
using logical::strings_at;

constexpr std::string_view kMethods = "identity/mfa-method/";
constexpr std::string_view kEnforcementsRow = "identity/mfa-enforcements";

std::string method_key(std::string_view id) { return std::string(kMethods) + std::string(id); }

// Names hold anything: the key is made of a hash.
std::string name_key(std::string_view name) {
  return "identity/mfa-method-name/" + base::hex_encode(crypto::as_bytes(crypto::sha256(name)));
}

std::string folder_of_method(std::string_view method_id) {
  return "identity/mfa-totp/" + std::string(method_id) + "/";
}

std::string folder_of_entity(std::string_view entity_id) {
  return "identity/mfa-of/" + std::string(entity_id) + "/";
}

// Whether this can be an id at all: they come from requests and become parts of keys.
bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= kMfaIdBytesMax && !text.contains('/');
}

std::unexpected<base::Error> corrupt() {
  return base::fail(ErrorKind::kCorrupt, "a row of the second factor can't be read");
}

void set_params(JsonObject& row, const crypto::TotpParams& params) {
  row.set("algorithm", crypto::totp_hash_name(params.hash));
  row.set("digits", params.digits);
  row.set("period", params.period_s);
  row.set("skew", params.skew);
}

Result<crypto::TotpParams> params_of(const Json& row) {
  const auto hash = crypto::totp_hash_named(row.string_or("algorithm", ""));
  if (!hash) return corrupt();
  const crypto::TotpParams params{.hash = *hash,
                                  .digits = int_at(row, "digits"),
                                  .period_s = int_at(row, "period"),
                                  .skew = int_at(row, "skew")};
  if (!crypto::check_totp(params)) return corrupt();
  return params;
}

std::string encode(const MfaMethod& method) {
  JsonObject row{{"id", method.id}, {"name", method.name}, {"type", method.type}};
  if (method.is_totp()) {
    set_params(row, method.totp);
    row.set("issuer", method.issuer);
    row.set("key_size", method.key_bytes);
    row.set("qr_size", method.qr_pixels);
    row.set("max_validation_attempts", method.attempts_max);
  } else {
    row.set("config", method.outside);
  }
  return Json(std::move(row)).dump();
}

Result<MfaMethod> decode_method(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) return corrupt();
  MfaMethod method;
  method.id = row->string_or("id", "");
  method.name = row->string_or("name", "");
  method.type = row->string_or("type", "");
  if (!method.is_totp()) {
    const Json* config = row->find("config");
    if (config == nullptr || !config->is_object()) return corrupt();
    method.outside = *config->as_object();
    return method;
  }
  auto params = params_of(*row);
  if (!params) return forward(params);
  method.totp = *params;
  method.issuer = row->string_or("issuer", "");
  method.key_bytes = int_at(*row, "key_size");
  method.qr_pixels = int_at(*row, "qr_size");
  method.attempts_max = int_at(*row, "max_validation_attempts");
  return method;
}

Json encode(const MfaEnforcement& one) {
  return JsonObject{{"id", one.id},
                    {"name", one.name},
                    {"methods", Json::strings(one.method_ids)},
                    {"accessors", Json::strings(one.accessors)},
                    {"types", Json::strings(one.types)},
                    {"groups", Json::strings(one.group_ids)},
                    {"entities", Json::strings(one.entity_ids)}};
}

}  // namespace

Result<std::optional<MfaMethod>> MfaStore::method(std::string_view id) {
  if (!is_id(id)) return std::optional<MfaMethod>();
  auto row = txn_.get(method_key(id));
  if (!row) return forward(row);
  if (!*row) return std::optional<MfaMethod>();
  auto method = decode_method(**row);
  if (!method) return forward(method);
  return std::move(*method);
}

Result<std::optional<std::string>> MfaStore::method_named(std::string_view name) {
  return txn_.get(name_key(name));
}

Result<std::vector<std::string>> MfaStore::method_ids() { return txn_.list(kMethods); }

void MfaStore::save(const MfaMethod* before, const MfaMethod& method) {
  if (before != nullptr && before->name != method.name && !before->name.empty()) {
    txn_.erase(name_key(before->name));
  }
  if (!method.name.empty()) txn_.put(name_key(method.name), method.id);
  txn_.put(method_key(method.id), encode(method));
}

Result<void> MfaStore::remove(const MfaMethod& method) {
  auto entities = txn_.list(folder_of_method(method.id), "", kMfaSecretsErasedMax);
  if (!entities) return forward(entities);
  for (const std::string& entity : *entities) remove_secret(method.id, entity);
  if (!method.name.empty()) txn_.erase(name_key(method.name));
  txn_.erase(method_key(method.id));
  return {};
}

Result<std::vector<MfaEnforcement>> MfaStore::enforcements() {
  auto text = txn_.get(kEnforcementsRow);
  if (!text) return forward(text);
  std::vector<MfaEnforcement> all;
  if (!*text) return all;
  const auto row = Json::parse(**text);
  const JsonArray* items = row ? row->as_array() : nullptr;
  if (items == nullptr) return corrupt();
  for (const Json& item : *items) {
    all.push_back({item.string_or("id", ""), item.string_or("name", ""),
                   strings_at(item, "methods"), strings_at(item, "accessors"),
                   strings_at(item, "types"), strings_at(item, "groups"),
                   strings_at(item, "entities")});
    if (all.back().name.empty() || all.back().method_ids.empty()) return corrupt();
  }
  return all;
}

void MfaStore::save(const std::vector<MfaEnforcement>& all) {
  // Logins without a second factor go on without a row to read.
  if (all.empty()) return txn_.erase(kEnforcementsRow);
  JsonArray items;
  for (const MfaEnforcement& one : all) items.push_back(encode(one));
  txn_.put(kEnforcementsRow, Json(std::move(items)).dump());
}

Result<std::optional<TotpSecret>> MfaStore::secret(std::string_view method_id,
                                                   std::string_view entity_id) {
  if (!is_id(method_id) || !is_id(entity_id)) return std::optional<TotpSecret>();
  auto text = txn_.get(folder_of_method(method_id) + std::string(entity_id));
  if (!text) return forward(text);
  if (!*text) return std::optional<TotpSecret>();
  const auto row = Json::parse(**text);
  if (!row || !row->is_object()) return corrupt();
  auto params = params_of(*row);
  if (!params) return forward(params);
  auto key = base::base64_decode(row->string_or("key", ""));
  if (!key || key->empty()) return corrupt();
  TotpSecret secret{base::SecretBytes::copy_of(*key), *params, row->string_or("issuer", ""),
                    row->string_or("account", ""), int_at(*row, "last_step", -1)};
  return std::move(secret);
}

void MfaStore::save(std::string_view method_id, std::string_view entity_id,
                    const TotpSecret& secret) {
  save_step(method_id, entity_id, secret);
  txn_.put(folder_of_entity(entity_id) + std::string(method_id), "");
}

void MfaStore::save_step(std::string_view method_id, std::string_view entity_id,
                         const TotpSecret& secret) {
  JsonObject row{{"issuer", secret.issuer},
                 {"account", secret.account},
                 {"key", base::base64_encode(secret.key.reveal())},
                 {"last_step", secret.last_step}};
  set_params(row, secret.params);
  txn_.put(folder_of_method(method_id) + std::string(entity_id), Json(std::move(row)).dump());
}

void MfaStore::remove_secret(std::string_view method_id, std::string_view entity_id) {
  txn_.erase(folder_of_method(method_id) + std::string(entity_id));
  txn_.erase(folder_of_entity(entity_id) + std::string(method_id));
}

Result<std::vector<std::string>> MfaStore::methods_of(std::string_view entity_id) {
  return txn_.list(folder_of_entity(entity_id), "", kMfaMethodsMax);
}

}  // namespace rekey::identity
