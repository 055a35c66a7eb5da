// The second factor as the store keeps it: methods, which logins need which of them, and each
// entity's own key. Rows are in docs/formats/identity.md.
//
// Within one request's Txn; reads are conditions of the commit. Nothing here decides whether a
// login may go on (pipeline/login_mfa.h). A key leaves its row only to check a code, and once when
// it is made. Functions of their arguments; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/txn.h"
#include "base/error.h"
#include "base/json.h"
#include "crypto/totp.h"

namespace rekey::identity {

constexpr size_t kMfaMethodsMax = 1000;           // of all types
constexpr size_t kMfaIdBytesMax = 64;             // ids are UUIDs
constexpr size_t kMfaNameBytesMax = 128;          // of a method or an enforcement
constexpr size_t kMfaMethodBytesMax = 16 * 1024;  // one value of a method's configuration
constexpr size_t kMfaEnforcementsMax = 100;
constexpr size_t kMfaEnforcementItemsMax = 256;  // ids and names in one list of an enforcement
constexpr int64_t kMfaAttemptsMax = 100;         // that a method can be configured to
constexpr int64_t kMfaAttemptsDefault = 5;
constexpr int64_t kMfaQrPixelsMax = 1000;
constexpr size_t kMfaSecretsErasedMax = 2000;  // with their method, in its commit

struct MfaMethod {
  std::string id, name;  // the name may be empty; it is one method's
  std::string type;      // "totp", "duo", "okta", "pingid"
  // Of totp.
  std::string issuer;
  crypto::TotpParams totp;
  int64_t key_bytes = 20;
  int64_t qr_pixels = 200;  // 0: no picture
  int64_t attempts_max = kMfaAttemptsDefault;
  // Of the others: what was configured, with its secrets.
  base::JsonObject outside;

  bool is_totp() const { return type == "totp"; }
};

// A login has to satisfy every enforcement that matches it, each by any one of its methods.
struct MfaEnforcement {
  std::string id, name;
  std::vector<std::string> method_ids;
  std::vector<std::string> accessors, types;  // of auth mounts
  std::vector<std::string> group_ids, entity_ids;
};

// An entity's key for one method, with what the method said when it was made: a later change of
// the method doesn't change codes that an app already makes.
struct TotpSecret {
  base::SecretBytes key;
  crypto::TotpParams params;
  std::string issuer, account;
  int64_t last_step = -1;  // whose code was taken; only later ones are
};

class MfaStore {
 public:
  explicit MfaStore(barrier::Txn& txn) : txn_(txn) {}

  base::Result<std::optional<MfaMethod>> method(std::string_view id);
  base::Result<std::optional<std::string>> method_named(std::string_view name);  // its id
  base::Result<std::vector<std::string>> method_ids();                           // sorted
  // `before` as it was read, null for a new one. The caller has seen that the name is free.
  void save(const MfaMethod* before, const MfaMethod& method);
  // With what entities have for it; keys beyond kMfaSecretsErasedMax stay, encrypted and
  // unreachable.
  base::Result<void> remove(const MfaMethod& method);

  // All of them, by name. One row: a login reads it as a condition, so that an enforcement that was
  // written is in force for every login that commits after it.
  base::Result<std::vector<MfaEnforcement>> enforcements();
  void save(const std::vector<MfaEnforcement>& all);

  base::Result<std::optional<TotpSecret>> secret(std::string_view method_id,
                                                 std::string_view entity_id);
  void save(std::string_view method_id, std::string_view entity_id, const TotpSecret& secret);
  // The same of one that is there already.
  void save_step(std::string_view method_id, std::string_view entity_id, const TotpSecret& secret);
  void remove_secret(std::string_view method_id, std::string_view entity_id);
  // The methods for which this entity has a key.
  base::Result<std::vector<std::string>> methods_of(std::string_view entity_id);

 private:
  barrier::Txn& txn_;
};

}  // namespace rekey::identity
