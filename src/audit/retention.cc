#include "audit/retention.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "audit/entry_scan.h"
#include "audit/tiles.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr std::string_view kKeptName = "rekey-audit-kept 1\n";
constexpr size_t kKeptBytesMax = 128;

Result<std::string> checked_bundle(const Disk& disk, TileTree& tree, uint64_t bundle) {
  Result<std::string> bytes = disk.read(bundle_path(bundle), kBundleBytesMax);
  if (!bytes) return bytes;
  Result<std::vector<Hash>> leaves = tree.tile(0, bundle);
  if (!leaves) return base::forward(leaves);
  size_t at = 0;
  bool same = true;
  const bool whole = visit_bundle(*bytes, kTileWidth, [&](std::string_view entry) {
    same = same && leaf_hash(entry) == (*leaves)[at++];
    return true;
  });
  if (!whole || !same || leaves->size() != kTileWidth) {
    return fail(ErrorKind::kCorrupt, "the audit log is damaged",
                bundle_path(bundle) + " isn't what the tree says");
  }
  return bytes;
}

// Bundles [first, end): into the archive, synced there; then `kept` says that they are out; then
// they go. A crash in between leaves them in both places, or still in the log.
Result<void> retire_bundles(Disk& disk, Disk* archive, TileTree tree, uint64_t first, uint64_t end,
                            Retired& retired) {
  std::vector<std::string> paths;
  for (uint64_t bundle = first; bundle < end; ++bundle) {
    Result<std::string> bytes = checked_bundle(disk, tree, bundle);
    if (!bytes) return base::forward(bytes);
    paths.push_back(bundle_path(bundle));
    retired.bytes += bytes->size();
    if (archive == nullptr) continue;
    Result<void> written = archive->write(paths.back(), *bytes);
    if (!written) return written;
  }
  if (archive != nullptr) {
    Result<void> synced = archive->sync(paths);
    if (!synced) return synced;
  }
  Result<void> noted =
      disk.replace(kKeptPath, std::string(kKeptName) + std::to_string(end * kTileWidth) + "\n");
  if (!noted) return noted;
  for (const std::string& path : paths) {
    Result<void> removed = disk.remove(path);
    if (!removed) return removed;
  }
  retired.entries += (end - first) * kTileWidth;
  return {};
}

}  // namespace

Result<uint64_t> first_kept_entry(const Disk& disk) {
  Result<std::string> text = disk.read(kKeptPath, kKeptBytesMax);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return uint64_t{0};
  if (!text) return base::forward(text);
  uint64_t first = 0;
  const char* end = text->data() + text->size();
  const bool shaped = text->starts_with(kKeptName) && text->ends_with('\n');
  const auto read = shaped ? std::from_chars(text->data() + kKeptName.size(), end - 1, first)
                           : std::from_chars_result{nullptr, std::errc::invalid_argument};
  if (read.ec != std::errc() || read.ptr != end - 1 || first % kTileWidth != 0) {
    return fail(ErrorKind::kCorrupt, "the audit log is damaged", "the file `kept` is damaged");
  }
  return first;
}

Result<Retired> retire_entries(Disk& disk, Disk* archive, uint64_t signed_size, uint64_t below) {
  Result<uint64_t> kept = first_kept_entry(disk);
  if (!kept) return base::forward(kept);
  Retired retired;
  retired.first_kept = *kept;
  const uint64_t end = std::min(below, signed_size) / kTileWidth;
  uint64_t first = *kept / kTileWidth;
  // What a crash kept from being removed.
  for (uint64_t bundle = first - std::min(first, kRetireBundlesAtOnce); bundle < first; ++bundle) {
    Result<void> removed = disk.remove(bundle_path(bundle));
    if (!removed) return base::forward(removed);
  }
  while (first < end) {
    const uint64_t next = std::min(end, first + kRetireBundlesAtOnce);
    Result<void> done =
        retire_bundles(disk, archive, TileTree(disk, signed_size), first, next, retired);
    if (!done) return base::forward(done);
    first = next;
    retired.first_kept = first * kTileWidth;
  }
  return retired;
}

Result<uint64_t> entries_before(const Disk& disk, uint64_t signed_size, base::WallTime time) {
  Result<uint64_t> kept = first_kept_entry(disk);
  if (!kept) return kept;
  uint64_t bundle = *kept / kTileWidth;
  const int64_t limit_ns = time.time_since_epoch().count();
  EntryScanner scanner;
  for (; bundle < signed_size / kTileWidth; ++bundle) {
    Result<std::string> bytes = disk.read(bundle_path(bundle), kBundleBytesMax);
    if (!bytes) return base::forward(bytes);
    bool older = true;
    (void)visit_bundle(*bytes, kTileWidth, [&](std::string_view entry) {
      older = scanner.scan(entry) && scanner.found().time_ns < limit_ns;
      return older;
    });
    if (!older) break;
  }
  return bundle * kTileWidth;
}

}  // namespace rekey::audit
