#include "barrier/seal.h"

#include <utility>

#include "barrier/sealed_blob.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/json.h"
#include "crypto/shamir.h"

namespace rekey::barrier {

using base::ErrorKind;
using base::Json;
using base::SecretBytes;

namespace {

constexpr int kConfigVersion = 1;
constexpr size_t kShareTextBytesMax = 1024;

std::unexpected<base::Error> corrupt_config(
    std::string detail, std::source_location where = std::source_location::current()) {
  return base::fail(ErrorKind::kCorrupt, "the seal configuration can't be read", std::move(detail),
                    where);
}

}  // namespace

// The texts and their order are OpenBao 2.7.2's answers to sys/init.
base::Result<void> check_share_counts(const ShareCounts& counts) {
  const auto refuse = [](const char* why) { return base::fail(ErrorKind::kInvalid, why); };
  if (counts.shares < 1) return refuse("shares must be at least one");
  if (counts.threshold < 1) return refuse("threshold must be at least one");
  if (counts.shares > 1 && counts.threshold == 1) {
    return refuse("threshold must be greater than one for multiple shares");
  }
  if (counts.shares > kSharesMax) return refuse("shares must be less than 256");
  if (counts.threshold > kSharesMax) return refuse("threshold must be less than 256");
  if (counts.threshold > counts.shares) return refuse("threshold cannot be larger than shares");
  return {};
}

base::Result<SecretBytes> decode_share(std::string_view text) {
  base::Result<std::string> bytes = base::fail(ErrorKind::kInvalid, "");
  if (!text.empty() && text.size() <= kShareTextBytesMax) {
    bytes = base::hex_decode(text);
    // Padded only, as in Vault: nearly any word would be base64 otherwise.
    if (!bytes && text.size() % 4 == 0) bytes = base::base64_decode(text);
  }
  if (!bytes) return base::fail(ErrorKind::kInvalid, "'key' must be a valid hex or base64 string");
  return SecretBytes::copy_of(*bytes);
}

base::Result<void> check_share_length(const SecretBytes& share) {
  if (share.size() < kShareBytesMin) {
    return base::fail(ErrorKind::kInvalid, "key is shorter than minimum 16 bytes");
  }
  if (share.size() > kShareBytesMax) {
    return base::fail(ErrorKind::kInvalid, "key is longer than maximum 33 bytes");
  }
  return {};
}

base::Result<SecretBytes> combine_shares(std::span<const SecretBytes> shares, int threshold) {
  REKEY_CHECK(threshold >= 1 && shares.size() == static_cast<size_t>(threshold));
  if (threshold == 1) return shares[0].clone();
  return crypto::shamir_combine(shares);
}

base::Result<std::vector<SecretBytes>> split_secret(const SecretBytes& secret,
                                                    const ShareCounts& counts,
                                                    base::Random& random) {
  base::Result<void> valid = check_share_counts(counts);
  if (!valid) return base::forward(valid);
  if (counts.shares > 1) {
    return crypto::shamir_split(secret, counts.shares, counts.threshold, random);
  }
  std::vector<SecretBytes> one;
  one.push_back(secret.clone());
  return one;
}

std::string SealConfig::meaning() const {
  return "core/seal-config\n" + type + "\n" + std::to_string(counts.shares) + "\n" +
         std::to_string(counts.threshold) + "\n" + nonce + "\n" + key_id;
}

std::string SealConfig::dump() const {
  base::JsonObject row;
  row.set("version", kConfigVersion);
  row.set("type", type);
  row.set("shares", counts.shares);
  row.set("threshold", counts.threshold);
  row.set("nonce", nonce);
  row.set("key_id", key_id);
  row.set("root_key", base::base64_encode(wrapped_root_key));
  return Json(std::move(row)).dump();
}

base::Result<SealConfig> SealConfig::parse(std::string_view row) {
  base::Result<Json> json = Json::parse(row, {.depth_max = 2, .members_max = 16});
  if (!json) return corrupt_config(json.error().message());
  const auto number = [&](std::string_view name) -> int64_t {
    const Json* member = json->find(name);
    return member == nullptr ? -1 : member->as_int().value_or(-1);
  };
  if (number("version") != kConfigVersion) return corrupt_config("unknown version");
  const int64_t shares = number("shares");
  const int64_t threshold = number("threshold");
  if (shares < 0 || shares > kSharesMax || threshold < 0 || threshold > kSharesMax) {
    return corrupt_config("bad numbers of shares");
  }
  base::Result<std::string> wrapped = base::base64_decode(json->string_or("root_key", ""));
  if (!wrapped || wrapped->empty()) return corrupt_config("no wrapped root key");
  return SealConfig{
      .type = json->string_or("type", ""),
      .counts = {.shares = static_cast<int>(shares), .threshold = static_cast<int>(threshold)},
      .nonce = json->string_or("nonce", ""),
      .key_id = json->string_or("key_id", ""),
      .wrapped_root_key = std::move(*wrapped),
  };
}

base::Result<WrappedRootKey> ShamirSeal::wrap(const SecretBytes& root_key,
                                              const ShareCounts& counts,
                                              base::Random& random) const {
  const SecretBytes unseal_key = random.secret(kRootKeyBytes);
  base::Result<std::vector<SecretBytes>> shares = split_secret(unseal_key, counts, random);
  if (!shares) return base::forward(shares);
  WrappedRootKey wrapped;
  wrapped.config.type = type();
  wrapped.config.counts = counts;
  wrapped.config.nonce = random.uuid();
  wrapped.config.wrapped_root_key =
      seal_blob(unseal_key, wrapped.config.meaning(), root_key.reveal(), random);
  wrapped.shares = std::move(*shares);
  return wrapped;
}

base::Result<SecretBytes> ShamirSeal::unwrap(const SealConfig& config,
                                             const SecretBytes& unseal_key) const {
  if (config.type != type()) {
    return base::fail(ErrorKind::kPrecondition,
                      "the store was initialized with another type of seal",
                      "configured: shamir; in the store: " + config.type);
  }
  // A wrong key and an altered row look the same; the first is by far likelier.
  const auto wrong = [] {
    return base::fail(ErrorKind::kInvalid,
                      "unable to retrieve stored keys: invalid key: failed to decrypt keys from "
                      "storage: cipher: message authentication failed");
  };
  if (unseal_key.size() != kRootKeyBytes) return wrong();
  base::Result<SecretBytes> root_key =
      open_blob(unseal_key, config.meaning(), config.wrapped_root_key);
  if (!root_key || root_key->size() != kRootKeyBytes) return wrong();
  return root_key;
}

}  // namespace rekey::barrier
