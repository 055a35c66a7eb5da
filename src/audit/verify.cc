#include "audit/verify.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

#include "audit/publisher.h"
#include "audit/retention.h"
#include "audit/tiles.h"
#include "audit/wal.h"
#include "base/codec.h"

namespace rekey::audit {

using base::ErrorKind;
using base::Result;

namespace {

constexpr uint64_t kBundlesAtOnce = 64;  // what a thread takes

std::string entry_place(uint64_t index) { return "entry " + std::to_string(index); }

// Root over hashes of complete subtrees, by folding equal neighbours from the left: no code in
// common with merkle.cc's recursion.
class RootFold {
 public:
  void add(const Hash& hash, unsigned height) {
    stack_.push_back({hash, height});
    while (stack_.size() >= 2 && stack_.back().height == stack_[stack_.size() - 2].height) {
      const Node right = stack_.back();
      stack_.pop_back();
      stack_.back() = {node_hash(stack_.back().hash, right.hash), right.height + 1};
    }
  }
  Hash root() const {
    if (stack_.empty()) return empty_root();
    Hash hash = stack_.back().hash;
    for (size_t i = stack_.size() - 1; i-- > 0;) hash = node_hash(stack_[i].hash, hash);
    return hash;
  }

 private:
  struct Node {
    Hash hash;
    unsigned height;
  };
  std::vector<Node> stack_;
};

Hash fold_root(std::span<const Hash> hashes) {
  RootFold fold;
  for (const Hash& hash : hashes) fold.add(hash, 0);
  return fold.root();
}

class Verifier {
 public:
  Verifier(Disk& disk, const VerifyOptions& options) : disk_(disk), options_(options) {}

  Result<VerifyReport> run() {
    Result<bool> begun = read_checkpoint();
    if (!begun) return base::forward(begun);
    if (*begun) {
      read_kept();
      check_upper_tiles();
      check_entries();
      check_root();
      for (const std::string& note : options_.kept_checkpoints) check_kept(note);
    }
    check_wal();
    std::ranges::sort(found_, [](const Found& a, const Found& b) {
      return std::tie(a.order, a.finding.place) < std::tie(b.order, b.finding.place);
    });
    for (Found& found : found_) report_.findings.push_back(std::move(found.finding));
    return std::move(report_);
  }

 private:
  struct Found {
    uint64_t order;  // first entry concerned
    VerifyFinding finding;
  };

  void find(uint64_t order, std::string place, std::string problem) {
    std::lock_guard lock(mutex_);
    if (found_.size() >= kVerifyFindingsMax) {
      ++report_.findings_left_out;
      return;
    }
    found_.push_back({order, {std::move(place), std::move(problem)}});
  }

  // --- checkpoint ---

  // The newest head that is signed; nothing if no checkpoint was ever signed.
  Result<bool> read_checkpoint() {
    Result<bool> has_key = choose_key();
    if (!has_key) return has_key;
    std::optional<TreeHead> best;
    for (const char* path : {kCheckpointPath, kSignedPath}) {
      Result<std::string> bytes = disk_.read(path, kNoteBytesMax);
      if (!bytes && bytes.error().kind() == ErrorKind::kNotFound) continue;
      if (!bytes) return base::forward(bytes);
      std::optional<TreeHead> head = check_note(path, *bytes);
      if (head && (!best || head->size > best->size)) best = std::move(head);
    }
    if (!best) {
      if (*has_key && found_.empty()) {
        find(0, kCheckpointPath, "there is no checkpoint, though the log has a key");
      }
      return false;
    }
    head_ = std::move(*best);
    report_.origin = head_.origin;
    report_.size = head_.size;
    report_.root = head_.root;
    return true;
  }

  Result<bool> choose_key() {
    if (options_.key) {
      key_ = options_.key;
    } else {
      Result<std::string> text = disk_.read(kKeyPath, kNoteBytesMax);
      if (!text && text.error().kind() == ErrorKind::kNotFound) return false;
      if (!text) return base::forward(text);
      Result<VerifierKey> key = VerifierKey::parse(text->substr(0, text->find('\n')));
      if (!key) {
        find(0, kKeyPath, "is not a verifier key");
        return false;
      }
      key_ = std::move(*key);
      report_.own_key = true;
    }
    report_.verifier_key = key_->text();
    return true;
  }

