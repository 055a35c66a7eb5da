// Log: the record. An append-only RFC 6962 Merkle tree over entries, kept as C2SP tlog-tiles with
// signed checkpoints; docs/formats/audit.md says how it lies on disk.
//
// An entry is durable once a group commit has put it into the write-ahead log: that is what a
// request waits for before a secret byte leaves. Tiles, bundles and checkpoints are made from it
// afterwards, off the request's path. The log never knows what an entry means, and never sees a
// value: record.h has hashed them by then.
//
// Threads: append, flush and the read functions may be called on any thread. The log has two
// threads of its own: one commits groups and calls the listeners, the other publishes and signs.
// Only a stepped log has none and belongs to one thread, which does their work by calling steps.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "crypto/digest.h"
#include "crypto/ed25519.h"

namespace rekey::audit {

class Disk;
struct Retired;

inline constexpr std::chrono::milliseconds kReadablePatience{1000};
inline constexpr size_t kEntryBytesMax = 65'535;  // C2SP tlog-tiles: a 16-bit length

// A checkpoint that was signed: the tree's size and root, and the signed note that says so.
struct Checkpoint {
  std::string origin;
  uint64_t size = 0;
  crypto::Sha256Digest root{};
  std::string note;  // C2SP tlog-checkpoint: text, empty line, signature lines
};

// What a group commit came to. Entries [0, durable_size) are on disk: their requests may be
// answered. Entries [durable_size, failed_size) could not be written: their requests must be
// refused. (They keep their places and are written when the disk allows, so the record may name a
// release that was refused, but never misses one that happened.)
struct Progress {
  uint64_t durable_size = 0;
  uint64_t failed_size = 0;
};

struct Health {
  bool writable = false;
  bool damaged = false;  // the files contradict what was signed; needs a person
  bool in_memory = false;
  bool can_sign = false;   // a signer is set
  std::string reason;      // why it isn't writable, damaged or not publishing; for operators
  uint64_t size = 0;       // entries durable
  uint64_t published = 0;  // entries in bundles and tiles, readable
  uint64_t checkpoint_size = 0;
  uint64_t groups = 0;  // commits since start
  uint64_t write_failures = 0;
  uint64_t entry_bytes = 0;        // since start
  uint64_t wal_bytes = 0;          // now on disk
  uint64_t publish_lag_bytes = 0;  // durable, waiting in memory for the publisher
  // Histograms since start, in powers of two: bucket i counts values in [2^i, 2^(i+1)).
  std::vector<uint64_t> group_entries_log2;
  std::vector<uint64_t> sync_us_log2;
};

class Log {
 public:
  struct Options {
    std::string directory;  // the log's own; made 0700 if missing. Ignored with `in_memory`.
    std::string origin;     // the log's name in checkpoints: no spaces, no plus sign
    bool in_memory = false;
    base::Duration checkpoint_interval = std::chrono::seconds(10);
    base::Duration retry_interval = std::chrono::milliseconds(500);  // while not writable
    size_t group_bytes_max = 4 << 20;  // forming; beyond it append answers kLimited
    size_t publish_queue_bytes_max = 16 << 20;
    size_t wal_segment_bytes = 16 << 20;  // preallocated; two at least
    size_t wal_segments_max = 16;         // beyond it the log isn't writable until published
    bool stepped = false;                 // no threads: see commit_step(); for simulation
  };

  // Opens or makes the log and recovers what a crash left. A log whose files contradict themselves
  // or the last signed checkpoint (damage, truncation, an older copy) opens too, so that the server
  // can say so: health().damaged is set, append refuses with kCorrupt. Fails only if the directory
  // can't be used at all (missing rights, already open, a format that is newer than this program).
  // `clock`, `random` and `operator_log` outlive the Log.
  static base::Result<std::unique_ptr<Log>> open(Options options, const base::Clock& clock,
                                                 base::Random& random,
                                                 const base::Log& operator_log);
  // The same over a disk of the caller's choice, for tests and simulation.
  static base::Result<std::unique_ptr<Log>> open_on(std::unique_ptr<Disk> disk, Options options,
                                                    const base::Clock& clock, base::Random& random,
                                                    const base::Log& operator_log);
  ~Log();  // as close()
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Takes a copy of `entry` into the group that is forming and gives its index in the log. Never
  // blocks on disk. Starts no commit before the group's target is reached: who waits for the entry
  // calls flush() or wait_durable() afterwards. `store_revision` is the store's revision that the
  // entry vouches for (0: none). kTooLarge: empty or more than kEntryBytesMax. kLimited: too much
  // is waiting for the disk. kUnavailable: the log can't be written now; kCorrupt: damaged. On any
  // error the request must be refused.
  base::Result<uint64_t> append(std::string_view entry, uint64_t store_revision = 0);

