// Ledger: which value of each row of the store is the present one, so that an older value put back
// under its own key, or a row taken away, is refused like an altered one.
//
// In memory it is a LedgerTable of keyed digests: of the row's key, and of the key and the end of
// the stored value, which is the tag of its encryption. In the store it is a ring of rows
// (ledger_rows.h), and each group of commits writes the next one or few in its own transaction:
// what the group changed, and one part of the whole. So it is read at unseal without looking at
// any other row, and neither grows nor needs pruning.
//
// check() may be called from any thread and takes a lock only where a row isn't as the newest
// state says: it may be newer by a group that is just being committed, or the reader's snapshot
// may be older; what was right then is known for a while. begin() and end() belong to the thread
// that commits, load() and rebuild() to whoever makes the ledger, before anyone else has it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "barrier/ledger_rows.h"
#include "barrier/ledger_table.h"
#include "base/error.h"
#include "base/random.h"
#include "base/secret_bytes.h"
#include "crypto/siphash.h"
#include "storage/store.h"

namespace rekey::barrier {

class Keyring;

// Rows changed, and groups, that are remembered for readers whose snapshot is from before them; 24
// bytes each. A row that was changed before that many others can't be read through it any more.
inline constexpr size_t kLedgerHistoryMax = 131'072;
// With fewer rows than this a group writes one part all the same; with more, as many as it takes
// for the ring never to hold more changes than there are rows.
inline constexpr uint64_t kLedgerRowsPerRing = 16'384;
inline constexpr size_t kLedgerScanPage = 10'000;  // keys at a time when all rows are looked at

struct LedgerStatus {
  uint64_t entries = 0;
  uint64_t bytes = 0;    // of memory
  uint64_t refused = 0;  // reads of rows that are not as they should be
  int64_t missing = 0;   // rows that should be there and aren't; negative: rows too many
};

class Ledger {
 public:
  explicit Ledger(const base::SecretBytes& key);  // of 32 bytes, for nothing else

  // Whether a reader whose snapshot is at `snapshot` should have found this: a stored value, or
  // nothing under this key. kCorrupt, which counts as an alarm; kUnavailable where the snapshot is
  // too old to say.
  base::Result<void> check(std::string_view key, std::optional<std::string_view> value,
                           storage::Revision snapshot) const;
  // The same in two steps: look() before the row is read, so that what check() needs is on its way
  // from memory meanwhile. `key` lives until then.
  struct Look {
    std::string_view key;
    crypto::SipDigest digest;
    RowMark mark;
  };
  Look look(std::string_view key) const;
  base::Result<void> check(const Look& look, std::optional<std::string_view> value,
                           storage::Revision snapshot) const;
  LedgerStatus status() const;

  // From the store, which has `rows` rows. kNotFound if nothing of a ledger is there; kCorrupt
  // unless the ring is whole, in order and at the store's revision.
  base::Result<void> load(storage::Reader& reader, const Keyring& keyring, uint64_t rows);
  // From the rows as they are: believes all of them. The next group writes the whole ring.
  base::Result<void> rebuild(storage::Reader& reader);

  // As CommitWitness says.
  base::Result<std::vector<storage::Put>> begin(const storage::CommitWitness::Group& group,
                                                const Keyring& keyring, base::Random& random);
  void end(bool committed);
  std::optional<uint64_t> rows_expected() const;
  void rows_counted(uint64_t expected, uint64_t counted);

 private:
  static constexpr RowDate kAbsent = 0xFFFFFFFF;  // no date: those have 24 bits
  struct Change {
    RowMark mark;
    RowDate before = kAbsent, after = kAbsent;
  };
  struct Changes {
    storage::Revision before = 0, after = 0;
    std::vector<Change> rows;  // by mark, each once
    const Change* find(const RowMark& mark) const;
  };
  struct Loading;

  RowMark mark_of(const crypto::SipDigest& digest) const;
  RowDate date_of(const crypto::SipDigest& digest, std::string_view value) const;
  RowDate present(const RowMark& mark) const { return table_.find(mark).value_or(kAbsent); }
  base::Result<RowDate> state_at(const RowMark& mark, storage::Revision snapshot) const;
  Changes changes_of(const storage::CommitWitness::Group& group) const;
  LedgerRow make_row(uint64_t number, unsigned bits) const;
  base::Result<void> load_row(const LedgerRow& row, uint64_t place, Loading& loading);
  base::Result<void> apply_loaded(Loading& loading, storage::Revision newest);

  const crypto::SipHash mark_hash_, date_hash_;
  LedgerTable table_;
  mutable std::atomic<uint64_t> refused_ = 0;
  std::atomic<int64_t> missing_ = 0;

  // Of the committing thread.
  unsigned ring_bits_ = kLedgerRingBitsMin;
  uint64_t number_ = 0;             // of the row of the ring that was written last
  storage::Revision revision_ = 0;  // of the store, as far as the table goes
  bool ring_due_ = false;           // all of the ring is to be written
  unsigned next_bits_ = kLedgerRingBitsMin;
  uint64_t next_number_ = 0;

  mutable std::mutex mutex_;        // guards what is below
  std::optional<Changes> pending_;  // of the group that is being committed
  std::deque<Changes> history_;     // of those before, oldest first
  size_t history_rows_ = 0;
  storage::Revision history_from_ = 0;  // snapshots before this can't be told
};

}  // namespace rekey::barrier
