// Barrier: whether the keys are reachable, and the rows that guard them.
//
// Owns the rows core/keyring (encrypted under the root key), core/seal-config (plaintext; what the
// seal needs to unwrap the root key), core/recovery (the recovery key of a seal without shares) and
// core/epoch. Knows nothing of requests, tokens or HTTP.
// keyring(), keyrings(), sealed(), wiped() and key_status() may be called from any thread. What
// writes (initialize to raise_epoch) waits for the store's commit and so belongs on a thread that
// may block; calls exclude one another.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "barrier/keyring.h"
#include "barrier/ledger.h"
#include "barrier/seal.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "base/snapshot.h"
#include "storage/store.h"

namespace rekey::barrier {

inline constexpr std::string_view kKeyringRow = "core/keyring";
inline constexpr std::string_view kSealConfigRow = "core/seal-config";
inline constexpr std::string_view kRecoveryRow = "core/recovery";
inline constexpr std::string_view kEpochRow = "core/epoch";

// How old a state of the store is, as one number that the record can vouch for: within an epoch the
// store's own revision decides. The epoch is encrypted, the revision isn't: whoever holds the disk
// can put back an older store and raise its revision, but not its epoch.
inline constexpr unsigned kEpochShift = 40;
inline uint64_t store_age(uint64_t epoch, storage::Revision revision) {
  return (epoch << kEpochShift) + revision;
}
// When tend() rotates the key by itself. The bound of kTermEncryptionsDue holds in any case.
struct RotationPolicy {
  bool enabled = true;
  base::Duration interval{};  // 0: not by age
  uint64_t encryptions_max = kTermEncryptionsDue;
};

struct KeyStatus {
  uint32_t term = 0;
  base::WallTime install_time;
  uint64_t encryptions = 0;
};

struct Initialized {
  base::SecretBytes root_key;                      // to unseal with, once, for the first set-up
  std::vector<base::SecretBytes> shares;           // unseal shares; none if the seal needs none
  std::vector<base::SecretBytes> recovery_shares;  // only if the seal needs no shares
};

// New key material that isn't in force yet; made by prepare_*, put in force by apply().
struct NewSeal {
  SealConfig config;
  base::SecretBytes root_key;
  std::vector<base::SecretBytes> shares;
};
struct NewRecovery {
  ShareCounts counts;
  base::SecretBytes key;
  std::vector<base::SecretBytes> shares;
};

// Whether the store's rows are those that were written last, as unsealing finds it.
struct LedgerFinding {
  enum class State { kGood, kNone, kBad };
  State state = State::kGood;
  std::string what;     // of kBad: for the operator
  bool dated = false;   // the epoch says that there is a ledger
  LedgerStatus ledger;  // of kGood
};

class Barrier {
 public:
  Barrier(storage::Store& store, base::Random& random, const base::Clock& clock);
  ~Barrier();

  base::Result<bool> initialized(storage::Reader& reader) const;
  // kUninitialized where there is none.
  base::Result<SealConfig> seal_config(storage::Reader& reader) const;

  // Makes root key and keyring and writes the first rows. Stays sealed. kInvalid for bad counts
  // ("invalid seal configuration: ..."), kPrecondition if there is a store already. `recovery` is
  // for a seal that needs no shares, `counts` for one that does.
  base::Result<Initialized> initialize(const Seal& seal, const ShareCounts& counts,
                                       const ShareCounts& recovery = {});

  // kCorrupt if the keyring row can't be opened with this key. Unsealing twice does nothing.
  // Writes nothing, and nothing can be written, until begin_writing(): what is there can be judged
  // first.
  base::Result<void> unseal_for_reading(const base::SecretBytes& root_key);
  // What became of the ledger then.
  LedgerFinding ledger_finding() const;
  // Makes a ledger of what is there where there was none, and with `believe` also where it was bad;
  // without, that is kPrecondition. A store that takes no writes at the moment is no error.
  base::Result<void> begin_writing(bool believe = false);
  // Both, for a store that nobody doubts.
  base::Result<void> unseal(const base::SecretBytes& root_key);
  // Publishes "no keyring" and lets go of it. Keys are wiped when the last reader has done the
  // same.
  void seal();
  bool sealed() const { return keyring() == nullptr; }
  // True when no keyring of the past is referenced by anyone any more.
  bool wiped() const;

  std::shared_ptr<const Keyring> keyring() const { return keyrings_.get(); }  // null when sealed
  // For a base::SnapshotReader on each io thread.
  const base::Snapshot<Keyring>& keyrings() const { return keyrings_; }

