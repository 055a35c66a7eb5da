// A record in memory, for tests of what reads records: whole, or with a bundle that was taken away
// or altered. Counts the reads.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "audit/entry_source.h"
#include "audit/index_builder.h"
#include "audit/index_run.h"
#include "audit/merkle.h"

namespace rekey::audit {

class VectorSource final : public EntrySource {
 public:
  std::string log_id() const override { return std::string(kIndexLogIdBytes, 'L'); }
  uint64_t size() const override { return entries.size(); }
  base::Result<uint64_t> read(uint64_t from, size_t limit, const Visit& visit) const override {
    ++reads;
    if (from / kIndexBlockEntries == gone_block) {
      return base::fail(base::ErrorKind::kNotFound, "gone");
    }
    for (; limit > 0 && from < entries.size(); --limit, ++from) {
      if (!visit(from, entries[from])) return from + 1;
    }
    return from;
  }
  base::Result<std::vector<Hash>> leaves(uint64_t bundle) const override {
    std::vector<Hash> out;
    for (uint64_t i = bundle * 256; i < std::min<uint64_t>(entries.size(), bundle * 256 + 256); ++i)
      out.push_back(leaf_hash(entries[i]));
    if (bundle == altered_block) out[0] = {};
    return out;
  }
  std::vector<std::string> entries;
  uint64_t gone_block = UINT64_MAX;
  uint64_t altered_block = UINT64_MAX;
  mutable uint64_t reads = 0;
};

}  // namespace rekey::audit
