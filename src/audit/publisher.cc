#include "audit/publisher.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/codec.h"
#include "base/thread.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

// Small groups are gathered this long or up to a bundle's worth before the publisher works: waking
// it for each group would cost the core that answers requests more than the work itself.
constexpr auto kGatherTime = std::chrono::milliseconds(25);
constexpr size_t kSpareGroupsMax = 4;
constexpr size_t kSpareGroupBytesMax = 1 << 20;

}  // namespace

Publisher::Publisher(Disk& disk, Wal& wal, Options options, const base::Clock& clock,
                     const base::Log& operator_log)
    : disk_(disk),
      wal_(wal),
      options_(std::move(options)),
      clock_(clock),
      operator_log_(operator_log),
      levels_(kTileLevelsMax) {}

// --- the thread ---

void Publisher::start() {
  thread_ = std::thread([this] { run(); });
}

void Publisher::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
  if (options_.stepped) round(true);
}

void Publisher::push(std::unique_ptr<Group> group) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    const bool was_small = queue_entries_ < kTileWidth;
    wake = queue_.empty();
    queue_entries_ += group->count;
    status_.queue_bytes += group->used;
    wake = wake || (was_small && queue_entries_ >= kTileWidth);
    queue_.push_back(Work{std::move(group)});
  }
  if (wake) work_.notify_one();
}

bool Publisher::wait_for_room(size_t bytes_max) {
  if (options_.stepped && status().queue_bytes >= bytes_max) step();
  std::unique_lock lock(mutex_);
  if (options_.stepped) return status_.queue_bytes < bytes_max;
  room_wanted_ = true;
  done_.wait(lock, [&] { return status_.queue_bytes < bytes_max || status_.failing; });
  room_wanted_ = false;
  return status_.queue_bytes < bytes_max;
}

std::unique_ptr<Group> Publisher::take_spare() {
  std::lock_guard lock(mutex_);
  if (spare_.empty()) return std::make_unique<Group>();
  std::unique_ptr<Group> group = std::move(spare_.back());
  spare_.pop_back();
  return group;
}

// Until there is something to do; false at the end.
bool Publisher::wait_for_work(std::unique_lock<std::mutex>& lock) {
  const auto asked = [&] { return stop_ || hurry_ || checkpoint_wanted_ > checkpoint_tried_; };
  if (status_.failing && !stop_) {
    work_.wait_for(lock, options_.retry_interval, [&] { return stop_; });
    return true;
  }
  if (queue_.empty()) {
    work_.wait_for(lock, time_to_checkpoint(), [&] { return asked() || !queue_.empty(); });
  }
  if (!queue_.empty()) {
    work_.wait_for(lock, kGatherTime, [&] { return asked() || queue_entries_ >= kTileWidth; });
  }
  return !stop_;
}

base::Duration Publisher::time_to_checkpoint() const {
  if (!last_checkpoint_time_) return {};
  const base::Duration passed = clock_.monotonic() - *last_checkpoint_time_;
  return std::max(base::Duration(), options_.checkpoint_interval - passed);
}

void Publisher::run() {
  base::begin_thread("record-publish", base::Urgency::kSoon);
  bool go_on = true;
  while (go_on) {
    {
      std::unique_lock lock(mutex_);
      go_on = wait_for_work(lock);
    }
    round(!go_on);
  }
}

