// The threads that may block: waiting for commits, loading tables at unseal, password hashes. Each
// has a lane of its own that holds on to nothing between two pieces of work, so that a sealed
// server's pool keeps no key.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "pipeline/chain.h"

namespace rekey::app {

constexpr size_t kPoolThreads = 4;
constexpr size_t kPoolQueueMax = 4'096;  // pieces of work that wait for a thread
constexpr size_t kOutsideThreads = 16;   // that wait for databases and the like

class WorkerPool final : public pipeline::Pool {
 public:
  // The store and the state outlive the pool.
  WorkerPool(size_t threads, storage::Store& store, const base::Snapshot<pipeline::State>& state,
             const base::Log& log);
  ~WorkerPool() override;  // finishes what was queued

  bool run(std::function<void(pipeline::Lane&)> work) override;

 private:
  void serve(storage::Store& store, const base::Snapshot<pipeline::State>& state);

  const base::Log& log_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void(pipeline::Lane&)>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace rekey::app
