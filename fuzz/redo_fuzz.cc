// rooms: storage
// A redo file of the store, as a crash or a bad disk may have left it.
#include <cstdint>

#include "base/check.h"
#include "storage/redo_file.h"

using rekey::storage::RedoGroup;
using rekey::storage::RedoGroupMaker;
using rekey::storage::RedoRow;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint64_t kTag = 0x5265646f;  // the seeds'
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)rekey::storage::redo_tag(bytes);
  for (const RedoGroup& group : rekey::storage::parse_redo_file(bytes, kTag)) {
    // What is a group can be written again, and is the same group then.
    RedoGroupMaker maker;
    maker.begin();
    for (const RedoRow& row : group.rows) maker.add(row);
    const auto again =
        rekey::storage::parse_redo_group(maker.finish(kTag, group.first, group.last), kTag);
    REKEY_CHECK(again && again->bytes == group.bytes && again->rows.size() == group.rows.size());
  }
  return 0;
}
