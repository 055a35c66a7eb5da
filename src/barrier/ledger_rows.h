// The form of the ledger in the store: a ring of rows, of which each group of commits writes the
// next. Pure; docs/formats/barrier.md is the description.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/ledger_table.h"
#include "base/error.h"
#include "storage/store.h"

namespace rekey::barrier {

inline constexpr std::string_view kLedgerPrefix = "core/ledger/";
inline constexpr uint8_t kLedgerRowVersion = 1;
// Rows of the ring, always a power of two; doubled when a part would have too many entries.
inline constexpr unsigned kLedgerRingBitsMin = 8;
inline constexpr unsigned kLedgerRingBitsMax = 12;
inline constexpr size_t kLedgerPartEntriesDue = 1'024;  // on average; then the ring is doubled
// One group's changes: LMDB's turn takes 32,768 operations or one batch of 16,384.
inline constexpr size_t kLedgerChangesMax = 65'536;
inline constexpr size_t kLedgerPartEntriesMax = size_t{1} << 24;

// One row of the ring.
struct LedgerRow {
  unsigned ring_bits = kLedgerRingBitsMin;
  uint64_t number = 0;            // grows by one with every row written; its place is number % ring
  storage::Revision before = 0;   // the changes lead from here
  storage::Revision after = 0;    // to here
  std::vector<LedgerEntry> puts;  // of the group, by mark; a mark is in one of the two, once
  std::vector<RowMark> erasures;
  std::vector<LedgerEntry> part;  // all entries of this part of the ledger, as of `after`; by mark

  std::string dump() const;
  // kCorrupt unless dump() can have made it.
  static base::Result<LedgerRow> parse(std::string_view plaintext);
};

std::string ledger_row_key(uint64_t place);  // "core/ledger/00ff"

inline uint64_t ring_size(unsigned bits) { return uint64_t{1} << bits; }
// The part of the ledger, as large as all others, that a bucket is in.
inline uint64_t part_of(uint16_t bucket, unsigned ring_bits) { return bucket >> (16 - ring_bits); }
inline size_t first_bucket(uint64_t part, unsigned ring_bits) { return part << (16 - ring_bits); }

}  // namespace rekey::barrier