  std::optional<TreeHead> check_note(const std::string& place, std::string_view bytes) {
    Result<Note> note = parse_note(bytes);
    if (!note) {
      find(0, place, "is not a signed note: " + note.error().message());
      return std::nullopt;
    }
    if (!key_ || !verify_note(*note, *key_)) {
      find(0, place, "is not signed by the log's key");
      return std::nullopt;
    }
    Result<TreeHead> head = parse_tree_head(note->text);
    if (!head || head->origin != key_->name) {
      find(0, place, "is not a checkpoint of this log");
      return std::nullopt;
    }
    return std::move(*head);
  }

  // --- tiles ---

  // Nothing if it can't be read as a tile of its width; then that is a finding.
  std::optional<std::vector<Hash>> read_tile(unsigned level, uint64_t index, bool report) {
    const uint64_t width = tile_width(level, index, head_.size);
    const uint64_t first_entry = index << (kTileHeight * (level + 1));
    std::string path = tile_path(level, index, width);
    Result<std::string> bytes = disk_.read(path, kTileBytesMax);
    uint64_t found_width = width;
    if (!bytes && width < kTileWidth) {
      bytes = disk_.read(tile_path(level, index), kTileBytesMax);
      found_width = kTileWidth;
    }
    if (!bytes) {
      if (report) find(first_entry, path, "is missing: " + bytes.error().detail());
      return std::nullopt;
    }
    Result<std::vector<Hash>> hashes = parse_tile(*bytes, found_width);
    if (!hashes) {
      if (report) find(first_entry, path, "has " + std::to_string(bytes->size()) + " bytes");
      return std::nullopt;
    }
    hashes->resize(width);
    return std::move(*hashes);
  }

  // Retention says which entries it took out. Whoever forges that hides nothing: their number is in
  // the report, and their hashes are in the tree.
  void read_kept() {
    Result<uint64_t> kept = first_kept_entry(disk_);
    if (kept) {
      first_kept_ = *kept;
    } else {
      find(0, kKeptPath, "is damaged");
    }
    if (first_kept_ > head_.size) find(0, kKeptPath, "says that signed entries were taken out");
  }

  // Every full tile from level 1 on must have the root that the tile above says. Level 0 is checked
  // together with its entries.
  void check_upper_tiles() {
    for (unsigned level = 1; level + 1 < kTileLevelsMax; ++level) {
      const uint64_t full_tiles = head_.size >> (kTileHeight * (level + 1));
      std::optional<std::vector<Hash>> above;
      for (uint64_t index = 0; index < full_tiles; ++index) {
        if (index % kTileWidth == 0) above = read_tile(level + 1, index / kTileWidth, true);
        const std::optional<std::vector<Hash>> tile = read_tile(level, index, true);
        if (!tile || !above) continue;
        if (fold_root(*tile) != (*above)[index % kTileWidth]) {
          find(index << (kTileHeight * (level + 1)), tile_path(level, index),
               "was altered: it has another root than the tile above says");
        }
      }
    }
  }

  // The partial tile of each level holds the tree's right edge; together they give the root.
  void check_root() {
    RootFold fold;
    for (unsigned level = kTileLevelsMax; level-- > 0;) {
      const uint64_t hashes = level * kTileHeight < 64 ? head_.size >> (level * kTileHeight) : 0;
      if (hashes % kTileWidth == 0) continue;
      const std::optional<std::vector<Hash>> tile =
          read_tile(level, hashes / kTileWidth, level > 0);
      if (!tile) return;  // reported
      for (const Hash& hash : *tile) fold.add(hash, level * kTileHeight);
    }
    if (fold.root() != head_.root) {
      find(head_.size, kCheckpointPath,
           "the tiles have another root than the one signed over " + std::to_string(head_.size) +
               " entries: tiles at the right edge were altered, or the history was rewritten");
    }
  }

  // --- entries ---

