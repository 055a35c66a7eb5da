#include "audit/log.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "audit/disk.h"
#include "audit/proof.h"
#include "audit/publisher.h"
#include "audit/retention.h"
#include "audit/wal.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/thread.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr const char* kFormatPath = "format";
constexpr std::string_view kFormatLine = "rekey-audit-log 1";
constexpr std::string_view kFormatName = "rekey-audit-log ";
// How long a commit waits for the publisher while every segment is in use; then it fails.
constexpr std::chrono::milliseconds kWalFullWaitMax{2000};
constexpr size_t kFormatBytesMax = 4096;
// A log in memory is for tests and -dev: small pieces.
constexpr size_t kMemoryEntryBytesMax = 64 << 20;
constexpr size_t kMemorySegmentBytes = 1 << 20;
constexpr size_t kMemoryGroupBytesMax = 256 << 10;
constexpr size_t kHistogramBuckets = 32;

size_t log2_bucket(uint64_t value) {
  return std::min<size_t>(kHistogramBuckets - 1, value == 0 ? 0 : std::bit_width(value) - 1);
}

Health empty_counters() {
  Health health;
  health.group_entries_log2.resize(kHistogramBuckets);
  health.sync_us_log2.resize(kHistogramBuckets);
  return health;
}

struct Format {
  std::string log_id;
  std::string origin;
};

// kInvalid for a format that this program doesn't know, kCorrupt for anything else that is wrong.
Result<Format> parse_format(std::string_view text) {
  const size_t first = text.find('\n');
  const size_t second = first == text.npos ? first : text.find('\n', first + 1);
  if (text.starts_with(kFormatName) && first != text.npos && text.substr(0, first) != kFormatLine) {
    return fail(ErrorKind::kUnsupported, "the audit log has a newer format than this program knows",
                std::string(text.substr(0, first)));
  }
  if (second == text.npos || !text.ends_with('\n') || text.substr(0, first) != kFormatLine) {
    return fail(ErrorKind::kCorrupt, "the audit log is damaged", "the file `format` is damaged");
  }
  Result<std::string> id = base::hex_decode(text.substr(first + 1, second - first - 1));
  if (!id || id->size() != kLogIdBytes) {
    return fail(ErrorKind::kCorrupt, "the audit log is damaged", "the file `format` is damaged");
  }
  return Format{std::move(*id), std::string(text.substr(second + 1, text.size() - second - 2))};
}

void hash_leaves(Group& group) {
  group.leaves.reserve(group.count);
  visit_bundle(group.payload(), group.count, [&](std::string_view entry) {
    group.leaves.push_back(leaf_hash(entry));
    return true;
  });
}

}  // namespace

class Log::Impl {
 public:
  Impl(std::unique_ptr<Disk> disk, Options options, const base::Clock& clock,
       const base::Log& operator_log)
      : disk_(std::move(disk)),
        options_(std::move(options)),
        clock_(clock),
        operator_log_(operator_log),
        forming_(std::make_unique<Group>()) {}
  ~Impl() { close(); }

  Result<void> open(base::Random& random);
  Result<uint64_t> append(std::string_view entry, uint64_t store_revision);
  void flush();
  void add_listener(std::function<void(const Progress&)> listener);
  Result<void> wait_durable(uint64_t size);
  Health health() const;
  void close();
  Result<void> readable() const;  // an error if there is no tree to read
  Result<void> accepts() const;
  bool commit_step();

  std::atomic<uint64_t> durable_{0};
  std::atomic<uint32_t> target_{1};
  std::atomic<bool> refuses_{false};  // whether there is a refusal_
  std::unique_ptr<Disk> disk_;
  Options options_;
  std::string id_;
  std::unique_ptr<Wal> wal_;
  std::unique_ptr<Publisher> publisher_;

 private:
  Result<Format> read_or_make_format(base::Random& random);
  Result<bool> has_remains() const;
  void set_damaged(const base::Error& error);
  void run();
  bool wait_for_group(std::unique_lock<std::mutex>& lock);
  std::unique_ptr<Group> take_group();  // with mutex_ held
  bool commit(std::unique_ptr<Group> group);
  Result<void> try_commit(std::unique_ptr<Group>& group);
  bool stop_after_failure(const base::Error& error);
  void refuse(const base::Error& error);
  void accept_again();
  void tell_listeners();

