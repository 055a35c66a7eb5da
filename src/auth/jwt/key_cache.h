// The key sets of identity providers, kept in memory between logins.
//
// A set is fetched when a login first needs it, again after kKeysFreshTime, and when a statement is
// signed by none of its keys (the provider may have new ones), but never more often than
// kRefetchIntervalMin: nobody who sends nonsense makes us call somebody. While its server can't be
// reached a set is used until kKeysAgeMax: a key that was taken back is good that long at worst.
// Holds public keys only. Any thread; fetch() blocks, the rest doesn't.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "crypto/jwk.h"
#include "net/outgoing.h"

namespace rekey::auth::jwt {

constexpr base::Duration kKeysFreshTime = std::chrono::minutes(5);
constexpr base::Duration kKeysAgeMax = std::chrono::hours(1);  // used so long without news
constexpr base::Duration kRefetchIntervalMin = std::chrono::seconds(10);  // of one key set
constexpr size_t kKeySetsMax = 1000;               // in memory, of all mounts
constexpr size_t kDiscoveryBytesMax = 256 * 1024;  // of a discovery document

using KeySet = std::shared_ptr<const std::vector<crypto::Jwk>>;

// Where a set comes from. Mounts don't share: each trusts by its own certificates.
struct KeySource {
  std::string scope;  // of the mount
  std::string url;    // of the set, or with `discovery` of the issuer
  std::string ca_pem;
  bool discovery = false;
  auto operator<=>(const KeySource&) const = default;
};

class KeyCache {
 public:
  explicit KeyCache(std::shared_ptr<const net::Outgoing> outgoing)
      : outgoing_(std::move(outgoing)) {}

  struct Known {
    KeySet keys;             // null: none, or too old
    bool fresh = false;      // no reason to fetch but an unknown signer
    bool may_fetch = false;  // the last fetch is long enough ago
  };
  Known find(const KeySource& source, const base::Clock& clock) const;

  // The set as its server has it now, or the known one where the server can't be reached. Failure:
  // kUpstream; the message says what kind of answer it was, the detail why.
  base::Result<KeySet> fetch(const KeySource& source, const base::Clock& clock);

 private:
  struct Entry {
    KeySet keys;
    base::Duration fetched{}, tried{};  // of the monotonic clock
  };
  void make_room();

  std::shared_ptr<const net::Outgoing> outgoing_;
  mutable std::mutex mutex_;
  std::map<KeySource, Entry> entries_;
};

// The set itself, over the network; what fetch() does and the check of a configuration.
base::Result<std::vector<crypto::Jwk>> download_keys(const net::Outgoing& outgoing,
                                                     const KeySource& source);

}  // namespace rekey::auth::jwt
