// The machine of the simulation: starting, crashing, and what must be on its disk afterwards.
#include "audit/verify.h"
#include "base/json.h"
#include "sim/sim.h"
#include "system/seal_control.h"

namespace rekey::sim {
namespace {

constexpr int kAfterlifeStepsMax = 100'000;
constexpr size_t kKeptCheckpointsMax = 50;
constexpr uint64_t kVerifyOneIn = 8;  // crashes

// Told to whoever waited for a commit when the power went.
storage::Result<storage::Revision> lost() {
  return base::fail(base::ErrorKind::kTimeout, "the power is gone");
}

}  // namespace

void Simulation::start() {
  held_.set_direct(true);
  server_ = std::make_unique<Harness>(held_, Harness::Options{.seed = random_.number(),
                                                              .clock = &clock_,
                                                              .disk = disk_->handle(),
                                                              .lanes = 2,
                                                              .stepped = true});
  held_.set_direct(false);
  server_->set_unseal_share(share_);
  life_++;
  sweeping_ = reload_due_ = false;
  const auto health = server_->record().health();
  if (health.damaged) violated("the record is damaged: " + health.reason);
}

void Simulation::unseal() {
  unseal_at_ = 0;
  held_.set_direct(true);
  const bool was_sealed = server_->seal_control().sealed();
  auto status = server_->try_unseal();
  held_.set_direct(false);
  if (status && !status->sealed) {
    model_.settle(model_.sealed(), 0);
  } else if (was_sealed && !server_->seal_control().sealed()) {
    violated("it can't be unsealed, it said, but it is open: " +
             (status ? "sealed" : status.error().describe()));
  } else if (stormy_) {
    unseal_at_ = step_ + 1 + below(50);
  } else {
    violated("it can't be unsealed: " + (status ? "sealed" : status.error().describe()));
  }
}

// The process and its machine are gone in the middle of whatever they were doing.
void Simulation::crash() {
  trace("crash");
  crashes_++;
  const bool power_lost = chance(600);
  if (auto checkpoint = server_->record().last_checkpoint();
      checkpoint && kept_checkpoints_.size() < kKeptCheckpointsMax) {
    kept_checkpoints_.push_back(checkpoint->note);
  }
  playing_dead_ = true;
  if (power_lost)
    disk_->lose_power();
  else
    disk_->restart();
  calm();
  auto waited = held_.crash(random_);
  faults_.set_read_only(true);
  for (auto& done : waited) done(lost());
  // What is left of it comes to its end; it reaches neither disk nor store, and nobody hears it.
  for (int i = 0; server_->in_flight() > 0; i++) {
    if (i == kAfterlifeStepsMax) violated("requests never end");
    if (failed_) return;
    for (size_t lane = 0; lane < server_->lanes(); lane++) server_->step_lane(lane);
    server_->step_pool();
    while (held_.step()) {
    }
    server_->record().commit_step();
  }
  server_.reset();
  faults_.set_read_only(false);
  playing_dead_ = false;
  start();
  check_record();
  if (chance(50)) put_back_older_store();
  model_.settle(model_.sealed(), 1);
  unseal();
}

// Invariants 1 and 5: whatever was answered is recorded, once and with what was answered.
void Simulation::check_record() {
  std::map<std::string, int> found;
  const uint64_t size = server_->record().readable_size();
  auto next = server_->record().read(
      checked_entries_, SIZE_MAX, [&](uint64_t index, std::string_view text) {
        if (text.find("canary") != std::string_view::npos) {
          violated("a value stands in entry " + std::to_string(index));
        }
        const auto entry = base::Json::parse(text);
        if (!entry) {
          violated("entry " + std::to_string(index) + " is no JSON");
          return false;
        }
        const base::Json* status = entry->find("status");
        const std::string id = entry->string_or("id", "");
        if (found.contains(id)) violated("recorded twice: " + id);
        found[id] = status == nullptr ? 0 : static_cast<int>(status->as_int().value_or(0));
        return true;
      });
  if (!next || *next != size) return violated("the record can't be read");
  for (const auto& [id, status] : answered_) {
    const auto entry = found.find(id);
    if (entry == found.end()) {
      violated("request " + id + " was answered and is not recorded");
    } else if (entry->second != status) {
      violated("request " + id + " was answered " + std::to_string(status) + " and recorded " +
               std::to_string(entry->second));
    }
  }
  answered_.clear();
  checked_entries_ = size;
  if (below(kVerifyOneIn) == 0) verify_record();
}

// Invariant 9: the files prove themselves, and every checkpoint that somebody kept.
void Simulation::verify_record() {
  auto disk = disk_->handle();
  auto report = audit::verify_log(
      *disk, {.key = std::nullopt, .kept_checkpoints = kept_checkpoints_, .threads = 1});
  if (!report) return violated("verify: " + report.error().describe());
  if (!report->ok()) {
    violated("verify: " + report->findings[0].place + ": " + report->findings[0].problem);
  }
}

// Invariant 4: a whole store of an earlier day must be noticed. (A copy with all its rows, but a
// smaller revision.)
void Simulation::put_back_older_store() {
  const uint64_t floor = server_->record().store_revision_floor();
  auto reader = memory_.open_reader();
  if (!reader || (floor & ((uint64_t{1} << barrier::kEpochShift) - 1)) < 3) return;
  storage::MemoryStore older;
  storage::Batch batch;
  const auto keys = (*reader)->scan("", "", SIZE_MAX);
  if (!keys || keys->size() > 10'000) return;
  for (const std::string& key : *keys) {
    auto item = (*reader)->get(key);
    if (item && *item) batch.puts.push_back({key, std::string((*item)->value)});
  }
  if (!older.commit_and_wait(std::move(batch))) return;
  server_.reset();
  server_ = std::make_unique<Harness>(older, Harness::Options{.seed = random_.number(),
                                                              .clock = &clock_,
                                                              .disk = disk_->handle(),
                                                              .lanes = 1,
                                                              .stepped = true});
  server_->set_unseal_share(share_);
  auto opened = server_->try_unseal();
  if (opened) {
    // Where nothing was recorded since the epoch was raised the copy is no older than the record.
    auto copy = older.open_reader();
    const auto epoch = copy ? server_->barrier().epoch(**copy) : base::Result<uint64_t>(0);
    const uint64_t before = epoch.value_or(0) - 1;  // unsealing raised it
    if (before <= floor >> barrier::kEpochShift) violated("an older store was not noticed");
  } else if (opened.error().kind() != base::ErrorKind::kPrecondition) {
    violated("an older store met another error: " + opened.error().describe());
  }
  server_.reset();
  start();
}

// Invariant 4: whatever the disk makes of a row, it is not served.
void Simulation::damage_a_row() {
  auto reader = memory_.open_reader();
  if (!reader) return;
  const auto keys = (*reader)->scan("", "", SIZE_MAX);
  if (!keys || keys->empty()) return;
  static constexpr storage::ReadFault kKinds[] = {
      storage::ReadFault::kAltered, storage::ReadFault::kTruncated, storage::ReadFault::kExtended,
      storage::ReadFault::kSwapped};
  const std::string& key = (*keys)[below(keys->size())];
  trace("damage " + key);
  damaged_.push_back(key);
  faults_.damage(key, kKinds[below(4)], (*keys)[below(keys->size())]);
}

}  // namespace rekey::sim
