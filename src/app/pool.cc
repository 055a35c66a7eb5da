#include "app/pool.h"

#include "base/check.h"
#include "base/thread.h"

namespace rekey::app {

WorkerPool::WorkerPool(size_t threads, storage::Store& store,
                       const base::Snapshot<pipeline::State>& state, const base::Log& log)
    : log_(log) {
  for (size_t i = 0; i < threads; i++) {
    threads_.emplace_back([this, &store, &state] { serve(store, state); });
  }
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::run(std::function<void(pipeline::Lane&)> work) {
  {
    std::lock_guard lock(mutex_);
    if (queue_.size() >= kPoolQueueMax) return false;
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
  return true;
}

void WorkerPool::serve(storage::Store& store, const base::Snapshot<pipeline::State>& state) {
  base::begin_thread("pool");
  auto reader = store.open_reader();
  REKEY_CHECK(reader.has_value());  // readers_max is far above the number of our threads
  pipeline::Lane lane(std::move(*reader), state, [this](std::function<void()> work) {
    const bool taken = run([work = std::move(work)](pipeline::Lane&) { work(); });
    REKEY_CHECK(taken);  // nobody posts to a pool's lane: what it runs ends before it looks again
  });
  while (true) {
    std::function<void(pipeline::Lane&)> work;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    auto refreshed = lane.refresh();
    if (!refreshed) {
      log_.error("app", "the store can't be read", {{"error", refreshed.error().describe()}});
    }
    work(lane);
    work = nullptr;
    lane.forget();
    lane.release();
  }
}

}  // namespace rekey::app
