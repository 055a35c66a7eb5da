#include "storage/row_table.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>

namespace rekey::storage {
namespace {

size_t bucket_of(std::string_view key, size_t buckets) {
  return std::hash<std::string_view>()(key) % buckets;
}

constexpr auto by_key = [](const auto* row) { return row->key; };

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

void RowTable::insert(std::string_view key, std::atomic<Row*>& bucket, const Version* version) {
  Row* row = std::construct_at(static_cast<Row*>(take(sizeof(Row))));
  row->key = keep(key);  // right behind it: comparing touches both
  row->newest.store(version, std::memory_order_relaxed);
  row->beside = bucket.load(std::memory_order_relaxed);
  bucket.store(row, std::memory_order_release);
  if (recent_ == nullptr || recent_->count.load(std::memory_order_relaxed) == kRecentRows) {
    sort_recent();
  }
  const size_t count = recent_->count.load(std::memory_order_relaxed);
  recent_->rows[count] = row;
  recent_->count.store(count + 1, std::memory_order_release);
}

// Makes a run of the recent rows, joined with those before it that are about as short, and an order
// with new recent ones. Who has the old order goes on with it.
void RowTable::sort_recent() {
  const Order* const old = order_.load(std::memory_order_relaxed);
  std::vector<Run> runs;
  if (old != nullptr) {
    runs.assign(old->runs.begin(), old->runs.end());
    const std::span<const Row*> sorted = take_span<const Row*>(kRecentRows);
    std::ranges::copy(recent_->rows, sorted.begin());
    std::ranges::sort(sorted, {}, by_key);
    runs.emplace_back(sorted);
  }
  while (runs.size() >= kRunsJoined) {
    const auto alike = std::span(runs).last(kRunsJoined);
    if (alike.front().size() != alike.back().size()) break;
    const Run joined = join(alike);
    runs.resize(runs.size() - kRunsJoined);
    runs.push_back(joined);
  }
  const std::span<Run> kept = take_span<Run>(runs.size());
  std::ranges::copy(runs, kept.begin());
  recent_ = std::construct_at(static_cast<Recent*>(take(sizeof(Recent))));
  order_.store(std::construct_at(static_cast<Order*>(take(sizeof(Order))), kept, recent_),
               std::memory_order_release);
}

// Of runs that are equally long, by twos.
RowTable::Run RowTable::join(std::span<const Run> runs) {
  const size_t each = runs.front().size();
  const std::span<const Row*> joined = take_span<const Row*>(kRunsJoined * each);
  auto end = joined.begin();
  for (const Run& run : runs) end = std::ranges::copy(run, end).out;
  for (size_t sorted = each; sorted < joined.size(); sorted *= 2) {
    for (auto at = joined.begin(); at != joined.end(); at += 2 * sorted) {
      std::ranges::inplace_merge(at, at + sorted, at + 2 * sorted, {}, by_key);
    }
  }
  return joined;
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

RowTable::Cursor::Cursor(const RowTable& table) {
  const Order* const order = table.order_.load(std::memory_order_acquire);
  if (order == nullptr) return;
  const Run recent =
      std::span(order->recent->rows).first(order->recent->count.load(std::memory_order_acquire));
  all_.reserve(order->runs.size() + recent.size());
  all_.assign(order->runs.begin(), order->runs.end());
  for (size_t i = 0; i < recent.size(); ++i) all_.push_back(recent.subspan(i, 1));
}

namespace {
// For a heap with the least key at its top.
constexpr auto later = [](const auto& a, const auto& b) { return a.front()->key > b.front()->key; };
}  // namespace

// Of the first run, which was taken out of the heap, what is >= key goes back into it.
void RowTable::Cursor::move_first(std::string_view key) {
  Run& run = left_.back();
  run = run.subspan(std::ranges::lower_bound(run, key, {}, by_key) - run.begin());
  if (run.empty()) {
    left_.pop_back();
  } else {
    std::ranges::push_heap(left_, later);
  }
}

bool RowTable::Cursor::seek(std::string_view key) {
  if (left_.empty() || key < row().key) {  // may be back
    left_.clear();
    for (const Run& run : all_) {
      left_.push_back(run);
      move_first(key);
    }
    return valid();
  }
  while (valid() && row().key < key) {
    std::ranges::pop_heap(left_, later);
    move_first(key);
  }
  return valid();
}

bool RowTable::Cursor::next() {
  std::ranges::pop_heap(left_, later);
  Run& run = left_.back();
  run = run.subspan(1);
  if (run.empty()) {
    left_.pop_back();
  } else {
    std::ranges::push_heap(left_, later);
  }
  return valid();
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

template <class T>
std::span<T> RowTable::take_span(size_t count) {
  constexpr size_t kEach = sizeof(T[1]);  // clang-tidy takes sizeof a pointer for a mistake
  T* const first = static_cast<T*>(take(count * kEach));
  std::uninitialized_value_construct_n(first, count);
  return {first, count};
}

std::string_view RowTable::keep(std::string_view bytes) {
  if (bytes.empty()) return {};
  char* const kept = static_cast<char*>(take(bytes.size()));
  std::memcpy(kept, bytes.data(), bytes.size());
  return {kept, bytes.size()};
}

}  // namespace rekey::storage
