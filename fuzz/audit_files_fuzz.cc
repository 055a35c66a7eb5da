// rooms: base crypto audit
// What lies on disk: a write-ahead log's segment, a bundle, a tile. Storage is not trusted: any
// bytes must give an answer.
#include <cstdint>
#include <string_view>

#include "audit/disk.h"
#include "audit/tiles.h"
#include "audit/wal.h"
#include "base/check.h"

namespace rekey::audit {
namespace {

constexpr size_t kSegmentBytes = 16 * kBlockBytes;

// The bytes lie behind a good segment header, as after a crash or a bit that flipped.
void read_segment(std::string_view bytes) {
  auto disk = make_memory_disk(1 << 20);
  const Wal::Options options{
      .log_id = "0123456789abcdef", .segment_bytes = kSegmentBytes, .segments_max = 2};
  Group first;
  first.add("x");
  first.leaves.push_back(leaf_hash("x"));
  {
    Wal wal(*disk, options);
    (void)wal.open();
    (void)wal.replay([](auto, auto, auto) -> base::Result<void> { return {}; });
    REKEY_CHECK(wal.write(first).has_value());
  }
  AlignedBuffer blocks(kSegmentBytes - kBlockBytes);
  bytes.copy(blocks.data(), blocks.size());
  auto file = disk->open_blocks("wal/0");
  REKEY_CHECK(file.has_value());
  REKEY_CHECK((*file)->write(kBlockBytes, {blocks.data(), blocks.size()}).has_value());
  Wal wal(*disk, options);
  REKEY_CHECK(wal.open().has_value());
  uint64_t entries = 0;
  const auto read =
      wal.replay([&](uint64_t index, std::string_view, auto leaves) -> base::Result<void> {
        REKEY_CHECK(index == entries);
        entries += leaves.size();
        return {};
      });
  if (read) REKEY_CHECK(read->end_index == entries);
}

}  // namespace
}  // namespace rekey::audit

using rekey::audit::Hash;
using rekey::audit::kTileWidth;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;  // `data` is null then
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  size_t seen = 0;
  const bool whole = rekey::audit::visit_bundle(bytes, kTileWidth, [&](std::string_view entry) {
    seen += 2 + entry.size();
    return true;
  });
  REKEY_CHECK(seen <= bytes.size());
  if (whole) REKEY_CHECK(seen == bytes.size());
  (void)rekey::audit::parse_tile(bytes, bytes.size() / sizeof(Hash));
  rekey::audit::read_segment(bytes);
  return 0;
}
