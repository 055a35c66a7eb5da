#include "storage/testing/fault_store.h"

#include <utility>

namespace rekey::storage {

class FaultStore::FaultReader final : public Reader {
 public:
  FaultReader(FaultStore& store, std::unique_ptr<Reader> below)
      : store_(store), below_(std::move(below)) {}

  Result<void> refresh() override {
    made_.clear();
    return below_->refresh();
  }
  void release() override {
    made_.clear();
    below_->release();
  }
  Revision revision() const override { return below_->revision(); }

  Result<std::optional<Item>> get(std::string_view key) override {
    const Damage damage = store_.draw_read_fault(key);
    if (damage.fault == ReadFault::kFails) {
      return base::fail(ErrorKind::kUnavailable, "the store can't be read",
                        "made up by FaultStore");
    }
    auto item = below_->get(key);
    if (!item || !*item || damage.fault == ReadFault::kNone) return item;
    if (damage.fault == ReadFault::kMissing) return std::nullopt;
    return damaged(key, damage, **item);
  }

  Result<std::vector<std::string>> list(std::string_view prefix, std::string_view after,
                                        size_t limit) override {
    return below_->list(prefix, after, limit);
  }
  Result<std::vector<std::string>> scan(std::string_view prefix, std::string_view after,
                                        size_t limit) override {
    return below_->scan(prefix, after, limit);
  }
  Result<uint64_t> rows() override { return below_->rows(); }

 private:
  Result<std::optional<Item>> damaged(std::string_view key, const Damage& damage, Item item) {
    std::string value(item.value);
    switch (damage.fault) {
      case ReadFault::kAltered:
        if (value.empty())
          value = "?";
        else
          value[value.size() / 2] ^= 0x10;
        break;
      case ReadFault::kTruncated:
        value.resize(value.size() / 2);
        break;
      case ReadFault::kExtended:
        value += '\0';
        break;
      case ReadFault::kOlder:
        if (const auto old = store_.older(key); old && old->revision < item.revision) {
          value = old->value;
          item.revision = old->revision;
        }
        break;
      case ReadFault::kSwapped: {
        auto other = below_->get(damage.other);
        if (!other) return base::forward(other);
        if (*other) value = (*other)->value;
        break;
      }
      default:
        break;
    }
    item.value = made_.emplace_back(std::move(value));
    return item;
  }

