// rooms: barrier
// A row of the ledger, as it is after decryption: nothing crashes, what is accepted is in order and
// of its part, and comes back the same after being written.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "barrier/ledger_rows.h"
#include "base/check.h"

namespace barrier = rekey::barrier;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto row = barrier::LedgerRow::parse(bytes);
  if (!row) return 0;
  REKEY_CHECK(row->dump() == bytes);
  REKEY_CHECK(std::ranges::is_sorted(row->part, {}, &barrier::LedgerEntry::mark));
  barrier::LedgerTable table;
  table.fill(row->part);
  REKEY_CHECK(table.size() == row->part.size());
  const uint64_t part = row->number & (barrier::ring_size(row->ring_bits) - 1);
  std::vector<barrier::LedgerEntry> again;
  table.collect(barrier::first_bucket(part, row->ring_bits),
                barrier::first_bucket(part + 1, row->ring_bits), again);
  REKEY_CHECK(again == row->part);
  return 0;
}
