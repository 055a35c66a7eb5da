// SealControl: the life of the seal: initialising, unsealing, sealing, and the operations by which
// share holders renew what they hold. What sys/init, sys/unseal, sys/seal, sys/rekey and
// sys/generate-root do; the routes (seal_routes.cc) only turn it into JSON.
//
// Calls wait for commits, so they belong on the pool; they exclude one another.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "audit/log.h"
#include "barrier/barrier.h"
#include "barrier/generate_root.h"
#include "barrier/rekey_operation.h"
#include "barrier/seal.h"
#include "barrier/unseal_progress.h"
#include "base/log.h"
#include "pipeline/keeper.h"
#include "storage/store.h"

namespace rekey::system {

// <version>: when a store was first unsealed by it, {"timestamp_installed", "previous_version"}.
inline constexpr std::string_view kVersionPrefix = "core/version/";

struct SealControlParts {
  storage::Store& store;
  barrier::Barrier& barrier;
  const barrier::Seal& seal;
  pipeline::Keeper& keeper;
  audit::Log& record;
  const base::Clock& clock;
  base::Random& random;
  const base::Log& log;
};

struct InitRequest {
  barrier::ShareCounts shares;
  barrier::ShareCounts recovery;
  size_t pgp_keys = 0;     // of any kind: not supported, refused
  std::string root_token;  // for -dev only: the root token's text; empty makes one
};

struct InitResult {
  std::vector<base::SecretBytes> shares;           // unseal shares, or
  std::vector<base::SecretBytes> recovery_shares;  // under a seal that opens by itself
  std::string root_token;
};

struct SealStatus {
  std::string type;
  bool initialized = false;
  bool sealed = true;
  barrier::ShareCounts counts;
  int progress = 0;
  std::string nonce;
  bool recovery_seal = false;
  std::string cluster_name, cluster_id;  // while unsealed
};

class SealControl {
 public:
  explicit SealControl(SealControlParts parts);

  base::Result<SealStatus> status();
  base::Result<bool> initialized();
  // Whether there are recovery shares instead of unseal shares.
  bool has_recovery_shares() const { return !parts_.seal.needs_shares(); }
  bool sealed() const { return parts_.barrier.sealed(); }

  // kInvalid "Vault is already initialized" or for bad counts, kPrecondition where the record was
  // signed for another store. Leaves a Shamir store sealed; one
  // that opens by itself is open afterwards.
  base::Result<InitResult> initialize(InitRequest request);

  // One share (hex or base64), towards the threshold. kInvalid for what doesn't fit. On any error
  // it is as sealed as before. A store that can be read but not written is opened.
  base::Result<SealStatus> unseal(std::string_view share);
  base::Result<SealStatus> reset_unseal();
  // For a seal that needs no shares, and at the end of unseal(). kPrecondition when the store is
  // older than the record says (put back from a copy), or the record is another store's.
  base::Result<void> open_by_itself();
  // Returns when every lane has let go of keys, policies and tokens.
  base::Result<void> seal();
  // Accepts, once, that the store is older than the record: for a restore that was meant.
  void accept_older_store() { older_store_accepted_ = true; }

  base::Result<uint32_t> rotate();

  // For the routes of rekey and generate-root; used under hold().
  barrier::RekeyOperation& rekey() { return rekey_; }
  barrier::RekeyOperation& recovery_rekey() { return recovery_rekey_; }
  barrier::GenerateRoot& generate_root() { return generate_root_; }
  barrier::GenerateRoot::Actions generate_root_actions();
  // Shares that make the key which authorises: unseal shares, or recovery shares.
  base::Result<int> shares_required();
  std::unique_lock<std::mutex> hold() { return std::unique_lock(mutex_); }

 private:
  base::Result<SealStatus> status_locked();
  SealStatus status_opened();
  base::Result<void> open(const base::SecretBytes& root_key);
  void close();
  void write_while_opening();
  base::Result<void> sign_record();
  struct Doubt {
    std::string message, found;
  };
  base::Result<Doubt> doubt();
  base::Result<void> check_age();
  base::Result<void> begin_writing(bool believe);
  void renew_seal(const barrier::SealConfig& outdated);
  base::Result<void> record_event(std::string_view what, std::string_view found);
  base::Result<void> note_version();
  base::Result<void> pause_leases();
  base::Result<std::string> make_root_token(std::string_view wanted);

  SealControlParts parts_;
  std::mutex mutex_;
  barrier::UnsealProgress unseal_progress_;
  barrier::SealRekeyTarget rekey_target_;
  barrier::RecoveryRekeyTarget recovery_target_;
  barrier::ShareCounts recovery_counts_{};  // as last seen: they can't be read while sealed
  barrier::RekeyOperation rekey_, recovery_rekey_;
  barrier::GenerateRoot generate_root_;
  bool older_store_accepted_ = false;
};

}  // namespace rekey::system