  void check_entries() {
    const uint64_t bundles = (head_.size + kTileWidth - 1) / kTileWidth;
    std::atomic<uint64_t> next{0};
    const auto work = [&] {
      uint64_t above_index = UINT64_MAX;
      std::optional<std::vector<Hash>> above;
      uint64_t entries = 0, bytes = 0;
      while (true) {
        const uint64_t begin = next.fetch_add(kBundlesAtOnce);
        if (begin >= bundles) break;
        const uint64_t end = std::min(begin + kBundlesAtOnce, bundles);
        for (uint64_t bundle = begin; bundle < end; ++bundle) {
          if (bundle / kTileWidth != above_index &&
              tile_width(0, bundle, head_.size) == kTileWidth) {
            above_index = bundle / kTileWidth;
            above = read_tile(1, above_index, bundle % kTileWidth == 0);
          }
          check_bundle(bundle, above, entries, bytes);
        }
      }
      std::lock_guard lock(mutex_);
      report_.entries_checked += entries;
      report_.entry_bytes += bytes;
    };
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < options_.threads; ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
  }

  void check_bundle(uint64_t bundle, const std::optional<std::vector<Hash>>& above,
                    uint64_t& entries, uint64_t& entry_bytes) {
    const uint64_t first = bundle * kTileWidth;
    const uint64_t width = tile_width(0, bundle, head_.size);
    const std::optional<std::vector<Hash>> tile = read_tile(0, bundle, true);
    // A full tile is true if the tile above says so; a partial one is covered by the root.
    bool tile_true = tile.has_value();
    if (tile && width == kTileWidth && above && fold_root(*tile) != (*above)[bundle % kTileWidth]) {
      find(first, tile_path(0, bundle),
           "was altered: it has another root than the tile above says");
      tile_true = false;
    }
    uint64_t found_width = 0;
    Result<std::string> bytes = read_bundle(disk_, bundle, head_.size, found_width);
    if (!bytes && first < first_kept_) {
      if (options_.archive != nullptr) {
        bytes = options_.archive->read(bundle_path(bundle), kBundleBytesMax);
        found_width = kTileWidth;
      }
      if (!bytes && options_.archive == nullptr) {
        std::lock_guard lock(mutex_);
        report_.entries_taken_out += width;
        return;
      }
    }
    if (!bytes) {
      find(first, bundle_path(bundle, width),
           "is missing: " + entry_place(first) + " to " + std::to_string(first + width - 1));
      return;
    }
    std::vector<Hash> leaves;
    leaves.reserve(found_width + 1);
    size_t used = 0;
    // One more than there should be, so that an entry that was put in shows.
    (void)visit_bundle(*bytes, found_width + 1, [&](std::string_view entry) {
      leaves.push_back(leaf_hash(entry));
      used += 2 + entry.size();
      return true;
    });
    entries += std::min<uint64_t>(leaves.size(), width);
    entry_bytes += used;
    if (!tile_true) return report_alone(bundle, leaves, above);
    if (used != bytes->size() || leaves.size() != found_width) {
      find(first + std::min<uint64_t>(leaves.size(), width), bundle_path(bundle, width),
           "holds " + std::to_string(leaves.size()) + " entries where " +
               std::to_string(found_width) + " belong, or bytes that are no entry");
    }
    compare(first, leaves, *tile);
  }

  // The tile is no help: do the entries at least agree with the tile above?
  void report_alone(uint64_t bundle, const std::vector<Hash>& leaves,
                    const std::optional<std::vector<Hash>>& above) {
    const uint64_t first = bundle * kTileWidth;
    const bool whole = leaves.size() == kTileWidth && above;
    if (whole && fold_root(leaves) == (*above)[bundle % kTileWidth])
      return;  // only the tile is bad
    find(first, bundle_path(bundle, tile_width(0, bundle, head_.size)),
         "can't be checked entry by entry because the tile is bad, and doesn't agree with the tile "
         "above");
  }

