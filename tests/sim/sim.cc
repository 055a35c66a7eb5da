#include "sim/sim.h"

#include <cstdio>

#include "base/check.h"
#include "identity/token_store.h"
#include "system/seal_control.h"

namespace rekey::sim {
namespace {

constexpr uint64_t kHour = 3600;
constexpr uint64_t kYear = 365 * 24 * kHour;
constexpr uint64_t kSettleEvery = 1500;  // steps
constexpr int kDrainStepsMax = 20'000;
constexpr size_t kSweepRows = 20;
constexpr uint64_t kTracedSteps = 2000;  // before a failure, when it is played again

}  // namespace

Simulation::Simulation(const Options& options)
    : options_(options),
      random_(options.seed),
      faults_(memory_, options.seed + 1),
      held_(faults_),
      disk_(std::make_shared<audit::FaultDisk>(options.seed + 2)) {
  start();
  held_.set_direct(true);
  server_->set_up();
  held_.set_direct(false);
  share_ = server_->unseal_share();
  Token root;
  root.root = true;
  root.text = server_->root();
  root.alive.possible = {1};
  root.linked.possible = {0};
  model_.add_token(std::move(root));
}

Simulation::~Simulation() = default;

void Simulation::trace(const std::string& what) {
  for (const char c : what) digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  if (step_ >= options_.trace_from) std::printf("%8lu  %s\n", step_, what.c_str());
}

void Simulation::violated(const std::string& what) {
  trace("VIOLATED: " + what);
  if (!failed_) {
    std::printf("step %lu: %s\nplay it again: %s --seed %lu --steps %lu --trace-from %lu\n", step_,
                what.c_str(), options_.program.c_str(), options_.seed, options_.steps,
                step_ > kTracedSteps ? step_ - kTracedSteps : 0ul);
  }
  failed_ = true;
}

std::string Simulation::summary() const {
  return std::to_string(step_) + " steps, " + std::to_string(requests_) + " requests, " +
         std::to_string(served_) + " served, " + std::to_string(faulty_) + " met a fault, " +
         std::to_string(crashes_) + " crashes, " + std::to_string(checked_entries_) + " entries, " +
         std::to_string(model_.tokens()) + " tokens, " + std::to_string(sweeps_) + " sweeps";
}

bool Simulation::run() {
  while (step_ < options_.steps && !failed_) {
    step_++;
    step();
    if (disk_->dead()) crash();
  }
  if (!failed_) settle_down();
  if (!failed_) crash();
  if (!failed_) verify_record();
  if (!failed_) drain();
  return !failed_;
}

void Simulation::step() {
  if (unseal_at_ != 0 && step_ >= unseal_at_) return unseal();
  if (step_ % kSettleEvery == 0) return settle_down();
  const uint64_t drawn = below(1000);
  if (drawn < 260) return begin_something();
  if (drawn < 940) return go_on();
  if (drawn < 965) return move_clock();
  if (drawn < 985) return upkeep();
  if (drawn < 996) return weather();
  if (drawn < 999) return crash();
  disk_->die_at(1 + below(12));
}

// One of those that have something to do: a lane, the pool, the store, the record's threads.
void Simulation::go_on() {
  if (stormy_ || !server_->record().health().writable) last_fault_ = step_;
  switch (below(8)) {
    case 0:
    case 1:
    case 2:
      server_->step_lane(below(server_->lanes()));
      return;
    case 3:
      held_.set_direct(true);
      server_->step_pool();
      held_.set_direct(false);
      return;
    case 4:
    case 5:
      held_.step();
      return;
    case 6:
      server_->record().commit_step();
      return;
    default:
      server_->record().publish_step();
      if (reload_due_) {
        reload_due_ = false;
        (void)server_->keeper().reload_cutoffs();
      }
  }
}

// What Upkeep's thread does in the background.
void Simulation::upkeep() {
  if (chance(300)) return tend();
  sweep();
}

// Pays for encryptions, rotates the key where that is due, raises the epoch. It waits for its
// commits, which overtake those that are queued, as another thread's may.
void Simulation::tend() {
  const auto before = server_->barrier().keyring();
  if (before == nullptr) return;
  trace("tend");
  held_.set_direct(true);
  if (auto tended = server_->barrier().tend(); !tended) trace(tended.error().describe());
  if (chance(20)) {
    if (auto term = server_->barrier().rotate(); !term) trace(term.error().describe());
  }
  if (server_->barrier().keyring() != before) (void)server_->keeper().reload_keyring();
  if (chance(200)) (void)server_->keeper().advance_epoch();
  held_.set_direct(false);
}

// Reads now, commits later, renews the table.
void Simulation::sweep() {
  latest_s_ =
      std::max(latest_s_,
               std::chrono::floor<std::chrono::seconds>(server_->now()).time_since_epoch().count());
  const auto state = server_->keeper().state().get();
  if (state == nullptr || sweeping_) return;
  auto reader = held_.open_reader();
  if (!reader) return;
  base::SeededRandom random(random_.number());
  barrier::Txn txn(**reader, *state->keyring, random);
  const uint64_t kind = below(3);
  auto more = kind == 0   ? identity::sweep_expired(txn, server_->now(), kSweepRows)
              : kind == 1 ? identity::sweep_revoked(txn, kSweepRows)
                          : identity::sweep_cut(**reader, txn, kSweepRows);
  if (!more || !txn.has_writes()) return;
  auto batch = txn.take_batch();
  if (!batch) return;
  sweeping_ = true;
  sweeps_++;
  trace("sweep");
  held_.commit(std::move(*batch), [this](storage::Result<storage::Revision> result) {
    sweeping_ = false;
    if (result) reload_due_ = true;
  });
}

void Simulation::move_clock() {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  const uint64_t drawn = below(1000);
  if (drawn < 800) return clock_.advance(milliseconds(below(3000)));
  if (drawn < 980) return clock_.advance(seconds(below(300)));
  const uint64_t far = drawn < 997 ? kHour : kYear;
  trace("the clock jumps");
  clock_.jump_wall(seconds(chance(500) ? static_cast<int64_t>(far) : -static_cast<int64_t>(far)));
}

// Faults come and go.
void Simulation::weather() {
  if (stormy_) {
    calm();
    return tend();  // as Upkeep does within a second
  }
  trace("storm");
  stormy_ = true;
  const uint64_t kind = below(4);
  if (kind == 0) {
    faults_.set_chances({.commit_fails = 60,
                         .commit_conflicts = 60,
                         .commit_unknown_written = 30,
                         .commit_unknown_lost = 30,
                         .read_fails = 5});
  } else if (kind == 1) {
    disk_->fail_between(1, 1 + below(20));
  } else if (kind == 2) {
    for (uint64_t i = 0; i <= below(5); i++) damage_a_row();
  } else {
    faults_.set_read_only(true);
  }
}

void Simulation::calm() {
  if (stormy_) last_fault_ = step_;
  stormy_ = false;
  faults_.set_chances({});
  faults_.set_read_only(false);
  disk_->fail_between(0, 0);
  for (const std::string& key : damaged_) faults_.damage(key, storage::ReadFault::kNone);
  damaged_.clear();
}

// Until nothing is on its way any more.
void Simulation::drain() {
  for (int i = 0; server_->in_flight() > 0 || held_.queued() > 0; i++) {
    if (i == kDrainStepsMax) return violated("requests hang");
    go_on();
    if (disk_->dead()) return crash();
  }
}

// The faults end, the server is looked at in peace: what the model knows is what is there.
void Simulation::settle_down() {
  calm();
  disk_->die_at(0);
  drain();
  if (failed_) return;
  if (model_.sealed().may_be(1)) unseal();
  tend();
  if (reload_due_) {
    reload_due_ = false;
    (void)server_->keeper().reload_cutoffs();
  }
  // A record whose syncs failed serves nothing until the process starts anew.
  if (!server_->record().health().reason.empty()) return crash();
  for (int area = 0; area < kAreas; area++) {
    for (int key = 0; key < kKeys; key++) read_row(0, area, key);
  }
  drain();
  if (server_->seal_control().sealed() || server_->keeper().state().get() == nullptr) {
    violated("unsealed, the model says");
  }
}

}  // namespace rekey::sim
