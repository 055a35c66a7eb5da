// C2SP tlog-tiles: where tiles and entry bundles lie, how a bundle is cut into entries, and the
// tree as its files give it. Knows no write-ahead log. TileTree is used by one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "audit/disk.h"
#include "audit/merkle.h"
#include "base/error.h"

namespace rekey::audit {

inline constexpr unsigned kTileHeight = 8;
inline constexpr uint64_t kTileWidth = 256;
inline constexpr unsigned kTileLevelsMax = 8;  // 256^8 entries
inline constexpr size_t kTileBytesMax = kTileWidth * 32;
inline constexpr size_t kBundleBytesMax = kTileWidth * (2 + 65'535);

inline constexpr const char* kCheckpointPath = "log/checkpoint";

// "log/tile/0/x001/x234/067", with ".p/<width>" below 256.
std::string tile_path(unsigned level, uint64_t index, uint64_t width = kTileWidth);
std::string bundle_path(uint64_t index, uint64_t width = kTileWidth);
// The folder of a tile's partial forms: "....p".
std::string partials_path(const std::string& full_tile_path);

// How many hashes tile `index` of `level` has in a tree of `size` entries.
uint64_t tile_width(unsigned level, uint64_t index, uint64_t size);

// The length of the entry that `at` begins with, which two bytes, big-endian, say in front of it.
inline size_t entry_size(std::string_view at) {
  return static_cast<size_t>(static_cast<unsigned char>(at[0])) << 8 |
         static_cast<unsigned char>(at[1]);
}

// Calls visit(entry) for each entry of a bundle; false unless the bytes are exactly `count`
// entries, each of at least one byte. Stops early, and is true, when visit returns false.
template <class Visit>
bool visit_bundle(std::string_view bytes, uint64_t count, Visit visit) {
  for (uint64_t i = 0; i < count; ++i) {
    if (bytes.size() < 2) return false;
    const size_t size = entry_size(bytes);
    if (size == 0 || bytes.size() - 2 < size) return false;
    if (!visit(bytes.substr(2, size))) return true;
    bytes.remove_prefix(2 + size);
  }
  return bytes.empty();
}

// The hashes of a tile's bytes; kCorrupt unless there are exactly `width`.
base::Result<std::vector<Hash>> parse_tile(std::string_view bytes, uint64_t width);
void append_hashes(std::span<const Hash> hashes, std::string& out);

// The tree of `size` entries by its tiles on disk. Keeps the tiles it has read: meant for one proof
// or one root, not for a walk over the log.
class TileTree final : public SubtreeSource {
 public:
  TileTree(const Disk& disk, uint64_t size) : disk_(disk), size_(size) {}
  base::Result<Hash> subtree(unsigned height, uint64_t index) override;
  // Hashes that are not on disk yet.
  void preload(unsigned level, uint64_t index, std::vector<Hash> hashes) {
    tiles_.insert_or_assign({level, index}, std::move(hashes));
  }
  // kNotFound: neither the full tile nor the partial one for this size is there.
  base::Result<std::vector<Hash>> tile(unsigned level, uint64_t index);

 private:
  const Disk& disk_;
  uint64_t size_;
  std::map<std::pair<unsigned, uint64_t>, std::vector<Hash>> tiles_;
};

// The bytes of bundle `index` in a log of `size` entries: the full file, or the partial one for
// this size, else the full one that grew out of it. `width` becomes the number of entries in what
// is given.
base::Result<std::string> read_bundle(const Disk& disk, uint64_t index, uint64_t size,
                                      uint64_t& width);

}  // namespace rekey::audit
