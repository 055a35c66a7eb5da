// LedgerTable: for every row of the store a few bytes of memory: which row, and which value of it
// is the present one. Ten bytes and a little: 6 million rows take 65 MB.
//
// Both are keyed digests (ledger.h), so entries are spread evenly and nobody chooses where.
// Entries lie sorted in blocks that never change: a write makes a new block of its bucket's few
// entries and swaps the pointer. find() takes no lock and waits for nobody: a reader counts itself
// in and out in a slot that it mostly has for itself, and a block that was swapped out is freed
// when every slot was seen empty since. One thread at a time writes; any thread may find().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace rekey::barrier {

// 72 bits of the keyed digest of a row's key: the bucket, then what is kept in it. Among N rows two
// share one with a probability of N^2 / 2^73: one in 250 million for 6 million rows.
struct RowMark {
  uint16_t bucket = 0;
  uint64_t rest = 0;  // 56 bits
  auto operator<=>(const RowMark&) const = default;
};
using RowDate = uint32_t;  // 24 bits of the keyed digest of a value

inline constexpr size_t kLedgerBuckets = 65'536;
inline constexpr RowDate kRowDateMask = 0xFFFFFF;
inline constexpr uint64_t kRowRestMask = (uint64_t{1} << 56) - 1;

struct LedgerEntry {
  RowMark mark;
  RowDate date = 0;
  bool operator==(const LedgerEntry&) const = default;
};

class LedgerTable {
 public:
  LedgerTable();
  ~LedgerTable();
  LedgerTable(const LedgerTable&) = delete;
  LedgerTable& operator=(const LedgerTable&) = delete;

  std::optional<RowDate> find(const RowMark& mark) const;
  // Two steps ahead of a find(), with work in between: where the entry stands is seldom in a cache.
  void prefetch_bucket(const RowMark& mark) const { __builtin_prefetch(&buckets_[mark.bucket]); }
  void prefetch_entry(const RowMark& mark) const {
    // The block may be swapped meanwhile: a prefetch reads nothing.
    __builtin_prefetch(buckets_[mark.bucket].load(std::memory_order_relaxed));
  }
  uint64_t size() const { return size_.load(std::memory_order_relaxed); }
  // What the entries take, with their blocks.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // From here on: the writing thread.
  void put(const RowMark& mark, RowDate date);
  void erase(const RowMark& mark);
  // Fills buckets that are empty. `entries` are sorted by mark, none twice.
  void fill(const std::vector<LedgerEntry>& entries);
  // Appends what the buckets first to last - 1 hold, by growing mark.
  void collect(size_t first, size_t last, std::vector<LedgerEntry>& out) const;
  // Frees blocks that no reader can see any more. After every few hundred writes.
  void reclaim();

 private:
  struct Block;
  static constexpr size_t kReaderSlots = 64;
  struct alignas(64) ReaderSlot {
    std::atomic<uint32_t> inside = 0;
  };
  static Block* make_block(size_t count);
  void swap_block(size_t bucket, Block* next);

  std::unique_ptr<std::atomic<Block*>[]> buckets_;
  mutable std::array<ReaderSlot, kReaderSlots> slots_;
  std::atomic<uint64_t> size_ = 0;
  std::atomic<uint64_t> bytes_ = 0;
  // Swapped out: `leaving_` while the slots of `occupied_` may still hold readers from before.
  std::vector<Block*> swapped_out_, leaving_;
  uint64_t occupied_ = 0;
};

}  // namespace rekey::barrier
