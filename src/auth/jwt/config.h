// The configuration of one mount of auth/jwt: its row, its answer, its checks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "auth/jwt/key_cache.h"
#include "base/json.h"
#include "logical/context.h"

namespace rekey::auth::jwt {

constexpr size_t kPublicKeysMax = 64;               // static keys of one mount
constexpr size_t kJwksPairsMax = 16;                // key sets of one mount
constexpr size_t kConfigTextBytesMax = 256 * 1024;  // of all its texts together

struct JwksPair {
  std::string url, ca_pem;
};

struct Config {
  std::string discovery_url, discovery_ca_pem;
  std::string client_id, client_secret;  // of the browser flow; the secret is never shown
  std::string response_mode;
  std::vector<std::string> response_types;
  std::string jwks_url, jwks_ca_pem;
  std::vector<JwksPair> jwks_pairs;
  std::vector<std::string> public_keys;  // PEM
  std::string bound_issuer;
  std::vector<std::string> algorithms;  // of signatures; empty: all that there are
  std::string default_role;             // in lower case
  base::JsonObject provider_config;
  bool namespace_in_state = true;

  // Where its keys are fetched from; empty with static ones.
  std::vector<KeySource> sources(const logical::Mount& mount) const;
};

base::JsonObject describe(const Config& config);  // as a read shows it
base::Result<std::optional<Config>> read_config(logical::Context& context);
base::Result<void> save_config(logical::Context& context, const Config& config);
// Replaces what the request sent. Failure: kInvalid, in Vault's words.
base::Result<void> apply_fields(const logical::Fields& fields, Config& config);
// Everything that can be checked without a network.
base::Result<void> check(const Config& config);

}  // namespace rekey::auth::jwt