// Publishes what is there; signs if it was asked to, if it is time, and the last time.
void Publisher::round(bool last) {
  uint64_t wanted = 0;
  bool can_sign = false, asked = false;
  {
    std::lock_guard lock(mutex_);
    wanted = checkpoint_wanted_;
    hurry_ = false;
    asked = checkpoint_wanted_ > checkpoint_tried_;
    can_sign = signer_.has_value();
  }
  Result<void> published = publish_queue();
  if (published && wal_.releasable(full_size_)) published = sync_written();
  if (published) (void)wal_.prepare_spare();  // if it can't, the commit thread will say so
  const bool due = time_to_checkpoint() == base::Duration() || last;
  if (due) last_checkpoint_time_ = clock_.monotonic();
  Result<Checkpoint> signed_now = fail(ErrorKind::kSealed, "the audit log has no signer");
  if (published && can_sign && (asked || due)) {
    signed_now = sign_checkpoint();
    // Sealed in the meantime is no failure.
    if (!signed_now && signed_now.error().kind() != ErrorKind::kSealed) {
      published = std::unexpected(signed_now.error());
    }
  } else if (!published) {
    signed_now = std::unexpected(published.error());
  }
  if (published && last) published = sync_written();
  {
    std::lock_guard lock(mutex_);
    if (published && !status_.stuck) status_.failing = false, status_.reason.clear();
    if (asked) {
      checkpoint_tried_ = wanted;
      checkpoint_error_.reset();
      if (!signed_now) checkpoint_error_ = signed_now.error();
    }
  }
  if (!published) note_failure(published.error());
  done_.notify_all();
}

void Publisher::note_failure(const base::Error& error) {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    first = !status_.failing;
    status_.failing = true;
    status_.reason = error.message() + ": " + error.detail();
  }
  if (first) {
    operator_log_.error("audit", "entries are durable but can't be published",
                        {{"reason", error.detail()}});
  }
}

// --- tiles ---

Result<void> Publisher::publish_queue() {
  while (true) {
    Work* work = nullptr;
    {
      std::lock_guard lock(mutex_);
      if (status_.stuck) return fail(ErrorKind::kUnavailable, status_.reason);
      if (queue_.empty()) return {};
      work = &queue_.front();  // stays in place: others only add at the back
    }
    Result<void> done = publish_group(*work);
    if (!done) return done;
    std::lock_guard lock(mutex_);
    std::unique_ptr<Group> group = std::move(work->group);
    queue_entries_ -= group->count;
    status_.queue_bytes -= group->used;
    queue_.pop_front();
    if (room_wanted_) done_.notify_all();
    if (spare_.size() < kSpareGroupsMax && group->buffer.size() <= kSpareGroupBytesMax) {
      group->used = kGroupHeaderBytes;
      group->count = 0;
      group->store_revision = 0;
      group->leaves.clear();
      spare_.push_back(std::move(group));
    }
  }
}

// Adds a group's entries up to the end of a bundle at a time. After a failure it goes on where it
// stopped when it is called again.
Result<void> Publisher::publish_group(Work& work) {
  const Group& group = *work.group;
  REKEY_CHECK(group.count == 0 || group.first_index + work.done == size());
  while (work.done < group.count || levels_[0].size() == kTileWidth) {
    if (levels_[0].size() == kTileWidth) {
      Result<void> finished = finish_tiles();
      if (!finished) return finished;
      continue;
    }
    const size_t room = kTileWidth - levels_[0].size();
    const uint32_t count = static_cast<uint32_t>(std::min<size_t>(room, group.count - work.done));
    const std::string_view payload = group.payload();
    size_t end = work.offset;
    for (uint32_t i = 0; i < count; ++i) end += 2 + entry_size(payload.substr(end));
    std::lock_guard lock(tail_mutex_);
    bundle_.append(payload.substr(work.offset, end - work.offset));
    const auto first = group.leaves.begin() + work.done;
    levels_[0].insert(levels_[0].end(), first, first + count);
    work.offset = end;
    work.done += count;
    size_.store(size() + count, std::memory_order_release);
  }
  return {};
}

// Writes the bundle and each tile that is full, lowest first, and moves their roots up.
Result<void> Publisher::finish_tiles() {
  Result<void> written = write_later_synced(bundle_path(full_size_ / kTileWidth), bundle_);
  if (!written) return written;
  // A level overflows only if the one below it does.
  std::vector<std::vector<Hash>> levels = levels_;
  uint64_t index = full_size_ / kTileWidth;
  for (unsigned level = 0; levels[level].size() == kTileWidth; ++level) {
    REKEY_CHECK(level + 1 < kTileLevelsMax);
    std::string bytes;
    append_hashes(levels[level], bytes);
    written = write_later_synced(tile_path(level, index), bytes);
    if (!written) return written;
    levels[level + 1].push_back(complete_root(levels[level]));
    levels[level].clear();
    index /= kTileWidth;
  }
  std::lock_guard lock(tail_mutex_);
  levels_ = std::move(levels);
  bundle_.clear();
  full_size_ += kTileWidth;
  return {};
}

