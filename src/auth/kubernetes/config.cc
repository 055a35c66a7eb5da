#include "auth/kubernetes/config.h"

#include <fstream>

#include "crypto/key_pair.h"
#include "logical/answer.h"
#include "logical/named_rows.h"
#include "logical/row.h"
#include "net/outgoing.h"

namespace rekey::auth::kubernetes {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Fields;

constexpr std::string_view kRow = "config";
// Where Kubernetes mounts a pod's own account.
constexpr const char* kLocalCa = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
constexpr const char* kLocalToken = "/var/run/secrets/kubernetes.io/serviceaccount/token";
constexpr std::streamsize kLocalFileBytesMax = 256 * 1024;  // of one of the pod's files

// Empty where it can't be read.
std::string local_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<size_t>(kLocalFileBytesMax), '\0');
  file.read(text.data(), kLocalFileBytesMax);
  text.resize(static_cast<size_t>(file.gcount()));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

Result<Config> decode(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(ErrorKind::kCorrupt, "the configuration of auth/kubernetes can't be read");
  }
  Config config;
  config.host = row->string_or("kubernetes_host", "");
  config.ca_cert = row->string_or("kubernetes_ca_cert", "");
  config.reviewer_token = row->string_or("token_reviewer_jwt", "");
  config.public_keys = logical::strings_at(*row, "pem_keys");
  config.issuer = row->string_or("issuer", "");
  config.disable_issuer_check = logical::flag_at(*row, "disable_iss_validation", true);
  config.disable_local = logical::flag_at(*row, "disable_local_ca_jwt");
  return config;
}

Result<void> check(const Config& config) {
  if (config.host.empty()) return logical::bad_request("no host provided");
  if (auto usable = net::check_outgoing_url(config.host); !usable) {
    return logical::bad_request("kubernetes_host: " + usable.error().message());
  }
  if (config.ca_cert.empty() && config.disable_local) {
    return logical::bad_request(
        "kubernetes_ca_cert must be given when disable_local_ca_jwt is true");
  }
  if (config.ca_cert.empty() && local_file(kLocalCa).empty()) {
    return logical::bad_request("open " + std::string(kLocalCa) + ": no such file or directory");
  }
  if (config.public_keys.size() > kPublicKeysMax) return logical::bad_request("too many pem_keys");
  size_t bytes = config.ca_cert.size() + config.reviewer_token.size();
  for (const std::string& pem : config.public_keys) {
    bytes += pem.size();
    auto key = crypto::KeyPair::from_key_or_certificate_pem(pem);
    if (!key) return logical::bad_request(key.error().message());
  }
  if (bytes > kConfigTextBytesMax) return logical::bad_request("the configuration is too large");
  return {};
}

}  // namespace

JsonObject describe(const Config& config) {
  return {{"disable_iss_validation", config.disable_issuer_check},
          {"disable_local_ca_jwt", config.disable_local},
          {"issuer", config.issuer},
          {"kubernetes_ca_cert", config.ca_cert},
          {"kubernetes_host", config.host},
          {"pem_keys", Json::strings(config.public_keys)},
          {"token_reviewer_jwt_set", !config.reviewer_token.empty()}};
}

Result<std::optional<Config>> read_config(Context& context) {
  return logical::read_row(context, kRow, decode);
}

Result<void> save_config(Context& context, const Config& config) {
  JsonObject row = describe(config);
  row.erase("token_reviewer_jwt_set");
  row.set("token_reviewer_jwt", config.reviewer_token);
  return context.storage->put(std::string(kRow), Json(std::move(row)).dump());
}

Result<Config> config_of(const Fields& fields) {
  Config config;
  config.host = fields.text("kubernetes_host");
  config.ca_cert = fields.text("kubernetes_ca_cert");
  config.reviewer_token = fields.text("token_reviewer_jwt");
  config.public_keys = fields.strings("pem_keys");
  std::erase(config.public_keys, "");
  for (std::string& pem : config.public_keys) {
    while (pem.ends_with('\n')) pem.pop_back();
  }
  config.issuer = fields.text("issuer");
  config.disable_issuer_check = fields.flag("disable_iss_validation", true);
  config.disable_local = fields.flag("disable_local_ca_jwt");
  auto good = check(config);
  if (!good) return forward(good);
  return config;
}

std::string ca_of(const Config& config) {
  if (!config.ca_cert.empty() || config.disable_local) return config.ca_cert;
  return local_file(kLocalCa);
}

std::string reviewer_of(const Config& config) {
  if (!config.reviewer_token.empty() || config.disable_local) return config.reviewer_token;
  return local_file(kLocalToken);
}

}  // namespace rekey::auth::kubernetes
