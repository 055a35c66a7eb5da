// RekeyOperation: replacing the shares of the unseal key, or of the recovery key, by a quorum of
// those who hold the present ones; on request the new shares are proved to have arrived before they
// count. A state machine with no HTTP in it: api turns its values into Vault's bodies of
// sys/rekey/init, update, verify and their recovery forms. Steps, error texts and when a nonce
// changes are those of OpenBao 2.7.2. Used by one thread at a time (update and verify may block on
// a commit).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/barrier.h"
#include "barrier/seal.h"
#include "barrier/share_collector.h"
#include "base/error.h"
#include "base/random.h"
#include "base/secret_bytes.h"

namespace rekey::barrier {

// What is rekeyed. `authorise` says whether a combined key is the present one; `prepare` makes new
// key material, keeps it and gives out its shares; `apply` puts it in force; `discard` forgets it.
class RekeyTarget {
 public:
  virtual ~RekeyTarget() = default;
  virtual std::string_view name() const = 0;  // "barrier" or "recovery", for messages
  virtual base::Result<void> authorise(const base::SecretBytes& key) = 0;
  virtual base::Result<std::vector<base::SecretBytes>> prepare(const ShareCounts& counts) = 0;
  virtual base::Result<void> apply() = 0;
  virtual void discard() = 0;
};

// Unseal shares (and with them the root key).
class SealRekeyTarget final : public RekeyTarget {
 public:
  SealRekeyTarget(Barrier& barrier, const Seal& seal, storage::Store& store)
      : barrier_(barrier), seal_(seal), store_(store) {}
  std::string_view name() const override { return "barrier"; }
  base::Result<void> authorise(const base::SecretBytes& key) override;
  base::Result<std::vector<base::SecretBytes>> prepare(const ShareCounts& counts) override;
  base::Result<void> apply() override;
  void discard() override { next_.reset(); }

 private:
  Barrier& barrier_;
  const Seal& seal_;
  storage::Store& store_;
  std::optional<NewSeal> next_;
};

// Recovery shares, under a seal that needs none.
class RecoveryRekeyTarget final : public RekeyTarget {
 public:
  RecoveryRekeyTarget(Barrier& barrier, storage::Store& store) : barrier_(barrier), store_(store) {}
  std::string_view name() const override { return "recovery"; }
  base::Result<void> authorise(const base::SecretBytes& key) override;
  base::Result<std::vector<base::SecretBytes>> prepare(const ShareCounts& counts) override;
  base::Result<void> apply() override;
  void discard() override { next_.reset(); }

 private:
  Barrier& barrier_;
  storage::Store& store_;
  std::optional<NewRecovery> next_;
};

struct RekeyRequest {
  ShareCounts counts;
  bool require_verification = false;
  bool backup = false;
  size_t pgp_keys = 0;  // how many were sent: encrypting shares to PGP keys is not supported
};

// pgp_fingerprints is always null and backup false in the bodies: neither is supported.
struct RekeyStatus {
  bool started = false;
  std::string nonce;   // empty unless started
  ShareCounts counts;  // of the new shares: "n" and "t"; 0 unless started
  int progress = 0;
  bool verification_required = false;
  std::string verification_nonce;  // empty unless verification is due
};

struct RekeyDone {
  std::string nonce;
  std::vector<base::SecretBytes> shares;
  bool verification_required = false;
  std::string verification_nonce;
};

struct RekeyVerifyStatus {
  std::string nonce;
  ShareCounts counts;
  int progress = 0;
};

class RekeyOperation {
 public:
  RekeyOperation(RekeyTarget& target, base::Random& random) : target_(target), random_(random) {}

  RekeyStatus status() const;
  // kInvalid: bad counts, one in progress already, PGP keys or a backup asked for.
  base::Result<void> start(const RekeyRequest& request);
  void cancel();  // also drops new shares that wait for verification

  // One present share; `required` is how many of them make the key. The new shares once there are
  // enough, else nothing (answer with status()). kInvalid: none in progress, wrong nonce, share
  // given twice or of impossible length; a wrong key, after which the progress is 0.
  base::Result<std::optional<RekeyDone>> update(base::SecretBytes share, std::string_view nonce,
                                                int required);

  // kInvalid unless new shares wait for verification.
  base::Result<RekeyVerifyStatus> verify_status() const;
  // One new share. True when they are proved and in force. Wrong ones: kInvalid, and the
  // verification starts over under a new nonce.
  base::Result<bool> verify(base::SecretBytes share, std::string_view nonce);
  // Starts the verification over under a new nonce.
  base::Result<RekeyVerifyStatus> restart_verification();

 private:
  base::Result<RekeyDone> finish();

  RekeyTarget& target_;
  base::Random& random_;
  bool started_ = false;
  RekeyRequest request_;
  std::string nonce_;
  ShareCollector collector_;
  // While verification is due: what the new shares have to combine to.
  base::SecretBytes expected_;
  std::string verification_nonce_;
  ShareCollector verification_;
};

}  // namespace rekey::barrier
