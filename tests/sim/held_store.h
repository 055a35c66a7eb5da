// HeldStore: a store whose commits happen when the simulation says so, and none of them after a
// crash but the first few.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "base/random.h"
#include "storage/store.h"

namespace rekey::sim {

class HeldStore final : public storage::Store {
 public:
  explicit HeldStore(storage::Store& below) : below_(below) {}

  bool step();  // the oldest commit happens; false: none waits
  size_t queued() const { return queue_.size(); }
  // While a thread that may wait for its commits is being played.
  void set_direct(bool direct) { direct_ = direct; }
  // The power goes: a few of the queue are on disk, the rest are not. Gives back who waited.
  std::vector<Done> crash(base::Random& random);

  const storage::Limits& limits() const override { return below_.limits(); }
  storage::Result<std::unique_ptr<storage::Reader>> open_reader() override {
    return below_.open_reader();
  }
  void commit(storage::Batch batch, Done done) override;
  std::unique_ptr<storage::Watch> watch(std::string prefix, OnChange on_change) override {
    return below_.watch(std::move(prefix), std::move(on_change));
  }
  void set_witness(storage::CommitWitness* witness) override { below_.set_witness(witness); }
  storage::Health health() const override { return below_.health(); }

 private:
  storage::Store& below_;
  std::deque<std::pair<storage::Batch, Done>> queue_;
  bool direct_ = false;
};

}  // namespace rekey::sim
