// Removal: brings void leases into the queues of their outside systems and has them removed there,
// by the engines that handed them out.
//
// Nobody waits for it: what is void is refused at the door already. The queues are on disk, so a
// restart goes on where it was; each target (one outside system of one mount) has its own queue,
// its own bounded number of workers and its own pause after a failure, so one that is down stops
// nobody else's. A lease that failed kRemovalAttemptsMax times is stuck: an alarm is logged and
// counted, and it is tried again every kStuckInterval until it works or is forgotten
// (sys/leases/revoke-force). After an older store was put back (lease/paused) it does nothing until
// an operator says so.
//
// One thread that sweeps and hands out work, and some that call engines.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "audit/log.h"
#include "base/log.h"
#include "lease/lease_store.h"
#include "pipeline/keeper.h"
#include "storage/store.h"

namespace rekey::pipeline {

constexpr size_t kRemovalThreads = 16;      // that may wait for outside systems
constexpr size_t kRemovalsPerTarget = 4;    // at once, of one outside system
constexpr size_t kRemovalsAhead = 64;       // read of one queue at a time
constexpr size_t kQueuesServed = 1000;      // queues looked at in one turn
constexpr int64_t kRemovalAttemptsMax = 6;  // then it is stuck, as in Vault irrevocable
constexpr base::Duration kFirstBackoff = std::chrono::seconds(5);  // after a failure, then doubled
constexpr base::Duration kBackoffMax = std::chrono::minutes(10);
constexpr base::Duration kStuckInterval = std::chrono::hours(1);
constexpr size_t kLeaseSweepRows = 250;  // leases moved in one commit
constexpr int kLeaseSweepsInARow = 40;   // commits of one kind in one turn
constexpr base::Duration kRemovalInterval = std::chrono::seconds(1);  // of turns when not woken

constexpr base::Duration kTendInterval = std::chrono::seconds(5);  // between turns of an engine
constexpr int kTendsInARow = 50;        // pieces of one engine's work in one turn
constexpr size_t kEraseRowsMax = 1000;  // rows of a disabled mount in one commit

struct RemovalParts {
  storage::Store& store;
  Keeper& keeper;
  audit::Log& record;
  const base::Clock& clock;
  base::Random& random;
  const base::Log& log;
  logical::Limits lease_limits;
};

class Removal {
 public:
  explicit Removal(RemovalParts parts) : parts_(parts) {}
  ~Removal() { stop(); }
  Removal(const Removal&) = delete;

  void start();
  // Waits for the engines that are being called now.
  void stop();
  // There may be work. Any thread.
  void wake();
  // Waits until something was removed, or so long. Any thread that may block.
  void wait_for_progress(base::Duration most);
  // One turn on the caller's thread, calling engines too, until nothing is left that is due now:
  // for tests and simulation, instead of start().
  void run_due();

  // How the outside systems that have queues are doing, for sys/leases/queue. Any thread.
  struct Target {
    std::string name;  // of its queue
    size_t running = 0;
    int64_t failures = 0;    // in a row
    base::Duration rests{};  // from now
    std::string last_error;
  };
  std::vector<Target> targets() const;
  struct Counters {
    std::atomic<uint64_t> removed{0}, failed{0}, stuck{0};
  };
  const Counters& counters() const { return counters_; }

 private:
  struct Health {
    size_t running = 0;
    std::set<std::string> in_flight;  // lease ids
    int64_t failures = 0;
    base::Duration rests_until{};  // monotonic
    std::string last_error;
  };
  struct Work {
    std::string queue, id;  // of a lease, or
    std::shared_ptr<const logical::Mount> tended;
  };
  void dispatch();
  void work();
  void turn();
  void sweep(std::string_view what, base::Result<bool> (*step)(const lease::Sweep&));
  base::Result<bool> sweep_once(base::Result<bool> (*step)(const lease::Sweep&));
  // Erases what disabled mounts left, once none of their leases is.
  base::Result<void> finish_disabled_mounts();
  base::Result<bool> has_leases(storage::Reader& reader, barrier::Txn& txn,
                                const logical::Mount& mount);
  base::Result<void> erase_mount(const logical::Mount& mount);
  void recount_quotas();
  // Work of engines that falls due by itself.
  void hand_out_tending();
  void tend(const logical::Mount& mount);
  base::Result<bool> tend_once(const logical::Mount& mount);
  // Hands out what is due and may be done now. True when something was.
  base::Result<bool> hand_out();
  base::Result<size_t> hand_out_of(const std::string& queue);
  void perform(const Work& work);
  // What became of it; success also where it was gone already.
  base::Result<void> remove(const std::string& id);
  base::Result<void> note_failure(lease::Lease lease, const base::Error& error, barrier::Txn& txn);
  void append_record(const State& state, const lease::Lease& lease,
                     const base::Result<void>& outcome);
  base::Duration backoff(int64_t failures);

  RemovalParts parts_;
  mutable std::mutex mutex_;
  std::condition_variable dispatcher_wakes_, worker_wakes_, progress_;
  bool stopping_ = false, woken_ = false;
  std::deque<Work> work_;
  std::set<std::string> tending_;                  // uuids of mounts
  base::Duration tend_again_{}, recount_again_{};  // monotonic
  std::map<std::string, Health> health_;           // of targets with something to do or to remember
  Counters counters_;
  std::vector<std::thread> threads_;
};

}  // namespace rekey::pipeline
