// What the loops are answering right now. Each loop's list is its own: they are asked one by one,
// on their threads, so that a request costs no lock for being listed.
#include <condition_variable>
#include <mutex>

#include "app/instance.h"

namespace rekey::app {
namespace {

constexpr std::chrono::milliseconds kLoopPatience{2000};  // for all loops to say what they have

struct Gathered {
  std::mutex mutex;
  std::condition_variable arrived;
  size_t left = 0;
  std::vector<pipeline::RequestInFlight> requests;
};

}  // namespace

std::vector<pipeline::RequestInFlight> Instance::requests_in_flight() const {
  auto gathered = std::make_shared<Gathered>();
  gathered->left = handlers_.size();
  for (size_t i = 0; i < handlers_.size(); i++) {
    lanes_[i]->post([handler = handlers_[i], gathered] {
      auto own = handler->in_flight();
      std::lock_guard lock(gathered->mutex);
      for (auto& request : own) gathered->requests.push_back(std::move(request));
      gathered->left--;
      gathered->arrived.notify_one();
    });
  }
  std::unique_lock lock(gathered->mutex);
  gathered->arrived.wait_for(lock, kLoopPatience, [&] { return gathered->left == 0; });
  return std::move(gathered->requests);
}

}  // namespace rekey::app
