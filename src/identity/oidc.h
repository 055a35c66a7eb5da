// What signs identity tokens: named keys that rotate, and roles that say what a token tells. Rows
// are in docs/formats/identity.md.
//
// A key has the pair that signs, the one that will sign next, which verifiers see beforehand, and
// public halves of earlier ones until nothing that they signed can still be valid. Within one
// View of the identity store; nothing here decides who may do it. Making a pair takes as long as
// RSA does: not on an io thread. Functions of their arguments; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/view.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "crypto/jws.h"

namespace rekey::identity {

constexpr size_t kOidcKeysMax = 100;
constexpr size_t kOidcRolesMax = 1000;
constexpr size_t kOidcOldPairsMax = 64;        // of one key, whose public halves are still shown
constexpr size_t kOidcClientIdsMax = 1000;     // allowed for one key
constexpr size_t kOidcTextBytesMax = 1024;     // a client id, an issuer
constexpr size_t kOidcClaimsBytesMax = 65536;  // of one token
constexpr int64_t kOidcRotationMinS = 60;      // seconds
constexpr int64_t kOidcDayS = 24 * 3600;       // the default of both periods
constexpr std::string_view kOidcDefaultKey = "default";

struct OidcPublic {
  std::string id;        // "kid"
  int64_t until_s = 0;   // seconds since 1970; 0: in use or next
  base::JsonObject jwk;  // as it is shown
};

struct OidcKey {
  std::string name;
  crypto::JwsAlgorithm algorithm = crypto::JwsAlgorithm::kRs256;
  int64_t rotation_period_s = kOidcDayS;
  int64_t verification_ttl_s = kOidcDayS;
  std::vector<std::string> allowed_client_ids;  // "*": all
  int64_t next_rotation_s = 0;
  std::vector<OidcPublic> pairs;  // the one that signs, the next, then the old ones

  bool allows(std::string_view client_id) const;
};

struct OidcRole {
  std::string name, key;
  std::string text;  // the template
  std::string client_id;
  int64_t ttl_s = kOidcDayS;
};

// The algorithms that keys may have; not RSA-PSS, which Vault doesn't offer.
std::optional<crypto::JwsAlgorithm> oidc_algorithm_named(std::string_view name);
const std::vector<std::string>& oidc_algorithm_names();

class OidcStore {
 public:
  OidcStore(barrier::View& view, const base::Clock& clock, base::Random& random)
      : view_(view), clock_(clock), random_(random) {}

  base::Result<std::optional<OidcKey>> key(std::string_view name);
  base::Result<std::vector<std::string>> key_names();
  // With two new pairs in the place of those it has, whose public halves stay for their time.
  base::Result<void> save_with_new_pairs(OidcKey& key);
  base::Result<void> save(const OidcKey& key);  // its pairs are as they were
  base::Result<void> remove(const OidcKey& key);
  // The next pair signs from now on; the present one is shown for `verification_ttl_s` more.
  // kInvalid where too many are shown already.
  base::Result<void> rotate(OidcKey& key, int64_t verification_ttl_s);
  // Rotates it if it is due, and drops old pairs whose time is over. True if anything changed.
  base::Result<bool> bring_up_to_date(OidcKey& key);
  // The compact JWS of `payload` by the pair that signs.
  base::Result<std::string> sign(const OidcKey& key, std::string_view payload);

  base::Result<std::optional<OidcRole>> role(std::string_view name);
  base::Result<std::vector<std::string>> role_names();
  base::Result<void> save(const OidcRole& role);
  base::Result<void> remove_role(std::string_view name);
  base::Result<std::vector<OidcRole>> roles_with_key(std::string_view key);

  // The public halves that verify now: of the keys that roles use. {"keys": [...]}
  base::Result<base::JsonObject> public_keys();

  base::Result<std::string> issuer();  // as configured; empty: the server's address
  base::Result<void> set_issuer(std::string_view issuer);

 private:
  struct Private {
    std::string id, der;  // base64
  };
  int64_t now_s() const;
  base::Result<Private> make_pair(OidcKey& key);
  base::Result<void> write_private(const OidcKey& key, const std::vector<Private>& pairs);
  base::Result<std::vector<Private>> read_private(std::string_view name);

  barrier::View& view_;
  const base::Clock& clock_;
  base::Random& random_;
};

}  // namespace rekey::identity
