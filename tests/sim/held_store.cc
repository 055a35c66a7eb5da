#include "sim/held_store.h"

namespace rekey::sim {

void HeldStore::commit(storage::Batch batch, Done done) {
  if (direct_) return below_.commit(std::move(batch), std::move(done));
  queue_.emplace_back(std::move(batch), std::move(done));
}

bool HeldStore::step() {
  if (queue_.empty()) return false;
  auto [batch, done] = std::move(queue_.front());
  queue_.pop_front();
  below_.commit(std::move(batch), std::move(done));
  return true;
}

std::vector<storage::Store::Done> HeldStore::crash(base::Random& random) {
  const size_t kept = random.number() % (queue_.size() + 1);
  std::vector<Done> waited;
  for (size_t i = 0; i < queue_.size(); i++) {
    if (i < kept) below_.commit(std::move(queue_[i].first), [](auto) {});
    waited.push_back(std::move(queue_[i].second));
  }
  queue_.clear();
  return waited;
}

}  // namespace rekey::sim
