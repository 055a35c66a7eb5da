#include "audit/index.h"

#include "base/thread.h"

namespace rekey::audit {

using base::Result;

namespace {

constexpr const char* kIndexFolder = "/index";
constexpr uint64_t kProgressBlocks = 4'096;

}  // namespace

Index::Index(const Log& log, Options options, const base::Log& operator_log)
    : source_(log), operator_log_(operator_log) {
  if (!options.enabled) return;
  Result<std::unique_ptr<IndexFolder>> folder =
      options.directory.empty() ? make_memory_index_folder() : open_index_folder(options.directory);
  Result<std::unique_ptr<IndexStore>> store =
      folder ? IndexStore::open(std::move(*folder), log.id(), source_.size(), options.store,
                                operator_log)
             : base::forward(folder);
  if (!store) {
    problem_ = store.error().message() + ": " + store.error().detail();
    operator_log.warn("audit", "there is no audit index; queries read the whole log",
                      {{"reason", problem_}});
    return;
  }
  store_ = std::move(*store);
  thread_ = std::thread([this] { run(); });
}

Index::~Index() { stop(); }

void Index::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Index::rebuild() {
  {
    std::lock_guard lock(mutex_);
    rebuild_ = true;
  }
  wake_.notify_all();
}

void Index::run() {
  base::begin_thread("record-index", base::Urgency::kSoon);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const bool rebuild = rebuild_;
    lock.unlock();
    Result<bool> more = true;
    if (rebuild) {
      Result<void> cleared = store_->clear();
      if (!cleared) more = base::forward(cleared);
    }
    if (rebuild && more) {
      const std::lock_guard done(mutex_);
      rebuild_ = false;  // not before: what couldn't be cleared is tried again
    }
    if (more) more = store_->advance(source_);
    lock.lock();
    if (more) {
      problem_.clear();
      if (*more) {
        wake_.wait_for(lock, kIndexPause, [&] { return stop_; });
        continue;
      }
    } else {
      const std::string problem = more.error().message() + ": " + more.error().detail();
      if (problem != problem_) {
        operator_log_.warn("audit", "the audit index doesn't get on", {{"reason", problem}});
      }
      problem_ = problem;
    }
    wake_.wait_for(lock, more ? kIndexPollInterval : kIndexRetryInterval,
                   [&] { return stop_ || (more && rebuild_); });
  }
  lock.unlock();
  if (Result<void> flushed = store_->flush(); !flushed) {
    operator_log_.warn("audit", "the end of the audit index wasn't written; it is made again",
                       {{"reason", flushed.error().detail()}});
  }
}

IndexStatus Index::status() const {
  IndexStatus status;
  if (store_) status = store_->status();
  std::lock_guard lock(mutex_);
  if (rebuild_) status.indexed = 0;  // what there is still will be thrown away
  status.problem = problem_;
  return status;
}

Result<QueryResult> Index::query(const Query& query) const {
  return run_query(query, source_, store_.get());
}

Result<ClientCount> Index::clients(
    std::span<const int64_t> edges,
    const std::function<uint32_t(std::string_view)>& group_of) const {
  return count_clients(edges, group_of, source_, store_.get());
}

Result<uint64_t> rebuild_index(const std::string& directory, const base::Log& operator_log,
                               const std::function<void(const IndexStatus&)>& progress) {
  Result<std::unique_ptr<FolderSource>> source = FolderSource::open(directory);
  if (!source) return base::forward(source);
  Result<std::unique_ptr<IndexFolder>> folder = open_index_folder(directory + kIndexFolder);
  if (!folder) return base::forward(folder);
  Result<std::unique_ptr<IndexStore>> store =
      IndexStore::open(std::move(*folder), (*source)->log_id(), 0, {}, operator_log);
  if (!store) return base::forward(store);
  Result<void> done = (*store)->clear();
  if (!done) return base::forward(done);
  uint64_t told = 0;
  while (true) {
    Result<bool> more = (*store)->advance(**source);
    if (!more) return base::forward(more);
    if (!*more) break;
    if (!progress) continue;
    const IndexStatus status = (*store)->status();
    if (status.indexed / (kProgressBlocks * kIndexBlockEntries) == told) continue;
    told = status.indexed / (kProgressBlocks * kIndexBlockEntries);
    progress(status);
  }
  done = (*store)->flush();
  if (!done) return base::forward(done);
  return (*store)->status().indexed;
}

std::unique_ptr<IndexStore> open_index_for_reading(const std::string& directory,
                                                   const EntrySource& source,
                                                   const base::Log& operator_log) {
  Result<std::unique_ptr<IndexFolder>> folder =
      open_index_folder_for_reading(directory + kIndexFolder);
  if (!folder) return nullptr;
  Result<std::unique_ptr<IndexStore>> store = IndexStore::open(
      std::move(*folder), source.log_id(), source.size(), {.read_only = true}, operator_log);
  return store ? std::move(*store) : nullptr;
}

}  // namespace rekey::audit
