// Publisher: turns durable groups into bundles, tiles and signed checkpoints, and answers reads.
//
// Takes over each group after its commit, in order. Knows nothing of waiting requests. Owns one
// thread between start() and stop(), the only one that changes the tree; the read functions may be
// called on any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "audit/disk.h"
#include "audit/log.h"
#include "audit/merkle.h"
#include "audit/note.h"
#include "audit/tiles.h"
#include "audit/wal.h"
#include "base/clock.h"

namespace rekey::audit {

inline constexpr const char* kSignedPath = "signed";
inline constexpr const char* kKeyPath = "key";

class Publisher {
 public:
  struct Options {
    std::string origin;
    base::Duration checkpoint_interval{};
    base::Duration retry_interval{};
    bool stepped = false;  // no thread: step() is called instead
  };
  struct Status {
    bool failing = false;
    bool stuck = false;  // a sync failed: only a restart makes sure what is on disk
    std::string reason;
    uint64_t queue_bytes = 0;
    uint64_t checkpoint_size = 0;
    bool can_sign = false;
  };

  Publisher(Disk& disk, Wal& wal, Options options, const base::Clock& clock,
            const base::Log& operator_log);
  ~Publisher() { stop(); }

  // Before start(): replays the write-ahead log on top of the tiles, and compares the tree with
  // what was signed. kCorrupt: damage, with the place.
  base::Result<void> recover();
  void start();
  void step() { round(false); }  // what the thread does each time that it wakes up
  // Publishes what was pushed, signs if it can, ends the thread.
  void stop();

  // A group that is durable. Doesn't block on disk.
  void push(std::unique_ptr<Group> group);
  // Until less than `bytes_max` wait to be published; false if they can't be published now.
  bool wait_for_room(size_t bytes_max);
  // An emptied group for reuse, or a new one.
  std::unique_ptr<Group> take_spare();
  Status status() const;

  base::Result<void> set_signer(crypto::Ed25519PrivateKey key);
  void clear_signer();
  std::string verifier_key() const;
  // Over at least `size` entries, which are pushed already. Blocks.
  base::Result<Checkpoint> checkpoint(uint64_t size);
  base::Result<Checkpoint> last_checkpoint() const;

  // Publishes at once instead of gathering; waits until there are `size` entries, or `patience`
  // ends.
  void hurry(uint64_t size, base::Duration patience);

  uint64_t size() const { return size_.load(std::memory_order_acquire); }
  base::Result<uint64_t> read(uint64_t from, size_t limit,
                              const std::function<bool(uint64_t, std::string_view)>& visit) const;
  // The tree of size() entries at the time of the call.
  TileTree tree() const;

 private:
  struct Work {
    std::unique_ptr<Group> group;
    size_t offset = 0;  // in its payload: where the next entry begins
    uint32_t done = 0;  // entries
  };

  void run();
  void round(bool last);
  base::Duration time_to_checkpoint() const;  // zero: now
  bool wait_for_work(std::unique_lock<std::mutex>& lock);
  base::Result<void> publish_queue();
  base::Result<void> publish_group(Work& work);
  base::Result<void> finish_tiles();
  base::Result<void> write_later_synced(std::string path, std::string_view bytes);
  base::Result<void> sync_written();
  base::Result<Checkpoint> sign_checkpoint();
  base::Result<void> write_partials();
  base::Result<void> load_levels(uint64_t start);
  base::Result<void> check_against_signed(const char* path);
  void note_failure(const base::Error& error);

  Disk& disk_;
  Wal& wal_;
  const Options options_;
  const base::Clock& clock_;
  const base::Log& operator_log_;

  // The tree's growing end: changed by the publisher's thread under tail_mutex_, so that it may
  // read without and others with it.
  mutable std::mutex tail_mutex_;
  std::string bundle_;                     // entries from full_size_ on
  std::vector<std::vector<Hash>> levels_;  // hashes of each level's last, partial tile
  uint64_t full_size_ = 0;                 // entries in written full bundles
  std::atomic<uint64_t> size_{0};

  // Publisher's thread only.
  std::vector<std::string> unsynced_;
  std::vector<std::string> stale_partials_;
  std::optional<base::Duration> last_checkpoint_time_;

  mutable std::mutex mutex_;  // over everything below
  std::condition_variable work_;
  std::condition_variable done_;
  std::deque<Work> queue_;
  uint64_t queue_entries_ = 0;
  std::vector<std::unique_ptr<Group>> spare_;
  Status status_;
  bool stop_ = false;
  bool room_wanted_ = false;
  bool hurry_ = false;              // somebody wants to read the newest entries
  uint64_t checkpoint_wanted_ = 0;  // asked for
  uint64_t checkpoint_tried_ = 0;   // answered
  std::optional<base::Error> checkpoint_error_;
  std::optional<Checkpoint> checkpoint_;
  std::optional<crypto::Ed25519PrivateKey> signer_;
  std::optional<VerifierKey> verifier_;
  std::thread thread_;
};

}  // namespace rekey::audit