  // Says what happened to the entries of one bundle, given the true leaf hashes.
  void compare(uint64_t first, std::vector<Hash>& leaves, const std::vector<Hash>& truth) {
    if (leaves.size() == truth.size() && leaves == truth) return;
    if (leaves.size() > truth.size() && std::equal(truth.begin(), truth.end(), leaves.begin())) {
      return;  // a full bundle that grew out of a partial one
    }
    std::map<Hash, uint64_t> places;
    for (uint64_t i = 0; i < truth.size(); ++i) places.emplace(truth[i], i);
    size_t have = 0;
    for (size_t i = 0; i < truth.size(); ++i) {
      if (have < leaves.size() && leaves[have] == truth[i]) {
        ++have;
        continue;
      }
      if (have >= leaves.size() || (i + 1 < truth.size() && leaves[have] == truth[i + 1])) {
        find(first + i, entry_place(first + i), "was dropped");
        continue;
      }
      if (have + 1 < leaves.size() && leaves[have + 1] == truth[i] &&
          leaves.size() > truth.size()) {
        find(first + i, entry_place(first + i), "another entry was put in before it");
        have += 2;
        continue;
      }
      const auto moved = places.find(leaves[have]);
      find(first + i, entry_place(first + i),
           moved == places.end() ? "was rewritten"
                                 : "was replaced by " + entry_place(first + moved->second));
      ++have;
    }
  }

  // --- the rest ---

  void check_kept(const std::string& bytes) {
    std::optional<TreeHead> kept = check_note("kept checkpoint", bytes);
    if (!kept) return;
    ++report_.kept_checkpoints_checked;
    const std::string place = "kept checkpoint of size " + std::to_string(kept->size);
    if (kept->size > head_.size) {
      return find(head_.size, place,
                  "the log is smaller now: entries " + std::to_string(head_.size) + " to " +
                      std::to_string(kept->size - 1) + " are gone");
    }
    TileTree tree(disk_, head_.size);
    Result<Hash> root = tree_root(tree, kept->size);
    if (!root) return find(kept->size, place, "can't be checked: " + root.error().detail());
    if (*root != kept->root) {
      find(0, place,
           "the tree is another one now: two histories were signed, or entries below " +
               std::to_string(kept->size) + " were rewritten");
    }
  }

  // The private part, where it is there: a copy of log/ alone is fine too.
  void check_wal() {
    Result<std::string> format = disk_.read("format", 4096);
    if (!format) return;
    const size_t line = format->find('\n');
    Result<std::string> id = line == format->npos
                                 ? Result<std::string>(std::string())
                                 : base::hex_decode(format->substr(line + 1, 2 * kLogIdBytes));
    if (!id || id->size() != kLogIdBytes) return find(0, "format", "is damaged");
    Wal wal(disk_, {.log_id = *id, .segment_bytes = 0, .segments_max = kWalSlotsMax});
    Result<std::optional<uint64_t>> opened = wal.open();
    if (!opened) return find(head_.size, "wal", opened.error().detail());
    Result<Wal::Recovered> read = wal.replay(
        [&](uint64_t first, std::string_view, std::span<const Hash> leaves) -> Result<void> {
          check_wal_group(first, leaves);
          return {};
        });
    if (!read) return find(head_.size, "wal", read.error().detail());
    if (read->end_index < head_.size) {
      return find(read->end_index, "wal",
                  "ends before entry " + std::to_string(read->end_index) + ", but " +
                      std::to_string(head_.size) + " entries were signed");
    }
    report_.entries_behind_checkpoint = read->end_index - head_.size;
  }

  // What the write-ahead log says must be what the tiles say.
  void check_wal_group(uint64_t first, std::span<const Hash> leaves) {
    for (size_t i = 0; i < leaves.size() && first + i < head_.size; ++i) {
      const uint64_t index = first + i;
      if (index / kTileWidth != wal_tile_index_) {
        wal_tile_index_ = index / kTileWidth;
        wal_tile_ = read_tile(0, wal_tile_index_, false);
      }
      if (wal_tile_ && (*wal_tile_)[index % kTileWidth] != leaves[i]) {
        find(index, entry_place(index), "the write-ahead log has another entry than the tiles");
      }
    }
  }

  Disk& disk_;
  const VerifyOptions& options_;
  std::mutex mutex_;
  VerifyReport report_;
  std::vector<Found> found_;
  std::optional<VerifierKey> key_;
  TreeHead head_;
  uint64_t first_kept_ = 0;
  uint64_t wal_tile_index_ = UINT64_MAX;
  std::optional<std::vector<Hash>> wal_tile_;
};

}  // namespace

Result<VerifyReport> verify_log(Disk& disk, const VerifyOptions& options) {
  return Verifier(disk, options).run();
}

}  // namespace rekey::audit
