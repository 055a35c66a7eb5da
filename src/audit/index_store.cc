#include "audit/index_store.h"

#include <algorithm>

#include "base/check.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

// Runs of one class are of about one size; the last class isn't merged any more.
constexpr uint64_t kClassBlocksMax[] = {2'048, 16'384, 131'072};
constexpr size_t kKeptBlockBytesMax = 1 << 20;  // of memory for the entries of one block
constexpr size_t kIdleMergeStepBytes = 4 * kIndexMergeStepBytes;

size_t size_class(const Run& run) {
  const uint64_t blocks = run.end_block() - run.first_block();
  size_t found = 0;
  while (found < std::size(kClassBlocksMax) && blocks >= kClassBlocksMax[found]) ++found;
  return found;
}

}  // namespace

IndexStore::IndexStore(Options options, const base::Log& operator_log)
    : options_(options), operator_log_(operator_log), memory_(std::make_unique<IndexBuilder>(0)) {}

Result<std::unique_ptr<IndexStore>> IndexStore::open(std::unique_ptr<IndexFolder> folder,
                                                     std::string log_id, uint64_t log_size,
                                                     Options options,
                                                     const base::Log& operator_log) {
  if (log_id.size() != kIndexLogIdBytes) {
    return fail(ErrorKind::kPrecondition, "the audit log has no id, so it can't have an index");
  }
  std::unique_ptr<IndexStore> store(new IndexStore(options, operator_log));
  store->folder_ = std::move(folder);
  store->log_id_ = std::move(log_id);
  Result<void> loaded = store->load(log_size);
  if (!loaded) return base::forward(loaded);
  return store;
}

void IndexStore::drop(const std::string& name, std::string_view why) {
  if (options_.read_only) return;
  (void)folder_->remove(name);
  if (why.empty()) return;
  {
    std::lock_guard lock(mutex_);
    ++runs_removed_;
  }
  operator_log_.warn("audit", "a part of the audit index is made anew",
                     {{"run", name}, {"reason", std::string(why)}});
}

Result<void> IndexStore::load(uint64_t log_size) {
  Result<std::vector<std::string>> names = folder_->list();
  if (!names) return base::forward(names);
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const std::string& name : *names) {
    if (const auto range = parse_run_name(name)) {
      ranges.push_back(*range);
    } else if (name.starts_with("run-")) {
      drop(name, {});
    }
  }
  // From each place on the longest comes first: a merged run before its inputs.
  std::ranges::sort(ranges, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  });
  uint64_t end = 0;
  for (const auto& [first, behind] : ranges) {
    const std::string name = run_name(first, behind);
    if (first < end) {
      drop(name, {});
      continue;
    }
    if (behind > log_size / kIndexBlockEntries) {
      drop(name, "the log is shorter");
      continue;
    }
    Result<std::shared_ptr<const Run>> run = Run::open(*folder_, name, log_id_);
    if (!run) {
      drop(name, run.error().detail());
      continue;
    }
    runs_.push_back(std::move(*run));
    end = behind;
  }
  memory_ = std::make_unique<IndexBuilder>(contiguous_end());
  return {};
}

// Where the runs from block 0 on end.
uint64_t IndexStore::contiguous_end() const {
  uint64_t end = 0;
  for (const auto& run : runs_) {
    if (run->first_block() != end) break;
    end = run->end_block();
  }
  return end;
}

// Where the next run begins, if memory_ fills a gap.
uint64_t IndexStore::memory_limit() const {
  for (const auto& run : runs_) {
    if (run->first_block() >= memory_->end_block()) return run->first_block();
  }
  return UINT64_MAX;
}

Result<bool> IndexStore::advance(const EntrySource& source) {
  Result<void> removed = remove_reported();
  if (!removed) return base::forward(removed);
  const uint64_t blocks = memory_->end_block() - memory_->first_block();
  const bool full = blocks >= options_.memory_blocks_max ||
                    memory_->bytes() >= options_.memory_bytes_max ||
                    (blocks > 0 && memory_->end_block() == memory_limit());
  if (full) {
    Result<void> flushed = flush();
    if (!flushed) return base::forward(flushed);
    return true;
  }
  Result<bool> added = add_block(source);
  if (!added) return added;
  Result<bool> merged = merge_step(*added ? kIndexMergeStepBytes : kIdleMergeStepBytes);
  if (!merged) return merged;
  return *added || *merged;
}

