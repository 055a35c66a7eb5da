// Upkeep: what an unsealed server does by itself every second: pays for encryptions, rotates the
// key when due, removes tokens that are expired or revoked (leases: pipeline/removal.h), compares
// rows with the barrier's ledger, a few a turn. Everything here only removes what is already void,
// so a missed turn changes nothing a client could see.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "app/pool.h"
#include "barrier/barrier.h"
#include "base/log.h"
#include "pipeline/keeper.h"
#include "storage/store.h"

namespace rekey::app {

constexpr std::chrono::milliseconds kUpkeepInterval{1000};
// A store that is put back from a copy older than this is detected, whoever did it.
constexpr std::chrono::seconds kEpochInterval{60};
constexpr size_t kSweepRows = 250;                // tokens removed in one commit
constexpr int kSweepsInARow = 40;                 // commits of one turn
constexpr size_t kScrubbedRows = 5'000;           // rows compared with the ledger in one turn
constexpr std::chrono::hours kScrubInterval{24};  // from the end of a round to the next
constexpr size_t kScrubAlarmsMax = 20;            // rows named in the log in one round
constexpr size_t kCountedRows = 20'000;           // tokens and wrapped answers counted in one turn

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

  // Service tokens in the store when they were last counted; counting goes on a piece a turn. Any
  // thread.
  uint64_t token_count() const { return token_count_.load(std::memory_order_relaxed); }

 private:
  void run();
  void turn();
  using Step = std::function<base::Result<bool>(storage::Reader&, barrier::Txn&)>;
  void sweep(std::string_view what, const Step& step);
  base::Result<bool> sweep_once(const Step& step);
  // Counting rows, a piece a turn.
  struct CountRound {
    std::string up_to;  // key of the last row that was looked at; empty: a round begins
    uint64_t found = 0;
  };
  std::optional<uint64_t> count(CountRound& round, std::string_view prefix,
                                bool (*counts)(std::string_view key));
  void count_tokens();
  void count_wrappings();
  void advance_epoch();
  void scrub();
  base::Result<bool> scrub_once(const barrier::Keyring& keyring);
  void watch_ledger();

  UpkeepParts parts_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  base::WallTime epoch_advanced_{};
  uint64_t commits_at_epoch_ = UINT64_MAX;  // at first: unsealing may not have raised it
  CountRound tokens_, wrappings_;
  std::string scrubbed_up_to_;  // key of the last row of this round
  base::Duration scrubbed_{};   // when the last round ended; 0: none did
  size_t scrub_alarms_ = 0;     // of this round
  int64_t missing_ = 0;         // rows, when it was last looked at
  std::atomic<uint64_t> token_count_{0};
  std::thread thread_;
};

}  // namespace rekey::app
