#include "barrier/ledger_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <thread>

#include "base/check.h"

namespace rekey::barrier {
namespace {

constexpr size_t kEntryBytes = 10;  // 7 of the mark, 3 of the date, big-endian
constexpr size_t kMarkBytes = 7;

uint64_t rest_at(const char* at) {
  uint64_t bytes = 0;
  std::memcpy(&bytes, at, sizeof(bytes));
  return std::byteswap(bytes) >> 8;
}

RowDate date_at(const char* at) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(at + kMarkBytes);
  return RowDate{bytes[0]} << 16 | RowDate{bytes[1]} << 8 | bytes[2];
}

void write_entry(char* at, uint64_t rest, RowDate date) {
  for (size_t i = 0; i < kMarkBytes; i++) {
    at[i] = static_cast<char>(rest >> (8 * (kMarkBytes - 1 - i)));
  }
  for (size_t i = 0; i < 3; i++) at[kMarkBytes + i] = static_cast<char>(date >> (8 * (2 - i)));
}

size_t slot_of_this_thread(size_t slots) {
  return std::hash<std::thread::id>()(std::this_thread::get_id()) % slots;
}

}  // namespace

struct LedgerTable::Block {
  uint32_t count;

  char* at(size_t i) { return reinterpret_cast<char*>(this + 1) + i * kEntryBytes; }
  const char* at(size_t i) const {
    return reinterpret_cast<const char*>(this + 1) + i * kEntryBytes;
  }
  static size_t bytes_for(size_t count) { return sizeof(Block) + count * kEntryBytes; }

  // Where an entry with this mark is, or belongs. Marks are spread evenly, so it is near the place
  // that its value says.
  size_t place_of(uint64_t rest) const {
    size_t i = static_cast<size_t>((static_cast<unsigned __int128>(rest) * count) >> 56);
    while (i > 0 && rest_at(at(i - 1)) >= rest) i--;
    while (i < count && rest_at(at(i)) < rest) i++;
    return i;
  }
  bool holds(size_t i, uint64_t rest) const { return i < count && rest_at(at(i)) == rest; }
};

LedgerTable::LedgerTable() : buckets_(std::make_unique<std::atomic<Block*>[]>(kLedgerBuckets)) {}

LedgerTable::~LedgerTable() {
  for (size_t i = 0; i < kLedgerBuckets; i++) ::operator delete(buckets_[i].load());
  for (Block* block : swapped_out_) ::operator delete(block);
  for (Block* block : leaving_) ::operator delete(block);
}

std::optional<RowDate> LedgerTable::find(const RowMark& mark) const {
  // In before the pointer is read, with an order that the writer's swap and its look at the slots
  // share: who isn't seen inside sees the new pointer.
  std::atomic<uint32_t>& inside = slots_[slot_of_this_thread(kReaderSlots)].inside;
  inside.fetch_add(1, std::memory_order_seq_cst);
  std::optional<RowDate> found;
  if (const Block* block = buckets_[mark.bucket].load(std::memory_order_seq_cst)) {
    const size_t i = block->place_of(mark.rest);
    if (block->holds(i, mark.rest)) found = date_at(block->at(i));
  }
  inside.fetch_sub(1, std::memory_order_release);
  return found;
}

LedgerTable::Block* LedgerTable::make_block(size_t count) {
  auto* block = static_cast<Block*>(::operator new(Block::bytes_for(count)));
  block->count = static_cast<uint32_t>(count);
  return block;
}

void LedgerTable::swap_block(size_t bucket, Block* next) {
  Block* old = buckets_[bucket].exchange(next, std::memory_order_seq_cst);
  if (old != nullptr) swapped_out_.push_back(old);
  const uint64_t now = next == nullptr ? 0 : Block::bytes_for(next->count);
  const uint64_t before = old == nullptr ? 0 : Block::bytes_for(old->count);
  bytes_.store(bytes() + now - before, std::memory_order_relaxed);
}

void LedgerTable::put(const RowMark& mark, RowDate date) {
  const Block* old = buckets_[mark.bucket].load(std::memory_order_relaxed);
  const size_t count = old == nullptr ? 0 : old->count;
  const size_t place = old == nullptr ? 0 : old->place_of(mark.rest);
  const bool there = old != nullptr && old->holds(place, mark.rest);
  Block* next = make_block(there ? count : count + 1);
  if (old != nullptr) {
    std::memcpy(next->at(0), old->at(0), place * kEntryBytes);
    const size_t from = there ? place + 1 : place;
    std::memcpy(next->at(place + 1), old->at(from), (count - from) * kEntryBytes);
  }
  write_entry(next->at(place), mark.rest, date & kRowDateMask);
  swap_block(mark.bucket, next);
  if (!there) size_.store(size() + 1, std::memory_order_relaxed);
}

void LedgerTable::erase(const RowMark& mark) {
  const Block* old = buckets_[mark.bucket].load(std::memory_order_relaxed);
  if (old == nullptr) return;
  const size_t place = old->place_of(mark.rest);
  if (!old->holds(place, mark.rest)) return;
  Block* next = nullptr;
  if (old->count > 1) {
    next = make_block(old->count - 1);
    std::memcpy(next->at(0), old->at(0), place * kEntryBytes);
    std::memcpy(next->at(place), old->at(place + 1), (next->count - place) * kEntryBytes);
  }
  swap_block(mark.bucket, next);
  size_.store(size() - 1, std::memory_order_relaxed);
}

void LedgerTable::fill(const std::vector<LedgerEntry>& entries) {
  for (size_t from = 0; from < entries.size();) {
    const uint16_t bucket = entries[from].mark.bucket;
    size_t to = from;
    while (to < entries.size() && entries[to].mark.bucket == bucket) to++;
    REKEY_CHECK(buckets_[bucket].load() == nullptr);
    Block* block = make_block(to - from);
    for (size_t i = from; i < to; i++) {
      write_entry(block->at(i - from), entries[i].mark.rest, entries[i].date);
    }
    swap_block(bucket, block);
    from = to;
  }
  size_.store(size() + entries.size(), std::memory_order_relaxed);
}

void LedgerTable::collect(size_t first, size_t last, std::vector<LedgerEntry>& out) const {
  for (size_t bucket = first; bucket < last; bucket++) {
    const Block* block = buckets_[bucket].load(std::memory_order_relaxed);
    for (size_t i = 0; block != nullptr && i < block->count; i++) {
      out.push_back(
          {.mark = {.bucket = static_cast<uint16_t>(bucket), .rest = rest_at(block->at(i))},
           .date = date_at(block->at(i))});
    }
  }
}

void LedgerTable::reclaim() {
  if (leaving_.empty()) {
    if (swapped_out_.empty()) return;
    leaving_.swap(swapped_out_);
    occupied_ = ~uint64_t{0};
  }
  static_assert(kReaderSlots == 64);
  for (uint64_t left = occupied_; left != 0; left &= left - 1) {
    const int slot = std::countr_zero(left);
    if (slots_[static_cast<size_t>(slot)].inside.load(std::memory_order_seq_cst) == 0) {
      occupied_ &= ~(uint64_t{1} << slot);
    }
  }
  if (occupied_ != 0) return;
  for (Block* block : leaving_) ::operator delete(block);
  leaving_.clear();
}

}  // namespace rekey::barrier
