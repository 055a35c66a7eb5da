#include "auth/jwt/config.h"

#include <algorithm>
#include <array>

#include "base/codec.h"
#include "crypto/jws.h"
#include "logical/answer.h"
#include "logical/named_rows.h"
#include "logical/row.h"

namespace rekey::auth::jwt {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Fields;

constexpr std::string_view kRow = "config";
// Whose provider_config Vault knows more of; we keep it.
constexpr std::array<std::string_view, 6> kProviders = {"azure",   "gsuite",     "google",
                                                        "ibmisam", "secureauth", "adfs"};

Json pairs_json(const std::vector<JwksPair>& pairs) {
  JsonArray out;
  for (const JwksPair& pair : pairs) {
    out.emplace_back(JsonObject{{"jwks_url", pair.url}, {"jwks_ca_pem", pair.ca_pem}});
  }
  return Json(std::move(out));
}

Result<std::vector<JwksPair>> read_pairs(const Json& sent) {
  const auto wrong = [] {
    return logical::bad_request(
        "jwks_pairs must be a list of objects with jwks_url and jwks_ca_pem");
  };
  std::vector<JwksPair> out;
  if (sent.is_null()) return out;
  if (sent.as_array() == nullptr) return wrong();
  for (const Json& item : *sent.as_array()) {
    JwksPair pair{item.string_or("jwks_url", ""), item.string_or("jwks_ca_pem", "")};
    if (pair.url.empty()) return wrong();
    out.push_back(std::move(pair));
  }
  if (out.size() > kJwksPairsMax) return logical::bad_request("too many jwks_pairs");
  return out;
}

Result<void> check_browser_flow(const Config& config) {
  if (!config.client_id.empty() && config.discovery_url.empty()) {
    return logical::bad_request("'oidc_discovery_url' must be set for OIDC");
  }
  for (const std::string& type : config.response_types) {
    if (type == "code" || type == "id_token") continue;
    std::string all;
    for (const std::string& each : config.response_types) all += (all.empty() ? "" : " ") + each;
    return logical::bad_request("invalid response_types [" + all +
                                "]. 'code' and 'id_token' are allowed");
  }
  const std::string& mode = config.response_mode;
  if (!mode.empty() && mode != "query" && mode != "form_post") {
    return logical::bad_request("invalid response_mode: \"" + mode + '"');
  }
  if (mode == "query" &&
      std::ranges::find(config.response_types, "id_token") != config.response_types.end()) {
    return logical::bad_request(
        "query response_mode may not be used with an id_token response_type");
  }
  if (config.provider_config.empty()) return {};
  const std::string provider = Json(config.provider_config).string_or("provider", "");
  if (std::ranges::find(kProviders, provider) == kProviders.end()) {
    return logical::bad_request("invalid provider_config: provider \"" + provider +
                                "\" not found in custom providers");
  }
  return {};
}

Result<void> check_keys(const Config& config) {
  const int methods = int(!config.public_keys.empty()) + int(!config.jwks_url.empty()) +
                      int(!config.jwks_pairs.empty()) + int(!config.discovery_url.empty());
  if (methods != 1) {
    return logical::bad_request(
        "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs', "
        "'oidc_discovery_url', or 'provider_config' must be set");
  }
  if (config.public_keys.size() > kPublicKeysMax) {
    return logical::bad_request("too many jwt_validation_pubkeys");
  }
  for (const std::string& pem : config.public_keys) {
    auto key = crypto::KeyPair::from_key_or_certificate_pem(pem);
    if (!key) return logical::bad_request("error parsing public key: " + key.error().message());
  }
  const auto no_certificates = [](const std::string& pem) {
    return !pem.empty() && !pem.contains("-----BEGIN CERTIFICATE-----");
  };
  if (!config.jwks_url.empty() && no_certificates(config.jwks_ca_pem)) {
    return logical::bad_request("error checking jwks_ca_pem");
  }
  if (!config.discovery_url.empty() && no_certificates(config.discovery_ca_pem)) {
    return logical::bad_request(
        "error checking oidc discovery URL: could not parse CA PEM value successfully");
  }
  for (const std::string& name : config.algorithms) {
    if (crypto::jws_algorithm_named(name)) continue;
    return logical::bad_request("invalid jwt_supported_algs: unsupported signing algorithm \"" +
                                name + '"');
  }
  return {};
}

Result<Config> decode(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(ErrorKind::kCorrupt, "the configuration of auth/jwt can't be read");
  }
  Config config;
  config.discovery_url = row->string_or("oidc_discovery_url", "");
  config.discovery_ca_pem = row->string_or("oidc_discovery_ca_pem", "");
  config.client_id = row->string_or("oidc_client_id", "");
  config.client_secret = row->string_or("oidc_client_secret", "");
  config.response_mode = row->string_or("oidc_response_mode", "");
  config.response_types = logical::strings_at(*row, "oidc_response_types");
  config.jwks_url = row->string_or("jwks_url", "");
  config.jwks_ca_pem = row->string_or("jwks_ca_pem", "");
  if (const Json* pairs = row->find("jwks_pairs")) {
    auto read = read_pairs(*pairs);
    if (read) config.jwks_pairs = std::move(*read);
  }
  config.public_keys = logical::strings_at(*row, "jwt_validation_pubkeys");
  config.bound_issuer = row->string_or("bound_issuer", "");
  config.algorithms = logical::strings_at(*row, "jwt_supported_algs");
  config.default_role = row->string_or("default_role", "");
  if (const Json* provider = row->find("provider_config"); provider && provider->as_object()) {
    config.provider_config = *provider->as_object();
  }
  config.namespace_in_state = logical::flag_at(*row, "namespace_in_state", true);
  return config;
}

}  // namespace

