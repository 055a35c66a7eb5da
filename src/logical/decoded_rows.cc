#include "logical/decoded_rows.h"

#include <functional>

namespace rekey::logical {

DecodedRows::Set& DecodedRows::set_of(std::string_view key) {
  return sets_[std::hash<std::string_view>{}(key) % kDecodedSets];
}

std::shared_ptr<DecodedRow> DecodedRows::find(std::string_view key, storage::Revision revision) {
  for (Slot& slot : set_of(key).slots) {
    if (slot.key != key) continue;
    return slot.revision == revision ? slot.row : nullptr;
  }
  return nullptr;
}

void DecodedRows::keep(std::string_view key, storage::Revision revision,
                       std::shared_ptr<DecodedRow> row) {
  Set& set = set_of(key);
  for (Slot& slot : set.slots) {
    if (slot.key != key) continue;
    slot.revision = revision;
    slot.row = std::move(row);
    return;
  }
  set.slots[set.next] = {std::string(key), revision, std::move(row)};
  set.next = (set.next + 1) % kDecodedInSet;
}

void DecodedRows::drop(std::string_view key) {
  for (Slot& slot : set_of(key).slots) {
    if (slot.key == key) slot = Slot{};
  }
}

void DecodedRows::clear() { sets_ = {}; }

}  // namespace rekey::logical