  const base::Clock& clock_;
  const base::Log& operator_log_;

  mutable std::mutex mutex_;  // over everything below
  std::condition_variable work_;
  std::condition_variable progress_;
  std::unique_ptr<Group> forming_;
  uint64_t next_index_ = 0;
  uint64_t failed_size_ = 0;
  std::optional<base::Error> refusal_;  // why append refuses now
  bool damaged_ = false;
  bool flush_wanted_ = false;
  bool waiting_ = false;  // the commit thread sleeps
  bool stop_ = false;
  std::vector<std::function<void(const Progress&)>> listeners_;
  Health counters_ = empty_counters();
  std::unique_ptr<Group> retried_;  // stepped only: could not be written yet
  std::thread thread_;

  std::atomic<uint32_t> forming_count_{0};  // so that a flush of nothing takes no lock
};

// --- opening ---

Result<Format> Log::Impl::read_or_make_format(base::Random& random) {
  Result<std::string> text = disk_->read(kFormatPath, kFormatBytesMax);
  if (text) return parse_format(*text);
  if (text.error().kind() != ErrorKind::kNotFound) return base::forward(text);
  Result<bool> remains = has_remains();
  if (!remains) return base::forward(remains);
  if (*remains) {
    return fail(ErrorKind::kCorrupt, "the audit log is damaged", "the file `format` is missing");
  }
  Result<VerifierKey> name = VerifierKey::make(options_.origin, std::string(32, '\0'));
  if (!name) return base::forward(name);
  Format format{random.bytes(kLogIdBytes), options_.origin};
  Result<void> made = disk_->replace(kFormatPath, std::string(kFormatLine) + "\n" +
                                                      base::hex_encode(format.log_id) + "\n" +
                                                      format.origin + "\n");
  if (!made) return base::forward(made);
  return format;
}

// Whether anything of a log is there, apart from its write-ahead log.
Result<bool> Log::Impl::has_remains() const {
  for (const char* path : {kSignedPath, kCheckpointPath, kKeyPath}) {
    Result<std::string> file = disk_->read(path, kNoteBytesMax);
    if (file) return true;
    if (file.error().kind() != ErrorKind::kNotFound) return base::forward(file);
  }
  Result<std::vector<std::string>> tiles = disk_->list("log/tile");
  if (!tiles) return base::forward(tiles);
  return !tiles->empty();
}

Result<void> Log::Impl::open(base::Random& random) {
  Result<Format> format = read_or_make_format(random);
  if (format && !options_.origin.empty() && format->origin != options_.origin) {
    return fail(ErrorKind::kPrecondition, "the audit log has another name",
                "on disk: " + format->origin + ", configured: " + options_.origin);
  }
  if (!format) {
    if (format.error().kind() != ErrorKind::kCorrupt) return base::forward(format);
    set_damaged(format.error());
    return {};
  }
  options_.origin = format->origin;
  const auto wait = options_.stepped ? std::chrono::milliseconds(0) : kWalFullWaitMax;
  id_ = format->log_id;
  wal_ = std::make_unique<Wal>(*disk_, Wal::Options{.log_id = format->log_id,
                                                    .segment_bytes = options_.wal_segment_bytes,
                                                    .segments_max = options_.wal_segments_max,
                                                    .full_wait_max = wait});
  publisher_ =
      std::make_unique<Publisher>(*disk_, *wal_,
                                  Publisher::Options{options_.origin, options_.checkpoint_interval,
                                                     options_.retry_interval, options_.stepped},
                                  clock_, operator_log_);
  Result<void> recovered = publisher_->recover();
  if (recovered && wal_->bytes() == 0) {
    Result<bool> remains = has_remains();
    if (!remains) return base::forward(remains);
    if (*remains) {
      recovered =
          fail(ErrorKind::kCorrupt, "the audit log is damaged", "the write-ahead log is missing");
    }
  }
  if (!recovered) {
    if (recovered.error().kind() != ErrorKind::kCorrupt) return recovered;
    set_damaged(recovered.error());
    return {};
  }
  Result<void> prepared = wal_->prepare_spare();
  if (!prepared) return prepared;
  next_index_ = publisher_->size();
  durable_ = next_index_;
  failed_size_ = next_index_;
  if (options_.stepped) return {};
  publisher_->start();
  thread_ = std::thread([this] { run(); });
  return {};
}