std::vector<KeySource> Config::sources(const logical::Mount& mount) const {
  if (!discovery_url.empty()) return {{mount.uuid, discovery_url, discovery_ca_pem, true}};
  if (!jwks_url.empty()) return {{mount.uuid, jwks_url, jwks_ca_pem, false}};
  std::vector<KeySource> out;
  for (const JwksPair& pair : jwks_pairs) out.push_back({mount.uuid, pair.url, pair.ca_pem, false});
  return out;
}

JsonObject describe(const Config& config) {
  return {{"bound_issuer", config.bound_issuer},
          {"default_role", config.default_role},
          {"jwks_ca_pem", config.jwks_ca_pem},
          {"jwks_pairs", pairs_json(config.jwks_pairs)},
          {"jwks_url", config.jwks_url},
          {"jwt_supported_algs", Json::strings(config.algorithms)},
          {"jwt_validation_pubkeys", Json::strings(config.public_keys)},
          {"namespace_in_state", config.namespace_in_state},
          {"oidc_client_id", config.client_id},
          {"oidc_discovery_ca_pem", config.discovery_ca_pem},
          {"oidc_discovery_url", config.discovery_url},
          {"oidc_response_mode", config.response_mode},
          {"oidc_response_types", Json::strings(config.response_types)},
          {"provider_config", config.provider_config}};
}

Result<std::optional<Config>> read_config(Context& context) {
  return logical::read_row(context, kRow, decode);
}

Result<void> save_config(Context& context, const Config& config) {
  JsonObject row = describe(config);
  row.set("oidc_client_secret", config.client_secret);
  return context.storage->put(std::string(kRow), Json(std::move(row)).dump());
}

Result<void> apply_fields(const Fields& fields, Config& config) {
  size_t bytes = 0;
  for (const auto& [name, into] :
       {std::pair<std::string_view, std::string*>{"oidc_discovery_url", &config.discovery_url},
        {"oidc_discovery_ca_pem", &config.discovery_ca_pem},
        {"oidc_client_id", &config.client_id},
        {"oidc_client_secret", &config.client_secret},
        {"oidc_response_mode", &config.response_mode},
        {"jwks_url", &config.jwks_url},
        {"jwks_ca_pem", &config.jwks_ca_pem},
        {"bound_issuer", &config.bound_issuer}}) {
    *into = fields.text(name);
    bytes += into->size();
  }
  config.default_role = base::to_lower(fields.text("default_role"));
  config.response_types = fields.strings("oidc_response_types");
  config.algorithms = fields.strings("jwt_supported_algs");
  config.public_keys = fields.strings("jwt_validation_pubkeys");
  for (std::string& pem : config.public_keys) {
    while (pem.ends_with('\n')) pem.pop_back();
    bytes += pem.size();
  }
  config.jwks_pairs.clear();
  if (const Json* pairs = fields.find("jwks_pairs")) {
    auto read = read_pairs(*pairs);
    if (!read) return forward(read);
    config.jwks_pairs = std::move(*read);
    for (const JwksPair& pair : config.jwks_pairs) bytes += pair.url.size() + pair.ca_pem.size();
  }
  config.provider_config = {};
  if (const JsonObject* provider = fields.object("provider_config")) {
    config.provider_config = *provider;
  }
  config.namespace_in_state = fields.flag("namespace_in_state", config.namespace_in_state);
  if (bytes > kConfigTextBytesMax) return logical::bad_request("the configuration is too large");
  return {};
}

Result<void> check(const Config& config) {
  if (config.client_id.empty() != config.client_secret.empty()) {
    return logical::bad_request(
        "both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC");
  }
  if (auto keys = check_keys(config); !keys) return keys;
  for (const std::string* url : {&config.discovery_url, &config.jwks_url}) {
    if (url->empty()) continue;
    if (auto usable = net::check_outgoing_url(*url); !usable) {
      return logical::bad_request(url == &config.jwks_url ? "error checking jwks URL"
                                                          : "error checking oidc discovery URL: " +
                                                                usable.error().message());
    }
  }
  return check_browser_flow(config);
}

}  // namespace rekey::auth::jwt
