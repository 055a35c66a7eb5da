#include "identity/oidc.h"

#include <algorithm>
#include <set>

#include "base/codec.h"
#include "crypto/jwk.h"
#include "logical/row.h"

namespace rekey::identity {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::int_at;

constexpr std::string_view kConfigRow = "oidc-config";
constexpr std::string_view kKeys = "oidc-key/";
constexpr std::string_view kPrivate = "oidc-private/";
constexpr std::string_view kRoles = "oidc-role/";

std::unexpected<base::Error> corrupt() {
  return base::fail(ErrorKind::kCorrupt, "a row of the identity tokens can't be read");
}

std::string row_of(std::string_view folder, std::string_view name) {
  return std::string(folder) + std::string(name);
}

std::string encode(const OidcKey& key) {
  JsonArray pairs;
  for (const OidcPublic& pair : key.pairs) {
    pairs.push_back(JsonObject{{"id", pair.id}, {"until", pair.until_s}, {"jwk", pair.jwk}});
  }
  return Json(JsonObject{{"algorithm", crypto::jws_algorithm_name(key.algorithm)},
                         {"rotation_period", key.rotation_period_s},
                         {"verification_ttl", key.verification_ttl_s},
                         {"allowed_client_ids", Json::strings(key.allowed_client_ids)},
                         {"next_rotation", key.next_rotation_s},
                         {"pairs", std::move(pairs)}})
      .dump();
}

Result<OidcKey> decode_key(std::string_view name, std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) return corrupt();
  const auto algorithm = oidc_algorithm_named(row->string_or("algorithm", ""));
  const Json* pairs = row->find("pairs");
  if (!algorithm || pairs == nullptr || pairs->as_array() == nullptr) return corrupt();
  OidcKey key;
  key.name = name;
  key.algorithm = *algorithm;
  key.rotation_period_s = int_at(*row, "rotation_period");
  key.verification_ttl_s = int_at(*row, "verification_ttl");
  key.allowed_client_ids = logical::strings_at(*row, "allowed_client_ids");
  key.next_rotation_s = int_at(*row, "next_rotation");
  for (const Json& pair : *pairs->as_array()) {
    const Json* jwk = pair.find("jwk");
    if (jwk == nullptr || !jwk->is_object()) return corrupt();
    key.pairs.push_back({pair.string_or("id", ""), int_at(pair, "until"), *jwk->as_object()});
  }
  if (key.pairs.size() < 2) return corrupt();
  return key;
}

}  // namespace

const std::vector<std::string>& oidc_algorithm_names() {
  static const std::vector<std::string> names = {"RS256", "RS384", "RS512", "ES256",
                                                 "ES384", "ES512", "EdDSA"};
  return names;
}

std::optional<crypto::JwsAlgorithm> oidc_algorithm_named(std::string_view name) {
  if (std::ranges::find(oidc_algorithm_names(), name) == oidc_algorithm_names().end()) return {};
  return crypto::jws_algorithm_named(name);
}

bool OidcKey::allows(std::string_view client_id) const {
  return std::ranges::any_of(allowed_client_ids, [&](const std::string& allowed) {
    return allowed == "*" || allowed == client_id;
  });
}

int64_t OidcStore::now_s() const {
  return std::chrono::floor<std::chrono::seconds>(clock_.wall()).time_since_epoch().count();
}

// ---- keys

Result<std::optional<OidcKey>> OidcStore::key(std::string_view name) {
  auto text = view_.get(row_of(kKeys, name));
  if (!text) return forward(text);
  if (!*text) return std::optional<OidcKey>();
  auto key = decode_key(name, **text);
  if (!key) return forward(key);
  return std::move(*key);
}

Result<std::vector<std::string>> OidcStore::key_names() {
  return view_.list(kKeys, "", kOidcKeysMax + 1);
}

Result<OidcStore::Private> OidcStore::make_pair(OidcKey& key) {
  const auto pair = crypto::KeyPair::generate(crypto::jws_key_kind(key.algorithm));
  const std::string id = random_.uuid();
  key.pairs.push_back({id, 0, crypto::to_jwk(pair, id, crypto::jws_algorithm_name(key.algorithm))});
  return Private{id, base::base64_encode(pair.private_der().reveal())};
}

Result<void> OidcStore::write_private(const OidcKey& key, const std::vector<Private>& pairs) {
  JsonArray items;
  for (const Private& pair : pairs) {
    items.push_back(JsonObject{{"id", pair.id}, {"der", pair.der}});
  }
  return view_.put(row_of(kPrivate, key.name), Json(std::move(items)).dump());
}

Result<std::vector<OidcStore::Private>> OidcStore::read_private(std::string_view name) {
  auto text = view_.get(row_of(kPrivate, name));
  if (!text) return forward(text);
  if (!*text) return corrupt();
  const auto row = Json::parse(**text);
  if (!row || row->as_array() == nullptr) return corrupt();
  std::vector<Private> pairs;
  for (const Json& item : *row->as_array()) {
    pairs.push_back({item.string_or("id", ""), item.string_or("der", "")});
  }
  if (pairs.size() != 2) return corrupt();
  return pairs;
}

Result<void> OidcStore::save_with_new_pairs(OidcKey& key) {
  std::vector<OidcPublic> old = std::move(key.pairs);
  key.pairs.clear();
  std::vector<Private> made;
  for (int i = 0; i < 2; i++) {
    auto pair = make_pair(key);
    if (!pair) return forward(pair);
    made.push_back(std::move(*pair));
  }
  for (OidcPublic& pair : old) {
    if (pair.until_s == 0) pair.until_s = now_s() + key.verification_ttl_s;
    key.pairs.push_back(std::move(pair));
  }
  if (auto written = write_private(key, made); !written) return written;
  return save(key);
}

