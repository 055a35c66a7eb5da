// Upkeep: what an unsealed server does by itself every second: pays for encryptions, rotates the
// key when due, removes tokens that are expired or revoked. Everything here only removes what is
// already void, so a missed turn changes nothing a client could see.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "app/pool.h"
#include "barrier/barrier.h"
#include "base/log.h"
#include "pipeline/keeper.h"
#include "storage/store.h"

namespace rekey::app {

constexpr std::chrono::milliseconds kUpkeepInterval{1000};
constexpr size_t kSweepRows = 250;  // tokens removed in one commit
constexpr int kSweepsInARow = 40;   // commits of one turn

struct UpkeepParts {
  storage::Store& store;
  barrier::Barrier& barrier;
  pipeline::Keeper& keeper;
  const base::Clock& clock;
  base::Random& random;
  const base::Log& log;
};

class Upkeep {
 public:
  explicit Upkeep(UpkeepParts parts);
  ~Upkeep();  // stops after the turn that runs

 private:
  void run();
  void turn();
  base::Result<bool> sweep(bool expired);

  UpkeepParts parts_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace rekey::app
