// A whole server without a network, on one thread, for tests and simulation: the real chain,
// engines, barrier, memory store and record, with a fake clock. Requests go in as logical::Request
// and their answers come back when everything they wait for has happened. A stepped one does
// nothing by itself: each lane, the pool and the record go on only when they are told to.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "audit/disk.h"
#include "audit/index.h"
#include "audit/log.h"
#include "barrier/barrier.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "net/outgoing.h"
#include "pipeline/chain.h"
#include "pipeline/keeper.h"
#include "pipeline/removal.h"
#include "storage/store.h"
#include "system/seal_control.h"

namespace rekey::app::testing {

struct Ask {
  logical::Operation operation = logical::Operation::kRead;
  std::string path;
  std::string body;  // JSON; empty for none
  std::string token;
  std::string address = "127.0.0.1";
  std::optional<base::Duration> wrap_ttl;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
};

class Harness {
 public:
  using Answer = base::Result<logical::Response>;

  struct Options {
    uint64_t seed = 1;
    base::FakeClock* clock = nullptr;        // null: one of its own
    std::unique_ptr<audit::Disk> disk = {};  // of the record; null: in memory
    size_t lanes = 1;
    bool stepped = false;
    net::OutgoingRules outgoing = {};
    net::OutgoingTimes outgoing_times = {};
  };

  // `store` outlives the harness, which starts sealed and not initialised.
  explicit Harness(storage::Store& store, uint64_t seed = 1,
                   std::unique_ptr<audit::Disk> record_disk = nullptr);
  Harness(storage::Store& store, Options options);
  ~Harness();

  // Initialises with one share, unseals, mounts KV v2 at secret/ and KV v1 at plain/.
  void set_up();
  void unseal();  // with the share that set_up() got
  base::Result<system::SealStatus> try_unseal();
  void set_unseal_share(std::string share) { share_ = std::move(share); }
  const std::string& root() const { return root_; }
  const std::string& unseal_share() const { return share_; }

  Answer ask(const Ask& ask);
  // Starts a request and gives its id; `done` is called by a later pump() or step.
  std::string begin(const Ask& ask, std::function<void(Answer)> done, size_t lane = 0);
  // Runs what was posted until nothing is left and nothing is on its way.
  void pump();

  Answer read(const std::string& path, const std::string& token = {});
  Answer write(const std::string& path, const std::string& body, const std::string& token = {});
  // A new service token with these policies; its text.
  std::string make_token(const std::vector<std::string>& policies, const std::string& more = {},
                         const std::string& maker = {});

  // One piece of what a lane or the pool was given to do; false: nothing waits. The record's steps
  // are its own (audit::Log::commit_step).
  bool step_lane(size_t lane);
  bool step_pool();
  size_t lanes() const { return lanes_.size(); }
  size_t in_flight() const { return in_flight_; }
  base::WallTime now() const { return clock_.wall(); }

  base::FakeClock& clock() { return fake_clock_; }
  audit::Log& record() { return *record_; }
  pipeline::Keeper& keeper() { return *keeper_; }
  pipeline::DeviceTable& devices() { return *devices_; }
  pipeline::Removal& removal() { return *removal_; }  // not started: run_due()
  pipeline::Catalog& catalog() { return catalog_; }
  // What Upkeep does about tokens, until nothing is left to do.
  void sweep_tokens();
  system::SealControl& seal_control() { return *seal_control_; }
  barrier::Barrier& barrier() { return *barrier_; }

 private:
  class TestPool;
  using Work = std::function<void()>;
  std::unique_ptr<audit::Log> open_record(Options& options);
  void add_lane();
  void post(size_t lane, Work work);
  bool step_any_lane();
  void wait_for_others();

  storage::Store& store_;
  const bool stepped_;
  base::FakeClock own_clock_;
  base::FakeClock& fake_clock_;
  base::NeverBackClock clock_;
  base::SeededRandom random_;
  base::Log log_;
  std::unique_ptr<audit::Log> record_;
  std::unique_ptr<audit::Index> index_;  // without a thread
  barrier::ShamirSeal seal_;
  std::unique_ptr<barrier::Barrier> barrier_;
  pipeline::Catalog catalog_;
  std::unique_ptr<pipeline::DeviceTable> devices_;
  std::unique_ptr<pipeline::Keeper> keeper_;
  std::unique_ptr<system::SealControl> seal_control_;
  std::unique_ptr<pipeline::Removal> removal_;
  std::unique_ptr<TestPool> pool_;
  std::unique_ptr<pipeline::Chain> chain_;
  std::vector<std::unique_ptr<pipeline::Lane>> lanes_;
  std::mutex mutex_;
  std::vector<std::deque<Work>> posted_;  // for each lane
  bool sealing_ = false;                  // the only thread waits for the lanes to let go
  size_t in_flight_ = 0;
  std::string root_, share_;
};

}  // namespace rekey::app::testing
