// Store: the contract that every place where Rekey keeps its rows fulfils, and all that the rooms
// above know of it. Drivers: MemoryStore (memory_store.h), LmdbStore (lmdb_store.h), later etcd;
// testing/fault_store.h puts faults in front of any of them, testing/store_contract.h is the one
// suite that all of them pass.
//
// A store is a sorted map from keys to values, with one revision for the whole. Reading goes
// through a Reader, a consistent snapshot; writing through conditional batches. There are no
// interactive transactions: read, build a batch whose conditions name the revisions that were read,
// commit, and start over on kConflict. What the bytes mean (and that they are encrypted) a store
// never knows, and nobody may trust what it returns: the barrier authenticates every value with its
// key.
//
// Threads: a Reader belongs to one thread at a time and takes no lock that a writer can hold; all
// of Store's own functions may be called from any thread. Readers and Watches are gone before the
// Store.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace rekey::storage {

using base::Error;
using base::ErrorKind;
using base::Result;

// Of the whole store: grows with every committed batch that writes, by 1 in the embedded drivers,
// by 1 or more in etcd; so compare revisions, don't count with them. 0: never written.
using Revision = uint64_t;

struct Item {
  std::string_view value;  // valid until the Reader's next refresh(), release() or destruction
  Revision revision = 0;   // of the batch that last wrote this key; never 0
};

struct Condition {
  std::string key;
  Revision revision = 0;  // the key must still be at this revision; 0: it must be absent
};

struct Put {
  std::string key;    // any bytes, at least one
  std::string value;  // any bytes, may be empty
};

// A key stands at most once among `puts` and `deletes` together. Deleting an absent key is no
// error.
struct Batch {
  std::vector<Condition> conditions = {};  // checked against the state just before this batch
  std::vector<Put> puts = {};
  std::vector<std::string> deletes = {};
};

// What one store takes; a batch over any of these is refused with kTooLarge and nothing is written.
// Ask limits() rather than the constants: etcd takes far less.
struct Limits {
  size_t key_bytes_max;
  size_t value_bytes_max;
  size_t batch_ops_max;    // conditions + puts + deletes
  size_t batch_bytes_max;  // keys and values together
};

inline constexpr size_t kKeyBytesMax = 511;          // LMDB's own bound
inline constexpr size_t kValueBytesMax = 32u << 20;  // of one stored value
inline constexpr size_t kBatchOpsMax = 16'384;       // conditions, puts and deletes of one commit
inline constexpr size_t kBatchBytesMax = 64u << 20;  // keys and values of one commit
inline constexpr Limits kEmbeddedLimits{.key_bytes_max = kKeyBytesMax,
                                        .value_bytes_max = kValueBytesMax,
                                        .batch_ops_max = kBatchOpsMax,
                                        .batch_bytes_max = kBatchBytesMax};

// Counts by powers of two: counts[i] is the number of samples v with 2^(i-1) < v <= 2^i; the last
// bucket has no upper bound.
struct Histogram {
  static constexpr size_t kBuckets = 32;
  std::array<uint64_t, kBuckets> counts{};
  uint64_t count = 0;
  uint64_t sum = 0;
  void add(uint64_t sample);
};

struct Health {
  bool writable = true;
  bool permanent = false;      // not writable until the process has been restarted
  std::string reason;          // for the operator; empty while writable
  uint64_t keys = 0;           // as they were last counted: of LMDB, when its file was last written
  uint64_t bytes_used = 0;     // on disk, pages that wait for reuse included
  uint64_t bytes_max = 0;      // present bound of bytes_used, grown when needed; 0: none
  uint64_t commits = 0;        // batches committed since the start
  uint64_t conflicts = 0;      // batches refused by a condition
  uint64_t failures = 0;       // batches that failed in any other way
  uint64_t queued = 0;         // batches that wait right now
  Histogram batches_per_sync;  // how many batches shared one sync
  Histogram sync_ns;           // how long making one group durable took, nanoseconds
};

// True if nobody knows whether the batch was committed (the machine below did not answer). Read the
// keys back before repeating it. After any other error nothing of the batch was written.
inline bool outcome_unknown(const Error& error) { return error.kind() == ErrorKind::kTimeout; }

// A consistent snapshot. Fresh from open_reader() it is at the newest committed state.
class Reader {
 public:
  virtual ~Reader() = default;

  // Moves to the newest committed state: every batch whose `done` ran before this call is seen.
  // Cheap (once for each turn of an io loop, not once for each request).
  virtual Result<void> refresh() = 0;

  // Lets go of the snapshot, so that the space of overwritten rows can be used again. For a thread
  // that may be idle for more than a second; refresh() before the next read.
  virtual void release() = 0;

  // The store's revision in this snapshot.
  virtual Revision revision() const = 0;