Result<void> Publisher::write_later_synced(std::string path, std::string_view bytes) {
  Result<void> written = disk_.write(path, bytes);
  if (!written) return written;
  stale_partials_.push_back(partials_path(path));
  unsynced_.push_back(std::move(path));
  return {};
}

Result<void> Publisher::sync_written() {
  if (unsynced_.empty()) return {};
  Result<void> synced = disk_.sync(unsynced_);
  if (!synced) {
    // The kernel may have dropped the pages: a second sync that succeeds would prove nothing. The
    // write-ahead log still has the entries, and the next start writes the files again.
    std::lock_guard lock(mutex_);
    status_.stuck = true;
    return synced;
  }
  unsynced_.clear();
  for (const std::string& folder : stale_partials_) (void)disk_.remove(folder);
  stale_partials_.clear();
  wal_.release(full_size_);
  return {};
}

// --- checkpoints ---

Result<void> Publisher::write_partials() {
  const uint64_t size = this->size();
  const uint64_t bundle_width = size - full_size_;
  if (bundle_width > 0) {
    std::string path = bundle_path(full_size_ / kTileWidth, bundle_width);
    Result<void> written = disk_.write(path, bundle_);
    if (!written) return written;
    unsynced_.push_back(std::move(path));
  }
  for (unsigned level = 0; level < kTileLevelsMax; ++level) {
    if (levels_[level].empty()) continue;
    const uint64_t index = (size >> (level * kTileHeight)) / kTileWidth;
    std::string bytes;
    append_hashes(levels_[level], bytes);
    std::string path = tile_path(level, index, levels_[level].size());
    Result<void> written = disk_.write(path, bytes);
    if (!written) return written;
    unsynced_.push_back(std::move(path));
  }
  return sync_written();
}

// Signs what is published. The order matters: tiles, then `signed`, then the public checkpoint,
// each durable before the next, so that no crash leaves a public checkpoint that we wouldn't know
// of.
Result<Checkpoint> Publisher::sign_checkpoint() {
  {
    std::lock_guard lock(mutex_);
    if (checkpoint_ && checkpoint_->size == size()) return *checkpoint_;
  }
  Result<void> written = write_partials();
  if (!written) return base::forward(written);
  TileTree tree = this->tree();
  Result<Hash> root = tree_root(tree, size());
  if (!root) return base::forward(root);
  const TreeHead head{options_.origin, size(), *root};
  Checkpoint made{head.origin, head.size, head.root, {}};
  {
    std::lock_guard lock(mutex_);
    if (!signer_) return fail(ErrorKind::kSealed, "the audit log has no signer");
    made.note = sign_note(head.text(), *verifier_, *signer_);
  }
  Result<void> replaced = disk_.replace(kSignedPath, made.note);
  if (replaced) replaced = disk_.replace(kCheckpointPath, made.note);
  if (!replaced) return base::forward(replaced);
  std::lock_guard lock(mutex_);
  checkpoint_ = made;
  status_.checkpoint_size = made.size;
  return made;
}

Result<Checkpoint> Publisher::checkpoint(uint64_t size) {
  std::unique_lock lock(mutex_);
  if (checkpoint_ && checkpoint_->size >= size) return *checkpoint_;
  if (!signer_) return fail(ErrorKind::kSealed, "the audit log has no signer");
  if (stop_) return fail(ErrorKind::kUnavailable, "the audit log is closed");
  const uint64_t ticket = ++checkpoint_wanted_;
  work_.notify_one();
  if (options_.stepped) {
    lock.unlock();
    step();
    lock.lock();
  }
  done_.wait(lock, [&] { return checkpoint_tried_ >= ticket; });
  if (checkpoint_ && checkpoint_->size >= size) return *checkpoint_;
  if (checkpoint_error_) return std::unexpected(*checkpoint_error_);
  return fail(ErrorKind::kUnavailable, "the audit log is closed");
}

