#include "audit/entry_source.h"

#include "audit/note.h"
#include "audit/tiles.h"
#include "audit/wal.h"
#include "base/codec.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr size_t kFormatBytesMax = 4096;

}  // namespace

Result<std::string> EntrySource::entry(uint64_t index) const {
  std::string found;
  Result<uint64_t> next = read(index, 1, [&](uint64_t, std::string_view entry) {
    found = entry;
    return true;
  });
  if (!next) return base::forward(next);
  if (found.empty()) return fail(ErrorKind::kNotFound, "the audit log has no such entry");
  return found;
}

Result<std::unique_ptr<FolderSource>> FolderSource::open(const std::string& directory,
                                                         const std::string& archive) {
  Result<std::unique_ptr<Disk>> disk = open_posix_disk_for_reading(directory);
  if (!disk) return base::forward(disk);
  std::unique_ptr<FolderSource> source(new FolderSource(std::move(*disk)));
  if (!archive.empty()) {
    Result<std::unique_ptr<Disk>> more = open_posix_disk_for_reading(archive);
    if (!more) return base::forward(more);
    source->archive_ = std::move(*more);
  }
  Result<void> read = source->read_head();
  if (!read) return base::forward(read);
  source->read_tail();
  return source;
}

Result<void> FolderSource::read_head() {
  Result<std::string> format = disk_->read("format", kFormatBytesMax);
  if (format) {
    const size_t line = format->find('\n');
    if (line != format->npos) {
      Result<std::string> id = base::hex_decode(format->substr(line + 1, 2 * kLogIdBytes));
      if (id && id->size() == kLogIdBytes) log_id_ = std::move(*id);
    }
  }
  Result<std::string> bytes = disk_->read(kCheckpointPath, kNoteBytesMax);
  if (!bytes) {
    const bool is_log = !log_id_.empty() && bytes.error().kind() == ErrorKind::kNotFound;
    if (is_log) return {};
    return fail(ErrorKind::kNotFound, "no audit log is there: it has neither format nor checkpoint",
                bytes.error().detail());
  }
  Result<Note> note = parse_note(*bytes);
  Result<TreeHead> head =
      note ? parse_tree_head(note->text) : Result<TreeHead>(base::forward(note));
  if (!head) return base::forward(head);
  signed_size_ = head->size;
  checkpoint_ = std::move(*bytes);
  return {};
}

// What is behind the checkpoint is in full bundles or in the write-ahead log. If the latter can't
// be read (it is being written, or isn't there), the log ends at the checkpoint here.
void FolderSource::read_tail() {
  const uint64_t from = signed_size_ / kTileWidth * kTileWidth;
  tail_first_ = signed_size_;
  if (log_id_.empty()) return;
  Wal wal(*disk_, {.log_id = log_id_, .segment_bytes = 0, .segments_max = kWalSlotsMax});
  Result<std::optional<uint64_t>> opened = wal.open();
  if (!opened || !*opened) return;
  bool begun = false;
  (void)wal.replay(
      [&](uint64_t first, std::string_view payload, std::span<const Hash> leaves) -> Result<void> {
        uint64_t index = first;
        visit_bundle(payload, leaves.size(), [&](std::string_view entry) {
          if (index >= from && !begun) tail_first_ = index, begun = true;
          if (begun) tail_.emplace_back(entry);
          ++index;
          return true;
        });
        return {};
      });
  if (size() < signed_size_) tail_first_ = signed_size_, tail_.clear();
}

Result<uint64_t> FolderSource::read(uint64_t from, size_t limit, const Visit& visit) const {
  while (limit > 0 && from < size()) {
    if (from >= tail_first_) {
      const bool go_on = visit(from, tail_[from - tail_first_]);
      ++from, --limit;
      if (!go_on) break;
      continue;
    }
    const uint64_t bundle = from / kTileWidth;
    uint64_t width = kTileWidth;
    Result<std::string> bytes = disk_->read(bundle_path(bundle), kBundleBytesMax);
    if (!bytes && bytes.error().kind() == ErrorKind::kNotFound) {
      bytes = read_bundle(*disk_, bundle, signed_size_, width);
    }
    if (!bytes && bytes.error().kind() == ErrorKind::kNotFound && archive_) {
      bytes = archive_->read(bundle_path(bundle), kBundleBytesMax);
      width = kTileWidth;
    }
    if (!bytes) return base::forward(bytes);
    uint64_t index = bundle * kTileWidth;
    bool stopped = false;
    const uint64_t before = from;
    const bool whole = visit_bundle(*bytes, width, [&](std::string_view entry) {
      if (index++ < from) return true;
      if (from >= tail_first_) return false;
      ++from;
      stopped = !visit(index - 1, entry) || --limit == 0;
      return !stopped;
    });
    if (!whole || from == before) {
      return fail(ErrorKind::kCorrupt, "the audit log is damaged",
                  bundle_path(bundle) + " is not a bundle of entries");
    }
    if (stopped) break;
  }
  return from;
}

Result<std::vector<Hash>> FolderSource::leaves(uint64_t bundle) const {
  if (tile_width(0, bundle, signed_size_) == 0) return std::vector<Hash>();
  return TileTree(*disk_, signed_size_).tile(0, bundle);
}

}  // namespace rekey::audit