void Log::Impl::set_damaged(const base::Error& error) {
  damaged_ = true;
  refusal_ = error;
  refuses_ = true;
  operator_log_.error("audit", "the audit log is damaged; every request is refused",
                      {{"reason", error.detail()}});
}

Result<void> Log::Impl::readable() const {
  std::lock_guard lock(mutex_);
  if (damaged_) return std::unexpected(*refusal_);
  return {};
}

// --- appending ---

Result<uint64_t> Log::Impl::append(std::string_view entry, uint64_t store_revision) {
  if (entry.empty() || entry.size() > kEntryBytesMax) {
    return fail(ErrorKind::kTooLarge, "an audit entry is empty or too long",
                std::to_string(entry.size()) + " bytes");
  }
  uint64_t index = 0;
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (refusal_) return std::unexpected(*refusal_);
    if (forming_->used + entry.size() > options_.group_bytes_max) {
      return fail(ErrorKind::kLimited, "the audit log's disk is too slow for this load");
    }
    if (forming_->count == 0) forming_->first_index = next_index_;
    forming_->add(entry);
    forming_->store_revision = std::max(forming_->store_revision, store_revision);
    index = next_index_++;
    counters_.entry_bytes += entry.size();
    forming_count_.store(forming_->count, std::memory_order_relaxed);
    const uint32_t target = target_.load(std::memory_order_relaxed);
    // The first entry starts the clock of group_delay_max.
    wake = waiting_ && (forming_->count == 1 || forming_->count == target);
  }
  if (wake) work_.notify_one();
  return index;
}

Result<void> Log::Impl::accepts() const {
  if (!refuses_.load(std::memory_order_relaxed)) return {};
  std::lock_guard lock(mutex_);
  if (refusal_) return std::unexpected(*refusal_);
  return {};
}

void Log::Impl::flush() {
  if (forming_count_.load(std::memory_order_relaxed) == 0) return;
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (forming_->count == 0) return;
    flush_wanted_ = true;
    wake = waiting_;
  }
  if (wake) work_.notify_one();
}

void Log::Impl::add_listener(std::function<void(const Progress&)> listener) {
  std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
}

Result<void> Log::Impl::wait_durable(uint64_t size) {
  flush();
  while (options_.stepped && durable_ < size && failed_size_ < size && commit_step()) {
  }
  std::unique_lock lock(mutex_);
  if (size > next_index_) return fail(ErrorKind::kInvalid, "the audit log has no such entry");
  progress_.wait(lock, [&] { return durable_ >= size || failed_size_ >= size; });
  if (durable_ >= size) return {};
  if (refusal_) return std::unexpected(*refusal_);
  return fail(ErrorKind::kUnavailable, "the audit log could not be written");
}

// --- the commit thread ---

// Until a group is to be committed; false when there is nothing left to do.
bool Log::Impl::wait_for_group(std::unique_lock<std::mutex>& lock) {
  waiting_ = true;
  work_.wait(lock, [&] { return stop_ || forming_->count > 0; });
  work_.wait_for(lock, options_.group_delay_max, [&] {
    return stop_ || flush_wanted_ || forming_->count >= target_.load(std::memory_order_relaxed);
  });
  waiting_ = false;
  return forming_->count > 0;
}

void Log::Impl::run() {
  base::begin_thread("record-commit");
  std::unique_lock lock(mutex_);
  while (wait_for_group(lock)) {
    std::unique_ptr<Group> group = take_group();
    lock.unlock();
    if (!commit(std::move(group))) return;
    lock.lock();
  }
}

