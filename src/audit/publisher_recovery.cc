// A publisher's start: from the write-ahead log and the tiles back to the tree, held against what
// was signed.
#include "audit/publisher.h"
#include "base/codec.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

std::unexpected<base::Error> damaged(std::string detail) {
  return fail(ErrorKind::kCorrupt, "the audit log is damaged", std::move(detail));
}

}  // namespace

// --- recovery ---

Result<void> Publisher::recover() {
  Result<std::optional<uint64_t>> oldest = wal_.open();
  if (!oldest) return base::forward(oldest);
  const uint64_t start = (oldest->value_or(0) + kTileWidth - 1) / kTileWidth * kTileWidth;
  Result<void> loaded = load_levels(start);
  if (!loaded) return loaded;
  Result<Wal::Recovered> replayed = wal_.replay(
      [&](uint64_t first_index, std::string_view payload, std::span<const Hash> leaves) {
        Work work{.group = std::make_unique<Group>()};
        Group& group = *work.group;
        group.first_index = first_index;
        uint64_t index = first_index;
        for (const Hash& leaf : leaves) {
          const std::string_view entry = payload.substr(2, entry_size(payload));
          payload.remove_prefix(2 + entry.size());
          // Entries below `start` are in full bundles that were synced.
          if (index++ < start) {
            ++group.first_index;
            continue;
          }
          group.add(entry);
          group.leaves.push_back(leaf);
        }
        return publish_group(work);
      });
  if (!replayed) return base::forward(replayed);
  if (replayed->end_index < start) {
    return damaged("the write-ahead log ends at entry " + std::to_string(replayed->end_index) +
                   " but its start says that there were " + std::to_string(start));
  }
  if (replayed->cut_bytes > 0) {
    operator_log_.info("audit", "cut an unfinished group that was never acknowledged",
                       {{"bytes", std::to_string(replayed->cut_bytes)},
                        {"entries", std::to_string(replayed->end_index)}});
  }
  Result<std::string> key = disk_.read(kKeyPath, kNoteBytesMax);
  if (key) {
    Result<VerifierKey> verifier = VerifierKey::parse(key->substr(0, key->find('\n')));
    if (!verifier || verifier->name != options_.origin) {
      return damaged("the file `key` is not this log's verifier key");
    }
    verifier_ = std::move(*verifier);
  } else if (key.error().kind() != ErrorKind::kNotFound) {
    return base::forward(key);
  }
  Result<void> checked = check_against_signed(kSignedPath);
  if (checked) checked = check_against_signed(kCheckpointPath);
  if (!checked) return checked;
  return sync_written();
}

// The hashes that partial tiles hold in a tree of `start` entries, a multiple of a tile's width,
// from the full tiles one level below.
Result<void> Publisher::load_levels(uint64_t start) {
  TileTree tree(disk_, start);
  for (unsigned level = 1; level < kTileLevelsMax; ++level) {
    const uint64_t hashes = start >> (level * kTileHeight);
    for (uint64_t i = hashes / kTileWidth * kTileWidth; i < hashes; ++i) {
      Result<std::vector<Hash>> tile = tree.tile(level - 1, i);
      if (!tile) {
        if (tile.error().kind() != ErrorKind::kNotFound) return base::forward(tile);
        return damaged(tile_path(level - 1, i) + " is missing");
      }
      levels_[level].push_back(complete_root(*tile));
    }
  }
  full_size_ = start;
  size_ = start;
  return {};
}

Result<void> Publisher::check_against_signed(const char* path) {
  Result<std::string> bytes = disk_.read(path, kNoteBytesMax);
  if (!bytes) {
    if (bytes.error().kind() == ErrorKind::kNotFound) return {};
    return base::forward(bytes);
  }
  const std::string name(path);
  if (!verifier_) return damaged("there is a signed checkpoint but no file `key`");
  Result<Note> note = parse_note(*bytes);
  if (!note || !verify_note(*note, *verifier_)) {
    return damaged("the signature of the file `" + name + "` is wrong");
  }
  Result<TreeHead> head = parse_tree_head(note->text);
  if (!head || head->origin != options_.origin) {
    return damaged("the file `" + name + "` is not a checkpoint of this log");
  }
  if (head->size > size()) {
    return damaged("truncated, or an older copy: a checkpoint over " + std::to_string(head->size) +
                   " entries was signed, but only " + std::to_string(size()) + " are there");
  }
  TileTree tree = this->tree();
  Result<Hash> root = tree_root(tree, head->size);
  if (!root && root.error().kind() == ErrorKind::kNotFound) {
    return damaged("tiles are missing: " + root.error().detail());
  }
  if (!root) return base::forward(root);
  if (*root != head->root) {
    return damaged("rewritten: the first " + std::to_string(head->size) +
                   " entries have another root than the checkpoint that was signed over them");
  }
  if (!checkpoint_ || checkpoint_->size < head->size) {
    checkpoint_ = Checkpoint{head->origin, head->size, head->root, std::move(*bytes)};
    status_.checkpoint_size = head->size;
  }
  return {};
}

}  // namespace rekey::audit
