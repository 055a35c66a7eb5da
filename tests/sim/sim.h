// The simulation: one server and the machine below it, played step by step from one seed.
//
// The real chain, engines, tokens, barrier and record run on a store, a disk and a clock that are
// made up; which of them goes on next is drawn, and so are requests, crashes, faults and jumps of
// the clock. After every step what was answered is held against the Model. One thread; the same
// seed gives the same run.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/testing/harness.h"
#include "audit/testing/fault_disk.h"
#include "base/random.h"
#include "sim/held_store.h"
#include "sim/model.h"
#include "storage/memory_store.h"
#include "storage/testing/fault_store.h"

namespace rekey::sim {

struct Options {
  uint64_t seed = 1;
  uint64_t steps = 100'000;
  uint64_t trace_from = UINT64_MAX;  // prints what happens from this step on
  std::string program;               // to be named where a run fails
};

// A request on its way.
struct Operation {
  app::testing::Ask ask;
  std::string id;
  int token = -1;      // of the model; -1: a token that doesn't exist
  int area = kNoArea;  // whose policies decide; kMaking for token creation
  uint64_t begun = 0;  // step
  bool life_over = false;
  Model::Handle pending;
  // How it ended; what it wrote is there, isn't, or nobody knows.
  std::function<void(const logical::Response&)> done;
  std::function<void()> missing;
  std::function<void()> refused;
  std::function<void()> unknown;
  static constexpr int kNoArea = -2;
  static constexpr int kMaking = -1;
};

class Simulation {
 public:
  explicit Simulation(const Options& options);
  ~Simulation();

  // False: an invariant does not hold; what and where was printed.
  bool run();
  uint64_t digest() const { return digest_; }  // of all that happened
  std::string summary() const;

 private:
  using Harness = app::testing::Harness;
  using Pick = std::shared_ptr<Operation>;

  uint64_t below(uint64_t bound) { return random_.number() % bound; }
  bool chance(uint64_t in_thousand) { return below(1000) < in_thousand; }
  void trace(const std::string& what);
  void violated(const std::string& what);

  // --- the schedule ---
  void step();
  void go_on();  // whoever has something to do
  void settle_down();
  void drain();
  void move_clock();
  void upkeep();
  void tend();
  void sweep();
  void weather();
  void calm();

  // --- the machine (machine.cc) ---
  void start();
  void crash();
  void check_record();
  void verify_record();
  void unseal();
  void put_back_older_store();
  void damage_a_row();

  // --- requests (operations.cc) ---
  void begin_something();
  void begin(Pick operation);
  void finish(Operation& operation, const Harness::Answer& answer);
  void judge(Operation& operation, const Harness::Answer& answer);
  void judge_served(Operation& operation);
  void judge_unauthenticated(Operation& operation);
  bool fault_excuses(const Operation& operation) const;
  int some_token();
  Pick make(logical::Operation kind, std::string path, std::string body, int token);
  void change(const Pick& operation, Cell& cell, Value value);
  void read_row(int token, int area, int key);
  void write_row();
  void delete_row();
  void write_policy();
  void make_token();
  void revoke_token();
  void renew_token();
  void look_up_token();
  void guess_token();
  void seal();
  void check_value(const Operation& operation, const Cell& cell, const logical::Response& response);

  const Options options_;
  base::SeededRandom random_;
  base::FakeClock clock_;
  storage::MemoryStore memory_;
  storage::FaultStore faults_;
  HeldStore held_;
  std::shared_ptr<audit::FaultDisk> disk_;
  std::unique_ptr<Harness> server_;
  Model model_;

  uint64_t step_ = 0;
  bool failed_ = false;
  uint64_t digest_ = 14695981039346656037ull;
  uint64_t crashes_ = 0, requests_ = 0, served_ = 0, faulty_ = 0, sweeps_ = 0;
  int life_ = 0;
  bool playing_dead_ = false;  // the requests of a crashed server end, unheard
  bool stormy_ = false;
  uint64_t last_fault_ = 0;  // step
  uint64_t unseal_at_ = 0;
  bool sweeping_ = false, reload_due_ = false;
  Value next_value_ = 1;
  std::string share_;                 // unseals
  int64_t latest_s_ = 0;              // the latest time that any of the servers saw
  std::vector<std::string> damaged_;  // keys

  std::map<std::string, int> answered_;  // request id to status, of this life
  uint64_t checked_entries_ = 0;
  std::vector<std::string> kept_checkpoints_;
};

}  // namespace rekey::sim