  // Success: append would take an entry now. Otherwise why not, in words that are safe to show.
  // One atomic load while all is well.
  base::Result<void> accepts() const;

  // Entries [0, n) are on disk. One atomic load.
  uint64_t durable_size() const;

  // Commit what was appended so far as soon as the disk is free. For an io loop that runs dry.
  // Cheap when nothing is waiting.
  void flush();
  // Without a flush a commit starts when this many entries wait. Starts at 1.
  void set_group_target(uint32_t entries);
  // Whether a group is on its way to the disk. If so, the listeners will still be told what came of
  // it: an io loop can leave its flush until then, and the next group is the larger. One atomic
  // load.
  bool committing() const;

  // Called on the commit thread after each group commit and after each failure, in order; must be
  // quick (post to an event loop) and must not call the Log. Not called after close().
  void add_listener(std::function<void(const Progress&)> listener);

  // Blocks until `size` entries are durable, for callers that have no event loop. kUnavailable if
  // they couldn't be written.
  base::Result<void> wait_durable(uint64_t size);

  // Of a stepped log, what its threads would do next: one attempt at a group commit (false: nothing
  // waits), one round of publishing and, where due, signing.
  bool commit_step();
  void publish_step();

  // The key that signs checkpoints; known only while unsealed. Without it entries are durable all
  // the same. kPrecondition if the log was signed with another key before.
  base::Result<void> set_signer(crypto::Ed25519PrivateKey key);
  void clear_signer();
  // In signed-note form, `name+hash+key`; empty until the log has had a signer once.
  std::string verifier_key() const;

  // Signs a checkpoint over all entries durable at the call, or gives the last one if there is
  // nothing new. Blocks for some syncs: not on an io thread. kSealed without a signer.
  base::Result<Checkpoint> checkpoint_now();
  base::Result<Checkpoint> last_checkpoint() const;  // kNotFound if none was ever signed

  // Which log this is, whatever its name: 16 random bytes; empty if it is damaged.
  const std::string& id() const;

  // Entries [0, n) can be read. Follows durable_size() within milliseconds.
  uint64_t readable_size() const;
  // Has everything that is durable now made readable, and waits for it, but not for longer than
  // kReadablePatience: for those who want to see what they just did.
  void make_readable();
  base::Result<std::string> entry(uint64_t index) const;  // kNotFound beyond readable_size()
  // Calls `visit` for entries from `from` on, in order, until it returns false, `limit` were seen
  // or the readable end is reached; gives the next index. The view is valid during the call.
  base::Result<uint64_t> read(uint64_t from, size_t limit,
                              const std::function<bool(uint64_t, std::string_view)>& visit) const;

  // Proofs against signed checkpoints; they read tiles: not on an io thread.
  // C2SP tlog-proof text for one entry against the last checkpoint, which is renewed if the entry
  // is newer than it.
  base::Result<std::string> prove(uint64_t index);
  // Leaf hashes of entries [256 * bundle, ...) as the tree has them.
  base::Result<std::vector<crypto::Sha256Digest>> leaf_hashes(uint64_t bundle) const;
  base::Result<crypto::Sha256Digest> root_at(uint64_t size) const;
  // RFC 6962 section 2.1.1 and 2.1.2.
  base::Result<std::vector<crypto::Sha256Digest>> inclusion_proof(uint64_t index,
                                                                  uint64_t size) const;
  base::Result<std::vector<crypto::Sha256Digest>> consistency_proof(uint64_t old_size,
                                                                    uint64_t size) const;

  // Takes entries older than `before` out, as far as whole bundles and the last checkpoint go: into
  // the folder `archive`, or away where that is empty (retention.h). Blocks long; one at a time.
  base::Result<Retired> retire(base::WallTime before, const std::string& archive);

  // The highest store revision that any durable entry vouched for: a store that is older was put
  // back from a copy.
  uint64_t store_revision_floor() const;

  Health health() const;

  // Commits what is waiting, publishes, signs a last checkpoint if there is a signer, stops the
  // threads. Further appends are refused.
  void close();

 private:
  class Impl;
  explicit Log(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rekey::audit