Result<Checkpoint> Publisher::last_checkpoint() const {
  std::lock_guard lock(mutex_);
  if (!checkpoint_) return fail(ErrorKind::kNotFound, "no checkpoint was signed yet");
  return *checkpoint_;
}

Result<void> Publisher::set_signer(crypto::Ed25519PrivateKey key) {
  Result<VerifierKey> verifier = VerifierKey::make(options_.origin, key.public_key());
  if (!verifier) return base::forward(verifier);
  {
    std::lock_guard lock(mutex_);
    if (verifier_ && verifier_->public_key != verifier->public_key) {
      return fail(ErrorKind::kPrecondition, "the audit log was signed with another key",
                  "verifier key on disk: " + verifier_->text());
    }
    if (verifier_) {
      signer_ = std::move(key);
      status_.can_sign = true;
      return {};
    }
  }
  Result<void> kept = disk_.replace(kKeyPath, verifier->text() + "\n");
  if (!kept) return kept;
  std::lock_guard lock(mutex_);
  verifier_ = std::move(*verifier);
  signer_ = std::move(key);
  status_.can_sign = true;
  return {};
}

void Publisher::clear_signer() {
  std::lock_guard lock(mutex_);
  signer_.reset();
  status_.can_sign = false;
}

std::string Publisher::verifier_key() const {
  std::lock_guard lock(mutex_);
  return verifier_ ? verifier_->text() : std::string();
}

Publisher::Status Publisher::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

// --- reading ---

void Publisher::hurry(uint64_t size, base::Duration patience) {
  std::unique_lock lock(mutex_);
  if (!thread_.joinable()) return;  // it is driven by steps
  hurry_ = true;
  work_.notify_all();
  done_.wait_for(lock, patience, [&] { return this->size() >= size || status_.failing || stop_; });
}

TileTree Publisher::tree() const {
  std::lock_guard lock(tail_mutex_);
  TileTree tree(disk_, size());
  for (unsigned level = 0; level < kTileLevelsMax; ++level) {
    if (levels_[level].empty()) continue;
    const uint64_t tile = (full_size_ >> (level * kTileHeight)) / kTileWidth;
    tree.preload(level, tile, levels_[level]);
  }
  return tree;
}

Result<uint64_t> Publisher::read(
    uint64_t from, size_t limit,
    const std::function<bool(uint64_t, std::string_view)>& visit) const {
  while (limit > 0 && from < size()) {
    const uint64_t bundle = from / kTileWidth;
    std::string bytes;
    uint64_t width = kTileWidth;
    bool in_memory = false;
    {
      std::lock_guard lock(tail_mutex_);
      in_memory = bundle * kTileWidth >= full_size_;
      if (in_memory) bytes = bundle_, width = levels_[0].size();
    }
    if (!in_memory) {
      Result<std::string> file = disk_.read(bundle_path(bundle), kBundleBytesMax);
      if (!file && file.error().kind() == ErrorKind::kNotFound) {
        return fail(ErrorKind::kNotFound, "the entry was taken out of the audit log by retention",
                    file.error().detail());
      }
      if (!file) return base::forward(file);
      bytes = std::move(*file);
    }
    uint64_t index = bundle * kTileWidth;
    bool stopped = false;
    const bool whole = visit_bundle(bytes, width, [&](std::string_view entry) {
      if (index++ < from) return true;
      ++from;
      stopped = !visit(index - 1, entry) || --limit == 0;
      return !stopped;
    });
    if (!whole) {
      return fail(ErrorKind::kCorrupt, "the audit log is damaged",
                  bundle_path(bundle) + " is not a bundle of entries");
    }
    if (stopped) break;
  }
  return from;
}

}  // namespace rekey::audit
