#include "audit/tiles.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/check.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

void append_index(uint64_t index, std::string& out) {
  char group[8];
  std::string tail;
  std::snprintf(group, sizeof(group), "%03u", static_cast<unsigned>(index % 1000));
  tail = group;
  for (index /= 1000; index > 0; index /= 1000) {
    std::snprintf(group, sizeof(group), "x%03u/", static_cast<unsigned>(index % 1000));
    tail.insert(0, group);
  }
  out += tail;
}

std::string with_width(std::string path, uint64_t width) {
  if (width < kTileWidth) path += ".p/" + std::to_string(width);
  return path;
}

// Shift that is zero, not undefined, from 64 on.
uint64_t shift_right(uint64_t value, unsigned by) { return by < 64 ? value >> by : 0; }

}  // namespace

std::string tile_path(unsigned level, uint64_t index, uint64_t width) {
  std::string path = "log/tile/" + std::to_string(level) + "/";
  append_index(index, path);
  return with_width(std::move(path), width);
}

std::string bundle_path(uint64_t index, uint64_t width) {
  std::string path = "log/tile/entries/";
  append_index(index, path);
  return with_width(std::move(path), width);
}

std::string partials_path(const std::string& full_tile_path) { return full_tile_path + ".p"; }

uint64_t tile_width(unsigned level, uint64_t index, uint64_t size) {
  const uint64_t hashes = shift_right(size, level * kTileHeight);
  const uint64_t start = index * kTileWidth;
  return hashes <= start ? 0 : std::min(kTileWidth, hashes - start);
}

Result<std::vector<Hash>> parse_tile(std::string_view bytes, uint64_t width) {
  if (bytes.size() != width * sizeof(Hash)) {
    return fail(ErrorKind::kCorrupt, "a tile of the audit log has a wrong size");
  }
  std::vector<Hash> hashes(width);
  std::memcpy(hashes.data(), bytes.data(), bytes.size());
  return hashes;
}

void append_hashes(std::span<const Hash> hashes, std::string& out) {
  out.append(reinterpret_cast<const char*>(hashes.data()), hashes.size() * sizeof(Hash));
}

Result<std::vector<Hash>> TileTree::tile(unsigned level, uint64_t index) {
  const auto known = tiles_.find({level, index});
  if (known != tiles_.end()) return known->second;
  const uint64_t width = tile_width(level, index, size_);
  if (width == 0) return fail(ErrorKind::kNotFound, "the tree has no such tile");
  std::string path = tile_path(level, index, width);
  Result<std::string> bytes = disk_.read(path, kTileBytesMax);
  uint64_t found_width = width;
  if (!bytes && bytes.error().kind() == ErrorKind::kNotFound && width < kTileWidth) {
    // Partial tiles go once the full one is there.
    path = tile_path(level, index);
    bytes = disk_.read(path, kTileBytesMax);
    found_width = kTileWidth;
  }
  if (!bytes) return base::forward(bytes);
  Result<std::vector<Hash>> hashes = parse_tile(*bytes, found_width);
  if (!hashes) return fail(ErrorKind::kCorrupt, "a tile of the audit log has a wrong size", path);
  hashes->resize(width);
  tiles_.emplace(std::pair(level, index), *hashes);
  return hashes;
}

Result<Hash> TileTree::subtree(unsigned height, uint64_t index) {
  const unsigned level = height / kTileHeight;
  const unsigned inside = height % kTileHeight;
  const uint64_t first = index << inside;  // in hashes of that level
  Result<std::vector<Hash>> hashes = tile(level, first / kTileWidth);
  if (!hashes) return base::forward(hashes);
  const uint64_t at = first % kTileWidth, count = uint64_t{1} << inside;
  if (at + count > hashes->size()) return fail(ErrorKind::kNotFound, "the tree has no such node");
  return complete_root(std::span(*hashes).subspan(at, count));
}

Result<std::string> read_bundle(const Disk& disk, uint64_t index, uint64_t size, uint64_t& width) {
  width = tile_width(0, index, size);
  if (width == 0) return fail(ErrorKind::kNotFound, "the log has no such entry");
  Result<std::string> bytes = disk.read(bundle_path(index, width), kBundleBytesMax);
  if (bytes || width == kTileWidth || bytes.error().kind() != ErrorKind::kNotFound) return bytes;
  bytes = disk.read(bundle_path(index), kBundleBytesMax);
  if (bytes) width = kTileWidth;
  return bytes;
}

}  // namespace rekey::audit
