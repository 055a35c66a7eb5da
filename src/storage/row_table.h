// RowTable: rows that are committed, but not in the LMDB file yet, with their older versions, so
// that a reader at any revision finds what stood there then.
//
// A key is found by its hash. The order of keys is kept in runs: each row that is new goes into the
// last, short and unsorted one; when that is full it is sorted and joined with others of its size.
// So a row costs a few comparisons when it comes, and who lists looks into a handful of runs.
//
// Threads: one writes; any number read meanwhile, without locks. Nothing is ever taken out: the
// whole table goes at once, when the last who holds it lets go. What it returns lives as long.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "storage/store.h"

namespace rekey::storage {

class RowTable {
 public:
  struct Version {
    std::string_view value;
    Revision revision = 0;
    bool erased = false;
    const Version* older = nullptr;
  };

  RowTable();
  RowTable(const RowTable&) = delete;
  RowTable& operator=(const RowTable&) = delete;

  // On the one thread that writes. Revisions of a key never go down; of two at the same one the
  // later counts. A reader sees a version as soon as it asks for a revision that covers it.
  void put(std::string_view key, std::string_view value, Revision revision);
  void erase(std::string_view key, Revision revision);

  // The newest version that isn't newer than `at_most`; null if the table doesn't know of any.
  const Version* find(std::string_view key, Revision at_most) const;

  bool empty() const { return bytes() == 0; }
  // What it takes up, roughly.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Row {
    std::string_view key;
    std::atomic<const Version*> newest = nullptr;
    Row* beside = nullptr;  // in the same bucket; constant
  };
  using Run = std::span<const Row* const>;  // by key

  static constexpr size_t kBuckets = 8'192;
  static constexpr size_t kBlockBytes = 256u << 10;  // of memory taken, and given back, at once
  static constexpr size_t kRecentRows = 64;          // unsorted at most
  static constexpr size_t kRunsJoined = 4;           // of one size; a power of two

  struct Recent {
    std::array<const Row*, kRecentRows> rows;
    std::atomic<size_t> count = 0;
  };
  // All rows: those of the runs, longest first, and the recent ones. Once made only `recent` grows.
  struct Order {
    std::span<const Run> runs;
    Recent* recent = nullptr;
  };

 public:
  // In byte order over keys, those included of which no version is old enough; of rows that come
  // while it is in use it may miss some.
  class Cursor {
   public:
    explicit Cursor(const RowTable& table);
    bool seek(std::string_view key);  // to the first >= key
    bool next();
    bool valid() const { return !left_.empty(); }
    std::string_view key() const { return row().key; }
    const Version* version(Revision at_most) const { return newest_of(row(), at_most); }

   private:
    const Row& row() const { return *left_.front().front(); }
    void move_first(std::string_view key);

    std::vector<Run> all_;   // the recent rows are one run each
    std::vector<Run> left_;  // what of them is still to come: a heap, the least key first
  };

 private:
  void add(std::string_view key, std::string_view value, Revision revision, bool erased);
  void insert(std::string_view key, std::atomic<Row*>& bucket, const Version* version);
  void sort_recent();
  Run join(std::span<const Run> runs);
  static const Version* newest_of(const Row& row, Revision at_most);
  void* take(size_t bytes);
  template <class T>
  std::span<T> take_span(size_t count);
  std::string_view keep(std::string_view bytes);

  std::atomic<const Order*> order_ = nullptr;
  Recent* recent_ = nullptr;  // the newest order's
  std::unique_ptr<std::array<std::atomic<Row*>, kBuckets>> buckets_;
  std::atomic<size_t> bytes_ = 0;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* free_ = nullptr;
  size_t free_bytes_ = 0;
};

}  // namespace rekey::storage