std::unique_ptr<Group> Log::Impl::take_group() {
  std::unique_ptr<Group> group = std::move(forming_);
  forming_ = publisher_->take_spare();
  forming_count_.store(0, std::memory_order_relaxed);
  flush_wanted_ = false;
  return group;
}

bool Log::Impl::commit_step() {
  if (retried_ == nullptr) {
    std::lock_guard lock(mutex_);
    if (damaged_ || forming_->count == 0) return false;
    retried_ = take_group();
    hash_leaves(*retried_);
  }
  Result<void> written = try_commit(retried_);
  if (written) return true;
  {
    std::lock_guard lock(mutex_);
    refuse(written.error());
  }
  tell_listeners();
  return true;
}

// Returns when the group is durable; false if it was given up because the log closes: what was
// appended after it can't be written either then.
bool Log::Impl::commit(std::unique_ptr<Group> group) {
  hash_leaves(*group);
  while (true) {
    Result<void> written = try_commit(group);
    if (written) return true;
    if (stop_after_failure(written.error())) return false;
  }
}

// Success: the group is durable and handed on.
Result<void> Log::Impl::try_commit(std::unique_ptr<Group>& group) {
  // What waits for the publisher is in memory, and that is bounded.
  const bool room = publisher_->wait_for_room(options_.publish_queue_bytes_max);
  const base::Duration start = clock_.monotonic();
  Result<void> written = room ? wal_->write(*group)
                              : fail(ErrorKind::kUnavailable, "the audit log can't be written",
                                     "publishing fails: " + publisher_->status().reason);
  if (!written) return written;
  const auto took =
      std::chrono::duration_cast<std::chrono::microseconds>(clock_.monotonic() - start);
  const uint64_t end = group->first_index + group->count;
  const uint32_t count = group->count;
  publisher_->push(std::move(group));  // before anyone learns that the entries are durable
  {
    std::lock_guard lock(mutex_);
    durable_.store(end, std::memory_order_release);
    ++counters_.groups;
    ++counters_.group_entries_log2[log2_bucket(count)];
    ++counters_.sync_us_log2[log2_bucket(static_cast<uint64_t>(took.count()))];
    if (refusal_ && !stop_) accept_again();
  }
  tell_listeners();
  return {};
}

// Refuses everything that waits, sleeps; true if the log closes.
bool Log::Impl::stop_after_failure(const base::Error& error) {
  {
    std::lock_guard lock(mutex_);
    refuse(error);
  }
  tell_listeners();
  std::unique_lock lock(mutex_);
  return work_.wait_for(lock, options_.retry_interval, [&] { return stop_; });
}

void Log::Impl::refuse(const base::Error& error) {
  if (!refusal_) {
    operator_log_.error("audit", "the audit log can't be written; every request is refused",
                        {{"reason", error.detail()}});
  }
  ++counters_.write_failures;
  refusal_ = base::Error(ErrorKind::kUnavailable, "the audit log can't be written", error.detail());
  refuses_ = true;
  failed_size_ = next_index_;
}

void Log::Impl::accept_again() {
  refusal_.reset();
  refuses_ = false;
  operator_log_.info("audit", "the audit log can be written again");
}

void Log::Impl::tell_listeners() {
  std::vector<std::function<void(const Progress&)>> listeners;
  Progress progress;
  {
    std::lock_guard lock(mutex_);
    listeners = listeners_;
    progress.durable_size = durable_;
    progress.failed_size = std::max(failed_size_, progress.durable_size);
  }
  progress_.notify_all();
  for (const auto& listener : listeners) listener(progress);
}

