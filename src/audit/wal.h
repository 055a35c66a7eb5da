// The write-ahead log: group commits in preallocated segments (docs/formats/audit.md), and their
// recovery. Knows entries only as bytes with a length, and no tree.
//
// Threads: write() belongs to the commit thread; release() and prepare_spare() to the publisher;
// bytes() is for anyone.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/disk.h"
#include "audit/merkle.h"
#include "base/error.h"

namespace rekey::audit {

inline constexpr size_t kGroupHeaderBytes = 128;
inline constexpr size_t kSegmentHeaderBytes = 128;
inline constexpr size_t kLogIdBytes = 16;
inline constexpr size_t kWalSlotsMax = 64;

// Entries on their way to the disk. The buffer starts with room for the header; entries follow as
// in a bundle.
struct Group {
  AlignedBuffer buffer;
  size_t used = kGroupHeaderBytes;  // bytes of header and payload
  uint64_t first_index = 0;
  uint32_t count = 0;
  uint64_t store_revision = 0;  // highest among its entries
  std::vector<Hash> leaves;     // filled by the commit thread

  std::string_view payload() const {
    return {buffer.data() + kGroupHeaderBytes, used - kGroupHeaderBytes};
  }
  void add(std::string_view entry);  // 1 to 65,535 bytes
};

class Wal {
 public:
  struct Options {
    std::string log_id;        // kLogIdBytes bytes
    size_t segment_bytes = 0;  // of segments made from now on; a multiple of kBlockBytes
    size_t segments_max = 0;   // at most kWalSlotsMax
    std::chrono::milliseconds full_wait_max{0};  // for a free segment, before a write fails
  };
  struct Recovered {
    uint64_t end_index = 0;  // one behind the newest entry
    uint64_t cut_bytes = 0;  // seen of a group that was being written when the last process ended
  };
  using Visit = std::function<base::Result<void>(uint64_t first_index, std::string_view payload,
                                                 std::span<const Hash> leaves)>;

  Wal(Disk& disk, Options options);

  // Finds the segments. Gives the index of the oldest entry in them, or nothing if there are none:
  // then the log starts at 0. kCorrupt if a segment is missing or its header is damaged.
  base::Result<std::optional<uint64_t>> open();
  // Reads all groups in order; a failure of `visit` ends it. kCorrupt, with the place, if
  // acknowledged entries are missing or altered. After success groups can be written. Once, after
  // open().
  base::Result<Recovered> replay(const Visit& visit);

  // Makes the group durable: fills in its header and writes it. `group.leaves` are known. On
  // failure the same group must be given again, until it is written.
  base::Result<void> write(Group& group);
  // Entries below `index` are in synced tiles: segments that end there are free again.
  void release(uint64_t index);
  // True if release(index) would free something.
  bool releasable(uint64_t index) const;
  // Makes sure that the next segment is at hand.
  base::Result<void> prepare_spare();

  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  uint64_t store_revision() const { return store_revision_.load(std::memory_order_relaxed); }

 private:
  enum class SlotState { kAbsent, kMaking, kFree, kLive };
  struct Slot {
    SlotState state = SlotState::kAbsent;
    std::unique_ptr<BlockFile> file;
    uint64_t number = 0;  // of the segment that it holds or held; 0: none yet
    uint64_t first_group = 0;
    uint64_t first_index = 0;
    uint64_t end_index = 0;  // one behind its last entry; of the current segment: not known yet
    Hash chain{};            // of the group before its first
    uint64_t store_revision = 0;
  };
  class Reader;

  std::string slot_path(const Slot& slot) const;
  base::Result<void> read_segment_header(Slot& slot);
  base::Result<uint64_t> replay_segment(Slot& slot, const Slot* next, const Visit& visit);
  base::Result<Slot*> take_free_slot();
  base::Result<void> make_file(Slot& slot);
  base::Result<void> start_segment(uint64_t first_index);
  Hash fill_header(Group& group) const;

  Disk& disk_;
  const Options options_;
  mutable std::mutex mutex_;  // over the states in slots_
  std::condition_variable released_;
  std::vector<Slot> slots_;  // as many as there may be segments; never resized
  Slot* current_ = nullptr;
  uint64_t position_ = 0;         // where in it the next group goes
  bool position_spoilt_ = false;  // a write there failed
  uint64_t next_group_ = 1;
  uint64_t next_index_ = 0;
  uint64_t next_segment_ = 1;
  Hash chain_{};
  std::atomic<uint64_t> store_revision_{0};
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace rekey::audit