// False if there is no whole block yet.
Result<bool> IndexStore::add_block(const EntrySource& source) {
  const uint64_t first = memory_->end_block() * kIndexBlockEntries;
  if (source.size() < first + kIndexBlockEntries) return false;
  // Read before the lock is taken: status() is asked for on threads that answer requests.
  block_bytes_.clear();
  block_ends_.clear();
  Result<uint64_t> next =
      source.read(first, kIndexBlockEntries, [&](uint64_t, std::string_view entry) {
        block_bytes_ += entry;
        block_ends_.push_back(block_bytes_.size());
        return true;
      });
  // A bundle that was taken away leaves an empty block. One that can't be read stops the index; no
  // entry of it was visited, because a bundle is read before the first visit.
  const bool gone = !next && next.error().kind() == ErrorKind::kNotFound;
  if (!next && !gone) return base::forward(next);
  if (!gone && block_ends_.size() != kIndexBlockEntries) {
    return fail(ErrorKind::kCorrupt, "the audit log is damaged",
                "a bundle has fewer entries than it should, at entry " + std::to_string(first));
  }
  std::lock_guard lock(mutex_);
  size_t begin = 0;
  for (const size_t end : block_ends_) {
    const std::string_view entry = std::string_view(block_bytes_).substr(begin, end - begin);
    begin = end;
    if (scanner_.scan(entry)) {
      memory_->add(scanner_.found());
    } else {
      ++unknown_;
      memory_->add_unknown();
    }
  }
  memory_->close_block();
  if (block_bytes_.capacity() > kKeptBlockBytesMax) block_bytes_ = {};
  return true;
}

Result<void> IndexStore::flush() {
  const uint64_t first = memory_->first_block(), end = memory_->end_block();
  if (first < end) {
    Result<std::unique_ptr<IndexOutput>> output = folder_->create(run_name(first, end));
    if (!output) return base::forward(output);
    RunWriter writer(std::move(*output), log_id_, first);
    Result<void> done = memory_->visit_sorted(
        [&](std::string_view key, uint64_t last_block, std::string_view list) {
          return writer.add(key, last_block, list);
        });
    if (done) done = writer.finish(*memory_->block_times());
    if (!done) return done;
    Result<std::shared_ptr<const Run>> run = Run::open(*folder_, run_name(first, end), log_id_);
    if (!run) return base::forward(run);
    std::lock_guard lock(mutex_);
    runs_.push_back(std::move(*run));
    std::ranges::sort(runs_, {}, [](const auto& one) { return one->first_block(); });
    memory_ = std::make_unique<IndexBuilder>(contiguous_end());
    return {};
  }
  std::lock_guard lock(mutex_);
  memory_ = std::make_unique<IndexBuilder>(contiguous_end());
  return {};
}

Result<void> IndexStore::clear() {
  merge_.reset();
  Runs runs;
  {
    std::lock_guard lock(mutex_);
    runs.swap(runs_);
    memory_ = std::make_unique<IndexBuilder>(0);
    merging_ = false;
    damaged_.clear();
  }
  for (const auto& run : runs) {
    Result<void> removed = folder_->remove(run->name());
    if (!removed) return removed;
  }
  return {};
}

void IndexStore::report_damaged(const Run& run) {
  std::lock_guard lock(mutex_);
  damaged_.insert(run.name());
}

// What is missing then is a gap, which is filled next.
Result<void> IndexStore::remove_reported() {
  std::vector<std::string> names;
  {
    std::lock_guard lock(mutex_);
    for (const auto& run : runs_) {
      if (damaged_.contains(run->name())) names.push_back(run->name());
    }
    damaged_.clear();
    if (names.empty()) return {};
    std::erase_if(runs_, [&](const auto& run) {
      return std::ranges::find(names, run->name()) != names.end();
    });
    merging_ = false;
  }
  merge_.reset();
  for (const std::string& name : names) drop(name, "a page is damaged");
  return flush();
}

