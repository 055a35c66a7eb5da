// The index's terms and posting lists, and IndexBuilder, which collects them in memory until they
// are written as a run (docs/formats/audit-index.md).
//
// Knows no files and no log. A builder is changed by one thread; others may read it under its
// owner's lock.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/entry_scan.h"
#include "audit/tiles.h"
#include "base/error.h"

namespace rekey::audit {

inline constexpr uint64_t kIndexBlockEntries = kTileWidth;  // a block is a bundle of the log
inline constexpr size_t kPostingPlacesMax = 15;             // places kept for a term in a block

enum class TermKind : char {
  kAccessor = 'a',
  kIdentity = 'i',
  kPath = 'p',
  kAddress = 'r',
  kClient = 'c',
  kStatus = 's',
  kValue = 'v',
};

uint64_t term_hash(std::string_view text);
// The first 16 of the hex digits; 0 if they are none.
uint64_t value_number(std::string_view hex_digits);
// As a run has it: the kind and 8 bytes.
std::string term_key(TermKind kind, uint64_t number);
std::string path_key(std::string_view path);
std::string text_key(TermKind kind, std::string_view text);

struct BlockTimes {
  int64_t first_ns = INT64_MAX;  // earliest and latest; nothing in it: first > last
  int64_t last_ns = INT64_MIN;
  void add(int64_t time_ns) {
    if (time_ns < first_ns) first_ns = time_ns;
    if (time_ns > last_ns) last_ns = time_ns;
  }
  void add(const BlockTimes& other) {
    if (other.first_ns < first_ns) first_ns = other.first_ns;
    if (other.last_ns > last_ns) last_ns = other.last_ns;
  }
};

// A block in which a term occurs. `places` is empty where there are too many to tell.
struct Posting {
  uint64_t block = 0;
  std::string_view places;  // one byte each, rising
};

void append_varint(std::string& out, uint64_t value);
// False if there is no whole varint of at most 64 bits.
bool cut_varint(std::string_view& bytes, uint64_t& out);

// Cuts the next posting off the list. `block` is the one before (for the first: the run's first
// block, with `first` set). False if the list is not as it should be.
bool cut_posting(std::string_view& list, bool first, uint64_t end_block, Posting& posting);

// What a query searches: a run, or what is still in memory.
class PostingSource {
 public:
  using VisitList = std::function<base::Result<void>(std::string_view list)>;
  using VisitTerm = std::function<base::Result<void>(std::string_view key, std::string_view list)>;
  virtual ~PostingSource() = default;
  virtual uint64_t first_block() const = 0;
  virtual uint64_t end_block() const = 0;
  virtual BlockTimes times() const = 0;
  virtual base::Result<std::vector<BlockTimes>> block_times() const = 0;
  // Visits the term's list, if there is one.
  virtual base::Result<void> find(std::string_view key, const VisitList& visit) const = 0;
  // Visits all terms that begin so, in any order.
  virtual base::Result<void> find_all(std::string_view prefix, const VisitTerm& visit) const = 0;
};

class IndexBuilder final : public PostingSource {
 public:
  explicit IndexBuilder(uint64_t first_block) : first_block_(first_block), block_(first_block) {}

  // The next entry of the block; entries that can't be scanned still take their place.
  void add(const ScannedEntry& entry);
  void add_unknown() { ++place_; }
  void close_block();

  size_t bytes() const { return bytes_; }
  size_t terms() const { return terms_.size(); }

  uint64_t first_block() const override { return first_block_; }
  uint64_t end_block() const override { return block_; }
  BlockTimes times() const override;
  base::Result<std::vector<BlockTimes>> block_times() const override { return times_; }
  base::Result<void> find(std::string_view key, const VisitList& visit) const override;
  base::Result<void> find_all(std::string_view prefix, const VisitTerm& visit) const override;

  // All terms in byte order.
  base::Result<void> visit_sorted(
      const std::function<base::Result<void>(std::string_view key, uint64_t last_block,
                                             std::string_view list)>& visit) const;

 private:
  struct Term {
    uint64_t hash = 0;  // the number, or the hash of the text
    uint32_t text_at = 0;
    uint32_t text_size = 0;
    uint64_t last_block = 0;
    uint32_t pending = UINT32_MAX;  // of the block that is open
    TermKind kind{};
    std::string list;
  };
  struct Pending {
    uint32_t term = 0;
    uint32_t count = 0;
    unsigned char places[kPostingPlacesMax];
  };

  void add_number(TermKind kind, uint64_t number);
  void add_text(TermKind kind, std::string_view text);
  void mark(uint32_t term);
  void prefetch(TermKind kind, uint64_t hash) const;
  uint32_t find_slot(TermKind kind, uint64_t hash, std::string_view text) const;
  uint32_t find_or_make(TermKind kind, uint64_t hash, std::string_view text);
  void grow_table();
  std::string_view text_of(const Term& term) const {
    return std::string_view(texts_).substr(term.text_at, term.text_size);
  }
  std::string key_of(const Term& term) const;

  const uint64_t first_block_;
  uint64_t block_;      // the open one
  uint32_t place_ = 0;  // in it
  BlockTimes open_times_;
  std::vector<BlockTimes> times_;
  std::vector<Term> terms_;
  std::vector<uint32_t> table_;  // term + 1; 0: free. Size is a power of two
  std::vector<Pending> pending_;
  std::string texts_;
  size_t bytes_ = 0;  // about what all this takes
};

}  // namespace rekey::audit
