// Rows that engines have decoded (keys above all), so that a hot row is decrypted and parsed once
// and not for each request.
//
// There is one in each lane, used by that thread alone; what is in it goes when the lane forgets,
// which is part of sealing. An entry is only given out for the revision of its row that it was
// made from: whoever asks has looked that up in the request's own snapshot, so nothing is ever
// stale. Knows nothing of what the rows mean.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "storage/store.h"

namespace rekey::logical {

// What an engine keeps for a row. Engines can't see each other's: the keys are full names.
class DecodedRow {
 public:
  virtual ~DecodedRow() = default;
};

class DecodedRows {
 public:
  // Null where there is none of this revision. `key` is the row's full name in the store.
  std::shared_ptr<DecodedRow> find(std::string_view key, storage::Revision revision);
  // In place of what there was for this key, or of the oldest of its set.
  void keep(std::string_view key, storage::Revision revision, std::shared_ptr<DecodedRow> row);
  void drop(std::string_view key);
  void clear();

 private:
  static constexpr size_t kDecodedSets = 64;
  static constexpr size_t kDecodedInSet = 4;  // so 256 rows for each lane
  struct Slot {
    std::string key;
    storage::Revision revision = 0;
    std::shared_ptr<DecodedRow> row;
  };
  struct Set {
    std::array<Slot, kDecodedInSet> slots;
    size_t next = 0;  // the slot that was filled longest ago
  };
  Set& set_of(std::string_view key);

  std::array<Set, kDecodedSets> sets_;
};

}  // namespace rekey::logical