// --- merging ---

// Neighbours of one size class; the newest first, because they are the smallest.
IndexStore::Runs IndexStore::runs_to_merge() const {
  for (size_t end = runs_.size(); end >= kIndexMergeRuns; --end) {
    const size_t begin = end - kIndexMergeRuns;
    const size_t wanted = size_class(*runs_[begin]);
    bool fits = wanted < std::size(kClassBlocksMax);
    for (size_t i = begin + 1; i < end && fits; ++i) {
      fits =
          size_class(*runs_[i]) == wanted && runs_[i]->first_block() == runs_[i - 1]->end_block();
    }
    if (!fits) continue;
    return Runs(runs_.begin() + static_cast<ptrdiff_t>(begin),
                runs_.begin() + static_cast<ptrdiff_t>(end));
  }
  return {};
}

// False if there is nothing to merge.
Result<bool> IndexStore::merge_step(size_t bytes) {
  if (!merge_) {
    Runs inputs = runs_to_merge();
    if (inputs.empty()) return false;
    Result<std::unique_ptr<RunMerge>> started = RunMerge::start(*folder_, inputs, log_id_);
    if (!started) {
      report_damaged_of(inputs, started.error());
      return base::forward(started);
    }
    merge_ = std::move(*started);
    std::lock_guard lock(mutex_);
    merging_ = true;
    return true;
  }
  Result<bool> done = merge_->step(bytes);
  if (!done) {
    Result<void> given_up = give_up_merge(done.error());
    if (!given_up) return base::forward(given_up);
    return true;
  }
  if (*done) {
    Result<void> finished = finish_merge();
    if (!finished) return base::forward(finished);
  }
  return true;
}

Result<void> IndexStore::finish_merge() {
  const std::unique_ptr<RunMerge> merge = std::move(merge_);
  Result<std::shared_ptr<const Run>> merged = Run::open(*folder_, merge->name(), log_id_);
  {
    std::lock_guard lock(mutex_);
    merging_ = false;
    if (!merged) return base::forward(merged);
    const auto first = std::ranges::find(runs_, merge->inputs().front());
    REKEY_CHECK(first != runs_.end());
    *first = std::move(*merged);
    runs_.erase(first + 1, first + static_cast<ptrdiff_t>(merge->inputs().size()));
  }
  for (const auto& run : merge->inputs()) drop(run->name(), {});
  return {};
}

// A disk that fails is tried again later; a damaged input goes.
Result<void> IndexStore::give_up_merge(const base::Error& error) {
  const std::unique_ptr<RunMerge> merge = std::move(merge_);
  {
    std::lock_guard lock(mutex_);
    merging_ = false;
  }
  if (error.kind() != ErrorKind::kCorrupt) return std::unexpected(error);
  report_damaged_of(merge->inputs(), error);
  return {};
}

// Which of the inputs it was isn't known yet; if all look good, all of them go.
void IndexStore::report_damaged_of(const Runs& inputs, const base::Error& error) {
  if (error.kind() != ErrorKind::kCorrupt) return;
  bool found = false;
  for (const auto& run : inputs) {
    if (run->check()) continue;
    report_damaged(*run);
    found = true;
  }
  for (const auto& run : inputs) {
    if (!found) report_damaged(*run);
  }
}

// --- any thread ---

IndexStatus IndexStore::status() const {
  std::lock_guard lock(mutex_);
  IndexStatus status;
  const uint64_t end = contiguous_end();
  status.indexed =
      kIndexBlockEntries * (memory_->first_block() == end ? memory_->end_block() : end);
  status.runs = runs_.size();
  for (const auto& run : runs_) status.run_bytes += run->bytes(), status.terms += run->terms();
  status.memory_bytes = memory_->bytes();
  status.unknown = unknown_;
  status.runs_removed = runs_removed_;
  status.merging = merging_;
  return status;
}

void IndexStore::with_parts(
    const std::function<void(const Runs&, const IndexBuilder&)>& use) const {
  std::lock_guard lock(mutex_);
  use(runs_, *memory_);
}

}  // namespace rekey::audit