void Log::Impl::close() {
  {
    std::lock_guard lock(mutex_);
    if (stop_) return;
    stop_ = true;
    if (!refusal_) {
      refusal_ = base::Error(ErrorKind::kUnavailable, "the audit log is closed", "closed");
      refuses_ = true;
    }
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
  while (options_.stepped && failed_size_ <= durable_ && commit_step()) {
  }
  if (publisher_ && !damaged_) publisher_->stop();
  {
    std::lock_guard lock(mutex_);
    failed_size_ = next_index_;
  }
  progress_.notify_all();
}

Health Log::Impl::health() const {
  Health health;
  {
    std::lock_guard lock(mutex_);
    health = counters_;
    health.writable = !refusal_;
    health.damaged = damaged_;
    if (refusal_) health.reason = refusal_->message() + ": " + refusal_->detail();
  }
  health.in_memory = options_.in_memory;
  health.size = durable_;
  if (!publisher_) return health;
  const Publisher::Status status = publisher_->status();
  if (health.reason.empty()) health.reason = status.reason;
  health.can_sign = status.can_sign;
  health.published = publisher_->size();
  health.checkpoint_size = status.checkpoint_size;
  health.publish_lag_bytes = status.queue_bytes;
  health.wal_bytes = wal_->bytes();
  return health;
}

// --- Log ---

Log::Log(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Log::~Log() = default;

Result<std::unique_ptr<Log>> Log::open(Options options, const base::Clock& clock,
                                       base::Random& random, const base::Log& operator_log) {
  if (options.in_memory) {
    options.wal_segment_bytes = kMemorySegmentBytes;
    options.group_bytes_max = kMemoryGroupBytesMax;
    return open_on(make_memory_disk(kMemoryEntryBytesMax), std::move(options), clock, random,
                   operator_log);
  }
  Result<std::unique_ptr<Disk>> disk = open_posix_disk(options.directory);
  if (!disk) return base::forward(disk);
  return open_on(std::move(*disk), std::move(options), clock, random, operator_log);
}

Result<std::unique_ptr<Log>> Log::open_on(std::unique_ptr<Disk> disk, Options options,
                                          const base::Clock& clock, base::Random& random,
                                          const base::Log& operator_log) {
  const bool sane = options.wal_segment_bytes % kBlockBytes == 0 &&
                    options.wal_segment_bytes >= options.group_bytes_max + 4 * kBlockBytes &&
                    options.group_bytes_max > kEntryBytesMax + kGroupHeaderBytes + 2 &&
                    options.wal_segments_max >= 2 && options.wal_segments_max <= kWalSlotsMax;
  if (!sane) return fail(ErrorKind::kInvalid, "the audit log's sizes don't fit together");
  auto impl = std::make_unique<Impl>(std::move(disk), std::move(options), clock, operator_log);
  Result<void> opened = impl->open(random);
  if (!opened) return base::forward(opened);
  return std::unique_ptr<Log>(new Log(std::move(impl)));
}

Result<uint64_t> Log::append(std::string_view entry, uint64_t store_revision) {
  return impl_->append(entry, store_revision);
}
Result<void> Log::accepts() const { return impl_->accepts(); }
uint64_t Log::durable_size() const { return impl_->durable_.load(std::memory_order_acquire); }
void Log::flush() { impl_->flush(); }
bool Log::commit_step() { return impl_->commit_step(); }
void Log::publish_step() {
  if (impl_->readable()) impl_->publisher_->step();
}
void Log::set_group_target(uint32_t entries) {
  impl_->target_.store(std::max(entries, uint32_t{1}), std::memory_order_relaxed);
}
void Log::add_listener(std::function<void(const Progress&)> listener) {
  impl_->add_listener(std::move(listener));
}
Result<void> Log::wait_durable(uint64_t size) { return impl_->wait_durable(size); }
Health Log::health() const { return impl_->health(); }
void Log::close() { impl_->close(); }

Result<void> Log::set_signer(crypto::Ed25519PrivateKey key) {
  Result<void> usable = impl_->readable();
  if (!usable) return usable;
  return impl_->publisher_->set_signer(std::move(key));
}
void Log::clear_signer() {
  if (impl_->publisher_) impl_->publisher_->clear_signer();
}
std::string Log::verifier_key() const {
  return impl_->publisher_ ? impl_->publisher_->verifier_key() : std::string();
}

Result<Checkpoint> Log::checkpoint_now() {
  Result<void> usable = impl_->readable();
  if (!usable) return base::forward(usable);
  return impl_->publisher_->checkpoint(durable_size());
}
Result<Checkpoint> Log::last_checkpoint() const {
  if (!impl_->publisher_) return fail(ErrorKind::kNotFound, "no checkpoint was signed yet");
  return impl_->publisher_->last_checkpoint();
}

uint64_t Log::readable_size() const { return impl_->publisher_ ? impl_->publisher_->size() : 0; }

void Log::make_readable() {
  const uint64_t size = durable_size();
  if (impl_->publisher_ && readable_size() < size) {
    impl_->publisher_->hurry(size, kReadablePatience);
  }
}

Result<std::string> Log::entry(uint64_t index) const {
  std::string found;
  Result<uint64_t> next = read(index, 1, [&](uint64_t, std::string_view entry) {
    found = entry;
    return true;
  });
  if (!next) return base::forward(next);
  if (found.empty()) return fail(ErrorKind::kNotFound, "the audit log has no such entry");
  return found;
}

Result<uint64_t> Log::read(uint64_t from, size_t limit,
                           const std::function<bool(uint64_t, std::string_view)>& visit) const {
  Result<void> usable = impl_->readable();
  if (!usable) return base::forward(usable);
  return impl_->publisher_->read(from, limit, visit);
}

Result<std::string> Log::prove(uint64_t index) {
  Result<std::string> entry = this->entry(index);
  if (!entry) return entry;
  Result<Checkpoint> checkpoint = last_checkpoint();
  if (!checkpoint || checkpoint->size <= index) checkpoint = checkpoint_now();
  if (!checkpoint) return base::forward(checkpoint);
  Result<std::vector<Hash>> path = inclusion_proof(index, checkpoint->size);
  if (!path) return base::forward(path);
  return TlogProof{*entry, index, std::move(*path), checkpoint->note}.text();
}

Result<std::vector<Hash>> Log::leaf_hashes(uint64_t bundle) const {
  Result<void> usable = impl_->readable();
  if (!usable) return base::forward(usable);
  return impl_->publisher_->tree().tile(0, bundle);
}

const std::string& Log::id() const { return impl_->id_; }

Result<Hash> Log::root_at(uint64_t size) const {
  Result<void> usable = impl_->readable();
  if (!usable) return base::forward(usable);
  if (size > readable_size()) return fail(ErrorKind::kNotFound, "the audit log is smaller");
  TileTree tree = impl_->publisher_->tree();
  return tree_root(tree, size);
}

Result<std::vector<Hash>> Log::inclusion_proof(uint64_t index, uint64_t size) const {
  Result<void> usable = impl_->readable();
  if (!usable) return base::forward(usable);
  if (size > readable_size()) return fail(ErrorKind::kNotFound, "the audit log is smaller");
  TileTree tree = impl_->publisher_->tree();
  return inclusion_path(tree, index, size);
}

Result<std::vector<Hash>> Log::consistency_proof(uint64_t old_size, uint64_t size) const {
  Result<void> usable = impl_->readable();
  if (!usable) return base::forward(usable);
  if (size > readable_size()) return fail(ErrorKind::kNotFound, "the audit log is smaller");
  TileTree tree = impl_->publisher_->tree();
  return consistency_path(tree, old_size, size);
}

Result<Retired> Log::retire(base::WallTime before, const std::string& archive) {
  Result<Checkpoint> checkpoint = last_checkpoint();
  if (!checkpoint) return base::forward(checkpoint);
  Result<uint64_t> below = entries_before(*impl_->disk_, checkpoint->size, before);
  if (!below) return base::forward(below);
  std::unique_ptr<Disk> place;
  if (!archive.empty()) {
    Result<std::unique_ptr<Disk>> opened = open_posix_disk(archive);
    if (!opened) return base::forward(opened);
    place = std::move(*opened);
  }
  return retire_entries(*impl_->disk_, place.get(), checkpoint->size, *below);
}

uint64_t Log::store_revision_floor() const {
  return impl_->wal_ ? impl_->wal_->store_revision() : 0;
}

}  // namespace rekey::audit
