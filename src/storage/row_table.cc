#include "storage/row_table.h"

#include <cstring>
#include <functional>
#include <memory>

namespace rekey::storage {
namespace {

size_t bucket_of(std::string_view key, size_t buckets) {
  return std::hash<std::string_view>()(key) % buckets;
}

}  // namespace

RowTable::RowTable() : buckets_(std::make_unique<std::array<std::atomic<Row*>, kBuckets>>()) {}

void RowTable::put(std::string_view key, std::string_view value, Revision revision) {
  add(key, value, revision, false);
}

void RowTable::erase(std::string_view key, Revision revision) { add(key, {}, revision, true); }

void RowTable::add(std::string_view key, std::string_view value, Revision revision, bool erased) {
  std::atomic<Row*>& bucket = (*buckets_)[bucket_of(key, kBuckets)];
  Row* row = bucket.load(std::memory_order_relaxed);
  while (row != nullptr && row->key != key) row = row->beside;
  const Version* older = row == nullptr ? nullptr : row->newest.load(std::memory_order_relaxed);
  const Version* version = std::construct_at(static_cast<Version*>(take(sizeof(Version))),
                                             keep(value), revision, erased, older);
  if (row == nullptr) {
    insert(key, bucket, version);
  } else {
    row->newest.store(version, std::memory_order_release);
  }
}

RowTable::Row* RowTable::insert(std::string_view key, std::atomic<Row*>& bucket,
                                const Version* version) {
  Row* row = std::construct_at(static_cast<Row*>(take(sizeof(Row))));
  row->key = keep(key);
  row->newest.store(version, std::memory_order_relaxed);
  row->beside = bucket.load(std::memory_order_relaxed);
  const int levels = draw_level();
  row->next = static_cast<std::atomic<Row*>*>(take(sizeof(std::atomic<Row*>) * levels));
  std::array<std::atomic<Row*>*, kLevels> before{};
  std::atomic<Row*>* links = first_.data();
  for (int level = kLevels - 1; level >= 0; --level) {
    for (;;) {
      Row* next = links[level].load(std::memory_order_relaxed);
      if (next == nullptr || next->key >= key) break;
      links = next->next;
    }
    before[level] = links;
  }
  for (int level = 0; level < levels; ++level) {
    std::construct_at(&row->next[level], before[level][level].load(std::memory_order_relaxed));
  }
  for (int level = 0; level < levels; ++level) {
    before[level][level].store(row, std::memory_order_release);
  }
  bucket.store(row, std::memory_order_release);
  return row;
}

const RowTable::Version* RowTable::newest_of(const Row& row, Revision at_most) {
  const Version* version = row.newest.load(std::memory_order_acquire);
  while (version != nullptr && version->revision > at_most) version = version->older;
  return version;
}

const RowTable::Version* RowTable::find(std::string_view key, Revision at_most) const {
  const Row* row = (*buckets_)[bucket_of(key, kBuckets)].load(std::memory_order_acquire);
  while (row != nullptr && row->key != key) row = row->beside;
  return row == nullptr ? nullptr : newest_of(*row, at_most);
}

const RowTable::Row* RowTable::lower_bound(std::string_view key) const {
  const std::atomic<Row*>* links = first_.data();
  const Row* found = nullptr;
  for (int level = kLevels - 1; level >= 0; --level) {
    for (;;) {
      found = links[level].load(std::memory_order_acquire);
      if (found == nullptr || found->key >= key) break;
      links = found->next;
    }
  }
  return found;
}

bool RowTable::Cursor::seek(std::string_view key) {
  row_ = table_->lower_bound(key);
  return row_ != nullptr;
}

bool RowTable::Cursor::next() {
  row_ = row_->next[0].load(std::memory_order_acquire);
  return row_ != nullptr;
}

int RowTable::draw_level() {
  levels_drawn_ ^= levels_drawn_ << 13, levels_drawn_ ^= levels_drawn_ >> 7;
  levels_drawn_ ^= levels_drawn_ << 17;
  int levels = 1;
  for (uint64_t bits = levels_drawn_; levels < kLevels && bits % 4 == 0; bits /= 4) ++levels;
  return levels;
}

// Aligned for anything that is kept here.
void* RowTable::take(size_t bytes) {
  constexpr size_t kAlign = alignof(void*);
  bytes = (bytes + kAlign - 1) / kAlign * kAlign;
  if (bytes > free_bytes_) {
    const bool alone = bytes > kBlockBytes / 4;  // then the present block isn't used up
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(alone ? bytes : kBlockBytes));
    if (alone) {
      bytes_.fetch_add(bytes, std::memory_order_relaxed);
      return blocks_.back().get();
    }
    free_ = blocks_.back().get(), free_bytes_ = kBlockBytes;
  }
  char* const taken = free_;
  free_ += bytes, free_bytes_ -= bytes;
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return taken;
}

std::string_view RowTable::keep(std::string_view bytes) {
  if (bytes.empty()) return {};
  char* const kept = static_cast<char*>(take(bytes.size()));
  std::memcpy(kept, bytes.data(), bytes.size());
  return {kept, bytes.size()};
}

}  // namespace rekey::storage