  FaultStore& store_;
  std::unique_ptr<Reader> below_;
  std::deque<std::string> made_;  // what the views handed out point to; a deque doesn't move them
};

void FaultStore::program_commits(std::vector<CommitFault> faults) {
  const std::lock_guard lock(mutex_);
  programmed_.assign(faults.begin(), faults.end());
}

void FaultStore::set_chances(const FaultChances& chances) {
  const std::lock_guard lock(mutex_);
  chances_ = chances;
}

void FaultStore::damage(std::string key, ReadFault fault, std::string other) {
  const std::lock_guard lock(mutex_);
  if (fault == ReadFault::kNone)
    damages_.erase(key);
  else
    damages_[std::move(key)] = {fault, std::move(other)};
}

void FaultStore::set_read_only(bool read_only) {
  const std::lock_guard lock(mutex_);
  read_only_ = read_only;
}

void FaultStore::hold_commits(bool hold) {
  {
    const std::lock_guard lock(mutex_);
    holding_ = hold;
  }
  if (!hold) release_commits();
}

size_t FaultStore::held() const {
  const std::lock_guard lock(mutex_);
  return held_.size();
}

void FaultStore::release_commits() {
  std::deque<Held> released;
  {
    const std::lock_guard lock(mutex_);
    released.swap(held_);
  }
  for (Held& held : released) pass_down(std::move(held.batch), std::move(held.done));
}

size_t FaultStore::lose_power() {
  std::deque<Held> lost;
  size_t kept = 0;
  {
    const std::lock_guard lock(mutex_);
    lost.swap(held_);
    holding_ = false;
    kept = random_.number() % (lost.size() + 1);
  }
  size_t written = 0;
  for (size_t i = 0; i < kept; ++i) {
    remember_old(lost[i].batch);
    if (below_.commit_and_wait(std::move(lost[i].batch))) written += 1;
  }
  return written;
}

uint64_t FaultStore::faults_made() const {
  const std::lock_guard lock(mutex_);
  return faults_made_;
}

Result<std::unique_ptr<Reader>> FaultStore::open_reader() {
  auto below = below_.open_reader();
  if (!below) return below;
  return std::make_unique<FaultReader>(*this, std::move(*below));
}

void FaultStore::commit(Batch batch, Done done) {
  switch (draw_commit_fault()) {
    case CommitFault::kNone:
      break;
    case CommitFault::kFails:
      return done(base::fail(ErrorKind::kUnavailable, "the store can't be written",
                             "made up by FaultStore"));
    case CommitFault::kConflicts:
      return done(base::fail(ErrorKind::kConflict, "the stored data has changed meanwhile",
                             "made up by FaultStore"));
    case CommitFault::kUnknownLost:
      return done(base::fail(ErrorKind::kTimeout,
                             "a write failed; it may or may not have been kept",
                             "made up by FaultStore: lost"));
    case CommitFault::kUnknownWritten:
      done = [tell = std::move(done)](Result<Revision> outcome) {
        if (!outcome) return tell(std::move(outcome));
        tell(base::fail(ErrorKind::kTimeout, "a write failed; it may or may not have been kept",
                        "made up by FaultStore: written"));
      };
      break;
  }
  {
    const std::lock_guard lock(mutex_);
    if (holding_) {
      held_.push_back({std::move(batch), std::move(done)});
      return;
    }
  }
  pass_down(std::move(batch), std::move(done));
}

void FaultStore::pass_down(Batch batch, Done done) {
  remember_old(batch);
  below_.commit(std::move(batch), std::move(done));
}

Health FaultStore::health() const {
  Health health = below_.health();
  const std::lock_guard lock(mutex_);
  if (read_only_) {
    health.writable = false;
    health.permanent = true;
    health.reason = "made up by FaultStore";
  }
  health.queued += held_.size();
  return health;
}

CommitFault FaultStore::draw_commit_fault() {
  const std::lock_guard lock(mutex_);
  CommitFault fault = CommitFault::kNone;
  if (read_only_) {
    fault = CommitFault::kFails;
  } else if (!programmed_.empty()) {
    fault = programmed_.front();
    programmed_.pop_front();
  } else {
    const std::pair<uint32_t, CommitFault> kinds[] = {
        {chances_.commit_fails, CommitFault::kFails},
        {chances_.commit_conflicts, CommitFault::kConflicts},
        {chances_.commit_unknown_written, CommitFault::kUnknownWritten},
        {chances_.commit_unknown_lost, CommitFault::kUnknownLost}};
    uint64_t drawn = random_.number() % 1'000;
    for (const auto& [chance, kind] : kinds) {
      if (drawn < chance) {
        fault = kind;
        break;
      }
      drawn -= chance;
    }
  }
  if (fault != CommitFault::kNone) faults_made_ += 1;
  return fault;
}

FaultStore::Damage FaultStore::draw_read_fault(std::string_view key) {
  const std::lock_guard lock(mutex_);
  Damage damage;
  if (const auto found = damages_.find(key); found != damages_.end())
    damage = found->second;
  else if (random_.number() % 1'000 < chances_.read_fails)
    damage.fault = ReadFault::kFails;
  if (damage.fault != ReadFault::kNone) faults_made_ += 1;
  return damage;
}

std::optional<FaultStore::Old> FaultStore::older(std::string_view key) const {
  const std::lock_guard lock(mutex_);
  const auto found = old_.find(key);
  if (found == old_.end()) return std::nullopt;
  return found->second;
}

// What the batch is about to overwrite. A batch that then fails leaves the present value here,
// which FaultReader doesn't take for an older one.
void FaultStore::remember_old(const Batch& batch) {
  auto reader = below_.open_reader();
  if (!reader) return;
  auto remember = [&](const std::string& key) {
    const auto item = (*reader)->get(key);
    if (!item || !*item) return;
    const std::lock_guard lock(mutex_);
    old_[key] = {std::string((*item)->value), (*item)->revision};
  };
  for (const Put& put : batch.puts) remember(put.key);
  for (const std::string& key : batch.deletes) remember(key);
}

}  // namespace rekey::storage
