#include "auth/jwt/key_cache.h"

#include <algorithm>

namespace rekey::auth::jwt {
namespace {

using base::ErrorKind;
using base::Json;
using base::Result;

constexpr std::string_view kWellKnown = "/.well-known/openid-configuration";

Result<std::string> get(const net::Outgoing& outgoing, net::OutgoingRequest request) {
  request.headers = {{"Accept", "application/json"}};
  const std::string url = request.url;
  auto answer = outgoing.send(request);
  if (!answer) return forward(answer);
  if (answer->status != 200) {
    return base::fail(ErrorKind::kUpstream,
                      url + " answered with status " + std::to_string(answer->status));
  }
  return std::move(answer->body);
}

// OpenID Connect Discovery 1.0, section 4: the document is the issuer's own or it is nothing.
Result<std::string> discover(const net::Outgoing& outgoing, const KeySource& source) {
  std::string base = source.url;
  while (base.ends_with('/')) base.pop_back();
  auto text = get(outgoing, {.url = base + std::string(kWellKnown),
                             .ca_pem = source.ca_pem,
                             .answer_bytes_max = kDiscoveryBytesMax});
  if (!text) return forward(text);
  const auto document = Json::parse(*text, {.depth_max = 16, .members_max = 10'000});
  if (!document || !document->is_object()) {
    return base::fail(ErrorKind::kUpstream, "the discovery document is not a JSON object");
  }
  if (document->string_or("issuer", "") != source.url) {
    return base::fail(ErrorKind::kUpstream,
                      "the discovery document is of another issuer than \"" + source.url + '"');
  }
  std::string keys = document->string_or("jwks_uri", "");
  if (keys.empty()) {
    return base::fail(ErrorKind::kUpstream, "the discovery document names no jwks_uri");
  }
  return keys;
}

}  // namespace

Result<std::vector<crypto::Jwk>> download_keys(const net::Outgoing& outgoing,
                                               const KeySource& source) {
  net::OutgoingRequest request{.url = source.url, .ca_pem = source.ca_pem};
  request.answer_bytes_max = crypto::kJwksBytesMax;
  if (source.discovery) {
    auto url = discover(outgoing, source);
    if (!url) return forward(url);
    request.url = std::move(*url);
    request.named_by = source.url;
  }
  auto text = get(outgoing, std::move(request));
  if (!text) return forward(text);
  auto keys = crypto::parse_jwks(*text);
  if (!keys) return base::fail(ErrorKind::kUpstream, keys.error().message());
  return keys;
}

KeyCache::Known KeyCache::find(const KeySource& source, const base::Clock& clock) const {
  const base::Duration now = clock.monotonic();
  const std::lock_guard lock(mutex_);
  const auto at = entries_.find(source);
  if (at == entries_.end()) return {.keys = nullptr, .fresh = false, .may_fetch = true};
  const Entry& entry = at->second;
  Known known;
  known.may_fetch = now - entry.tried >= kRefetchIntervalMin;
  if (entry.keys != nullptr && now - entry.fetched < kKeysAgeMax) known.keys = entry.keys;
  known.fresh = known.keys != nullptr && now - entry.fetched < kKeysFreshTime;
  return known;
}

Result<KeySet> KeyCache::fetch(const KeySource& source, const base::Clock& clock) {
  auto downloaded = download_keys(*outgoing_, source);
  const base::Duration now = clock.monotonic();
  const std::lock_guard lock(mutex_);
  if (!entries_.contains(source)) make_room();
  Entry& entry = entries_[source];
  entry.tried = now;
  if (downloaded) {
    entry.fetched = now;
    entry.keys = std::make_shared<const std::vector<crypto::Jwk>>(std::move(*downloaded));
    return entry.keys;
  }
  if (entry.keys != nullptr && now - entry.fetched < kKeysAgeMax) return entry.keys;
  return base::fail(ErrorKind::kUpstream, "the provider's keys can't be fetched",
                    downloaded.error().describe());
}

void KeyCache::make_room() {
  if (entries_.size() < kKeySetsMax) return;
  const auto oldest =
      std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.tried; });
  entries_.erase(oldest);
}

}  // namespace rekey::auth::jwt
