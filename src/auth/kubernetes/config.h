// The configuration of one mount of auth/kubernetes: its row, its answer, its checks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "logical/context.h"

namespace rekey::auth::kubernetes {

constexpr size_t kPublicKeysMax = 64;               // of one mount
constexpr size_t kConfigTextBytesMax = 256 * 1024;  // of all its texts together

struct Config {
  std::string host;                      // "https://10.96.0.1:443"
  std::string ca_cert;                   // PEM; empty: that of the pod that we run in
  std::string reviewer_token;            // asks for reviews; empty: see reviewer_of()
  std::vector<std::string> public_keys;  // PEM, of the cluster's tokens
  std::string issuer;
  bool disable_issuer_check = true;
  bool disable_local = false;  // use nothing of the pod that we run in
};

base::JsonObject describe(const Config& config);  // as a read shows it: without the token
base::Result<std::optional<Config>> read_config(logical::Context& context);
base::Result<void> save_config(logical::Context& context, const Config& config);
// Replaces everything by what the request sent; checks it. Reads a file where the CA is the pod's:
// on a thread that may block. Failure: kInvalid, in Vault's words.
base::Result<Config> config_of(const logical::Fields& fields);

// Whose certificates the cluster's server is checked against, and who asks: what is configured, or
// what Kubernetes mounts into the pod that we run in; the second is empty where there is neither,
// and the client's token asks then. They read files: on a thread that may block.
std::string ca_of(const Config& config);
std::string reviewer_of(const Config& config);

}  // namespace rekey::auth::kubernetes