  // A new active term, for values written from now on. The number of the term.
  base::Result<uint32_t> rotate();
  void set_rotation_policy(const RotationPolicy& policy);
  RotationPolicy rotation_policy() const;
  // To be called every few seconds while unsealed: pays for further encryptions, rotates when due.
  base::Result<void> tend();
  base::Result<KeyStatus> key_status() const;  // kSealed

  // kInvalid unless `unseal_key` opens the seal now in force: who holds it may authorise.
  base::Result<void> verify_unseal_key(storage::Reader& reader, const Seal& seal,
                                       const base::SecretBytes& unseal_key) const;
  // kInvalid unless `key` is the recovery key; kNotFound if there is none.
  base::Result<void> verify_recovery_key(storage::Reader& reader,
                                         const base::SecretBytes& key) const;
  base::Result<std::optional<ShareCounts>> recovery_counts(storage::Reader& reader) const;

  // A new unseal key and a new root key; the keyring stays the same.
  base::Result<NewSeal> prepare_seal(const Seal& seal, const ShareCounts& counts);
  base::Result<void> apply(const NewSeal& next);
  base::Result<NewRecovery> prepare_recovery(const ShareCounts& counts);
  base::Result<void> apply(const NewRecovery& next);

  // A counter in the store that only grows: kept against an anchor outside the store, it shows
  // that a whole older store was put back. 0 before the first bump.
  base::Result<uint64_t> epoch(storage::Reader& reader) const;
  // Raises it by one, or to `at_least` where that is more; the new one.
  base::Result<uint64_t> raise_epoch(uint64_t at_least = 0);

  LedgerStatus ledger_status() const;  // all zero while sealed

 private:
  struct Row {
    std::string value;
    storage::Revision revision = 0;  // 0: absent
  };
  base::Result<Row> row(storage::Reader& reader, std::string_view key) const;
  base::Result<Row> row(std::string_view key) const;  // with a reader of its own
  // A row as it was written last; the plaintext of one under the keyring.
  base::Result<std::optional<std::string>> checked(storage::Reader& reader, const Keyring& keyring,
                                                   std::string_view key) const;
  base::Result<LedgerFinding> find_ledger(storage::Reader& reader, const Keyring& keyring,
                                          std::shared_ptr<Ledger>& ledger) const;
  // Finds out by reading the first put back where the store doesn't know whether it committed.
  base::Result<storage::Revision> commit(storage::Batch batch);
  base::Result<storage::Revision> commit_first(storage::Batch batch,
                                               std::shared_ptr<const Keyring> keyring);
  // What is in force now; kSealed.
  struct Open {
    std::shared_ptr<const Keyring> keyring;
    base::SecretBytes root_key;
    storage::Revision revision = 0;  // of the keyring row
    uint64_t opened = 0;
  };
  base::Result<Open> open() const;
  base::Result<void> make_ledger(const Open& now);
  // Writes the keyring row, and `others` with it, unless somebody else wrote it since; then what
  // they wrote is taken over and the answer is kConflict.
  base::Result<void> write_keyring(const Open& now, const Keyring& keyring, uint64_t reserved,
                                   const base::SecretBytes& root_key, storage::Batch others);
  base::Result<void> reload(const Open& now);
  base::Result<void> extend_reserve();
  base::Result<uint32_t> rotate_locked();
  bool rotation_due(const Keyring& keyring) const;
  void publish(std::shared_ptr<const Keyring> next);  // with mutex_ held

  class Witness;

  storage::Store& store_;
  base::Random& random_;
  const base::Clock& clock_;
  base::Snapshot<Keyring> keyrings_;
  const std::unique_ptr<Witness> witness_;
  std::mutex writing_;  // one change at a time; held while a commit is waited for
  // Held for moments only, so that seal() never waits for a disk. Guards all below.
  mutable std::mutex mutex_;
  base::SecretBytes root_key_;  // while unsealed: rotation re-encrypts the keyring row
  storage::Revision keyring_revision_ = 0;
  RotationPolicy rotation_;
  uint64_t opened_ = 0;  // how often it was unsealed: tells a change that a seal came between
  LedgerFinding finding_;
  bool writing_begun_ = false;                      // the witness goes with the keyring
  std::vector<std::weak_ptr<const Keyring>> past_;  // to tell when they are gone
};

}  // namespace rekey::barrier