Result<void> OidcStore::save(const OidcKey& key) {
  return view_.put(row_of(kKeys, key.name), encode(key));
}

Result<void> OidcStore::remove(const OidcKey& key) {
  if (auto erased = view_.erase(row_of(kPrivate, key.name)); !erased) return erased;
  return view_.erase(row_of(kKeys, key.name));
}

Result<void> OidcStore::rotate(OidcKey& key, int64_t verification_ttl_s) {
  const int64_t now = now_s();
  std::erase_if(key.pairs,
                [&](const OidcPublic& pair) { return pair.until_s != 0 && pair.until_s <= now; });
  if (key.pairs.size() >= kOidcOldPairsMax + 2) {
    return base::fail(ErrorKind::kInvalid,
                      "too many earlier keys are still valid: rotate again when some have expired");
  }
  auto made = read_private(key.name);
  if (!made) return forward(made);
  key.pairs[0].until_s = now + verification_ttl_s;
  std::rotate(key.pairs.begin(), key.pairs.begin() + 1, key.pairs.end());
  auto next = make_pair(key);
  if (!next) return forward(next);
  // It was added last: to its place behind the one that signs.
  std::rotate(key.pairs.begin() + 1, key.pairs.end() - 1, key.pairs.end());
  (*made)[0] = std::move((*made)[1]);
  (*made)[1] = std::move(*next);
  key.next_rotation_s = now + key.rotation_period_s;
  if (auto written = write_private(key, *made); !written) return written;
  return save(key);
}

Result<bool> OidcStore::bring_up_to_date(OidcKey& key) {
  const int64_t now = now_s();
  if (now >= key.next_rotation_s) {
    auto rotated = rotate(key, key.verification_ttl_s);
    if (!rotated) return forward(rotated);
    return true;
  }
  const size_t dropped = std::erase_if(
      key.pairs, [&](const OidcPublic& pair) { return pair.until_s != 0 && pair.until_s <= now; });
  if (dropped == 0) return false;
  auto saved = save(key);
  if (!saved) return forward(saved);
  return true;
}

Result<std::string> OidcStore::sign(const OidcKey& key, std::string_view payload) {
  auto pairs = read_private(key.name);
  if (!pairs) return forward(pairs);
  if ((*pairs)[0].id != key.pairs[0].id) return corrupt();
  auto der = base::base64_decode((*pairs)[0].der);
  if (!der) return corrupt();
  auto pair = crypto::KeyPair::from_private_der(*der);
  if (!pair) return corrupt();
  return crypto::sign_jws(*pair, key.algorithm, payload, key.pairs[0].id, "JWT");
}

// ---- roles

Result<std::optional<OidcRole>> OidcStore::role(std::string_view name) {
  auto text = view_.get(row_of(kRoles, name));
  if (!text) return forward(text);
  if (!*text) return std::optional<OidcRole>();
  const auto row = Json::parse(**text);
  if (!row || !row->is_object()) return corrupt();
  return OidcRole{std::string(name), row->string_or("key", ""), row->string_or("template", ""),
                  row->string_or("client_id", ""), int_at(*row, "ttl")};
}

Result<std::vector<std::string>> OidcStore::role_names() {
  return view_.list(kRoles, "", kOidcRolesMax + 1);
}

Result<void> OidcStore::save(const OidcRole& role) {
  return view_.put(row_of(kRoles, role.name), Json(JsonObject{{"key", role.key},
                                                              {"template", role.text},
                                                              {"client_id", role.client_id},
                                                              {"ttl", role.ttl_s}})
                                                  .dump());
}

Result<void> OidcStore::remove_role(std::string_view name) {
  return view_.erase(row_of(kRoles, name));
}

Result<std::vector<OidcRole>> OidcStore::roles_with_key(std::string_view key) {
  std::vector<OidcRole> found;
  auto names = role_names();
  if (!names) return forward(names);
  for (const std::string& name : *names) {
    auto one = role(name);
    if (!one) return forward(one);
    if (*one && (*one)->key == key) found.push_back(std::move(**one));
  }
  return found;
}

Result<JsonObject> OidcStore::public_keys() {
  std::set<std::string> used;
  auto scanned = view_.scan(kRoles, "", [&](std::string_view, std::string_view text) {
    if (const auto row = Json::parse(text)) used.insert(row->string_or("key", ""));
    return true;
  });
  if (!scanned) return forward(scanned);
  JsonArray shown;
  for (const std::string& name : used) {
    auto text = view_.peek(row_of(kKeys, name));
    if (!text) return forward(text);
    if (!*text) continue;
    auto key = decode_key(name, **text);
    if (!key) return forward(key);
    for (OidcPublic& pair : key->pairs) {
      if (pair.until_s == 0 || pair.until_s > now_s()) shown.emplace_back(std::move(pair.jwk));
    }
  }
  return JsonObject{{"keys", std::move(shown)}};
}

Result<std::string> OidcStore::issuer() {
  auto text = view_.peek(kConfigRow);
  if (!text) return forward(text);
  return text->value_or("");
}

Result<void> OidcStore::set_issuer(std::string_view issuer) {
  return view_.put(kConfigRow, std::string(issuer));
}

}  // namespace rekey::identity
