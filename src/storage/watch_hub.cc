#include "storage/watch_hub.h"

namespace rekey::storage {

class WatchHub::Registered final : public Watch {
 public:
  Registered(WatchHub& hub, std::list<Entry>::iterator entry) : hub_(hub), entry_(entry) {}
  ~Registered() override {
    const std::lock_guard lock(hub_.mutex_);
    hub_.entries_.erase(entry_);
    hub_.count_ -= 1;
  }

 private:
  WatchHub& hub_;
  std::list<Entry>::iterator entry_;
};

std::unique_ptr<Watch> WatchHub::add(std::string prefix, Store::OnChange on_change) {
  const std::lock_guard lock(mutex_);
  entries_.push_back({std::move(prefix), std::move(on_change)});
  count_ += 1;
  return std::make_unique<Registered>(*this, std::prev(entries_.end()));
}

void WatchHub::notify(Revision revision, const Batch& batch) {
  if (count_ == 0) return;
  const std::lock_guard lock(mutex_);
  std::vector<std::string_view> keys;
  for (const Entry& entry : entries_) {
    keys.clear();
    for (const Put& put : batch.puts) {
      if (put.key.starts_with(entry.prefix)) keys.push_back(put.key);
    }
    for (const std::string& key : batch.deletes) {
      if (key.starts_with(entry.prefix)) keys.push_back(key);
    }
    if (!keys.empty()) entry.on_change(revision, keys);
  }
}

}  // namespace rekey::storage
