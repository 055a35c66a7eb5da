// RowTable: rows that are committed, but not in the LMDB file yet; sorted, with their older
// versions, so that a reader at any revision finds what stood there then.
//
// Threads: one writes; any number read meanwhile, without locks. Nothing is ever taken out: the
// whole table goes at once, when the last who holds it lets go. What it returns lives as long.
#pragma once

#include <array>
#include <atomic>
#include <memory>
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
    Row* beside = nullptr;              // in the same bucket; constant
    std::atomic<Row*>* next = nullptr;  // one for each level that it is on
  };
  static constexpr int kLevels = 10;  // each has a quarter of the rows of the one below
  static constexpr size_t kBuckets = 8'192;
  static constexpr size_t kBlockBytes = 64u << 10;  // of memory taken at once

 public:
  // In byte order over keys, those included of which no version is old enough.
  class Cursor {
   public:
    explicit Cursor(const RowTable& table) : table_(&table) {}
    bool seek(std::string_view key);  // to the first >= key
    bool next();
    bool valid() const { return row_ != nullptr; }
    std::string_view key() const { return row_->key; }
    const Version* version(Revision at_most) const { return newest_of(*row_, at_most); }

   private:
    const RowTable* table_;
    const Row* row_ = nullptr;
  };

 private:
  void add(std::string_view key, std::string_view value, Revision revision, bool erased);
  Row* insert(std::string_view key, std::atomic<Row*>& bucket, const Version* version);
  static const Version* newest_of(const Row& row, Revision at_most);
  const Row* lower_bound(std::string_view key) const;
  int draw_level();
  void* take(size_t bytes);
  std::string_view keep(std::string_view bytes);

  std::array<std::atomic<Row*>, kLevels> first_{};
  std::unique_ptr<std::array<std::atomic<Row*>, kBuckets>> buckets_;
  std::atomic<size_t> bytes_ = 0;
  uint64_t levels_drawn_ = 0x9e3779b97f4a7c15;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* free_ = nullptr;
  size_t free_bytes_ = 0;
};

}  // namespace rekey::storage