  // kCorrupt if the row is not a row, kUnavailable if the store can't be read, kInvalid without a
  // key.
  virtual Result<std::optional<Item>> get(std::string_view key) = 0;

  // The immediate children of `prefix` ("" or something ending in '/'), as names without the prefix
  // and in byte order: a key "a/b" is "b" under "a/"; of all keys under "a/b/" there is one "b/".
  // Only names > `after`, at most `limit` of them. A page costs the page, however much lies
  // between.
  virtual Result<std::vector<std::string>> list(std::string_view prefix, std::string_view after,
                                                size_t limit) = 0;

  // How many rows there are in this snapshot. For start-up and tests: it may look at all that were
  // written lately.
  virtual Result<uint64_t> rows() = 0;

  // Whole keys that start with `prefix` (any bytes) and are > `after` (a whole key, or ""), in byte
  // order, at most `limit`. For clean-up, indexes, verification.
  virtual Result<std::vector<std::string>> scan(std::string_view prefix, std::string_view after,
                                                size_t limit) = 0;
};

// Destroying it ends the notifications; a callback that is running on another thread is waited for.
class Watch {
 public:
  virtual ~Watch() = default;
};

// Sees what is about to be committed and puts rows of its own beside it, in the same transaction:
// by this the barrier knows which value of each row is the present one. Called on the thread that
// writes, one group at a time; a group is what one transaction (in LMDB one sync) commits together.
class CommitWitness {
 public:
  virtual ~CommitWitness() = default;

  struct Group {
    Revision before = 0;                // of the store without this group
    Revision after = 0;                 // and with it
    std::vector<const Batch*> batches;  // those that write and whose conditions hold, in order
  };
  // What is to be put in addition, at revision `after`; nobody who watches is told of these rows.
  // On an error the whole group fails with it. Must not touch what the batches touch.
  virtual Result<std::vector<Put>> before_commit(const Group& group) = 0;

  // Once after each before_commit() that succeeded, before anyone else is told: whether the group
  // is there. A group whose outcome is unknown counts as not committed: no reader of this process
  // sees it.
  virtual void after_commit(bool committed) = 0;

  // How many rows the store has now, by what the witness saw; nothing if it doesn't know. Asked on
  // the thread that writes, between groups. Some time later the store may say, on any thread, how
  // many it really had: as often as it gets to know that without looking at rows.
  virtual std::optional<uint64_t> rows_expected() = 0;
  virtual void rows_counted(uint64_t expected, uint64_t counted) = 0;
};

class Store {
 public:
  using Done = std::function<void(Result<Revision>)>;
  // The revision, and the keys under the watched prefix that this batch put or deleted.
  using OnChange = std::function<void(Revision, const std::vector<std::string_view>& keys)>;

  virtual ~Store() = default;  // waits for what was queued

  virtual const Limits& limits() const = 0;

  // kUnavailable if the store can't be read or has too many readers.
  virtual Result<std::unique_ptr<Reader>> open_reader() = 0;

  // Commits `batch` as a whole or not at all, and calls `done` exactly once when it is durable and
  // visible, with the revision that it got, or with
  //   kConflict     a condition does not hold: read again and retry
  //   kInvalid      an empty key, or a key twice
  //   kTooLarge     over limits()
  //   kUnavailable  read-only, disk full, too many batches queued
  //   kTimeout      the outcome is unknown, see outcome_unknown()
  // Batches of one thread are committed in its order. A batch without puts and deletes only checks
  // its conditions and gets the present revision. `done` runs on the store's writer thread; a batch
  // that is refused at once has it called here, before commit returns (and the memory driver may do
  // so with any). It must be quick, may commit, must not wait for the store (commit_and_wait) nor
  // make or destroy a Watch.
  virtual void commit(Batch batch, Done done) = 0;

  // The same, blocking: for start-up, tools and pools, never on an io thread or in a callback.
  Result<Revision> commit_and_wait(Batch batch);

  // Calls `on_change` after each committed batch that touched keys starting with `prefix`, in order
  // of revision, on the writer thread, when the batch is visible and before its `done`: whoever was
  // told of a commit can rely on every watcher in this process having seen it. Same rules as
  // `done`.
  virtual std::unique_ptr<Watch> watch(std::string prefix, OnChange on_change) = 0;

  // Null for none. Returns when the one before isn't being called and won't be any more; it and the
  // new one stay the caller's. Not from a callback.
  virtual void set_witness(CommitWitness* witness) = 0;

  virtual Health health() const = 0;
};

// Refuses what no driver takes, with the error that commit() promises: empty keys, a key twice, and
// anything over `limits`.
Result<void> check_batch(const Batch& batch, const Limits& limits);

}  // namespace rekey::storage
