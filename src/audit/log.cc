#include "audit/log.h"

#include <algorithm>

#include "audit/log_impl.h"
#include "audit/proof.h"
#include "audit/retention.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

// A log in memory is for tests and -dev: small pieces.
constexpr size_t kMemoryEntryBytesMax = 64 << 20;
constexpr size_t kMemorySegmentBytes = 1 << 20;
constexpr size_t kMemoryGroupBytesMax = 256 << 10;

}  // namespace

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
bool Log::committing() const { return impl_->committing_.load(std::memory_order_acquire); }
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
