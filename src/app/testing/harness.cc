#include "app/testing/harness.h"

#include <chrono>
#include <thread>

#include "app/backends.h"
#include "base/check.h"
#include "base/codec.h"
#include "identity/token_store.h"

namespace rekey::app::testing {

// Runs blocking work at once or, in a stepped harness, when it is told to; with a lane of its own,
// as a pool's thread would.
class Harness::TestPool final : public pipeline::Pool {
 public:
  TestPool(storage::Store& store, const base::Snapshot<pipeline::State>& state, bool stepped)
      : store_(store), state_(state), stepped_(stepped) {}

  bool run(std::function<void(pipeline::Lane&)> work) override {
    queue_.push_back(std::move(work));
    if (!stepped_) step();
    return true;
  }
  bool step() {
    if (queue_.empty()) return false;
    const auto work = std::move(queue_.front());
    queue_.pop_front();
    auto reader = store_.open_reader();
    REKEY_CHECK(reader.has_value());
    pipeline::Lane lane(std::move(*reader), state_, [](Work posted) { posted(); });
    REKEY_CHECK(lane.refresh().has_value());
    work(lane);
    return true;
  }

 private:
  storage::Store& store_;
  const base::Snapshot<pipeline::State>& state_;
  const bool stepped_;
  std::deque<std::function<void(pipeline::Lane&)>> queue_;
};

Harness::Harness(storage::Store& store, uint64_t seed, std::unique_ptr<audit::Disk> record_disk)
    : Harness(store, Options{.seed = seed, .disk = std::move(record_disk)}) {}

Harness::Harness(storage::Store& store, Options options)
    : store_(store),
      stepped_(options.stepped),
      fake_clock_(options.clock == nullptr ? own_clock_ : *options.clock),
      clock_(fake_clock_),
      random_(options.seed),
      log_(clock_, -1) {
  record_ = open_record(options);
  index_ = std::make_unique<audit::Index>(*record_, audit::Index::Options{.enabled = false}, log_);
  barrier_ = std::make_unique<barrier::Barrier>(store_, random_, clock_);
  keeper_ = std::make_unique<pipeline::Keeper>(store_, *barrier_, catalog_, "", random_, log_);
  devices_ = std::make_unique<pipeline::DeviceTable>(clock_, log_);
  keeper_->use_devices(*devices_);
  seal_control_ = std::make_unique<system::SealControl>(system::SealControlParts{
      store_, *barrier_, seal_, *keeper_, *record_, clock_, random_, log_});
  removal_ = std::make_unique<pipeline::Removal>(pipeline::RemovalParts{.store = store_,
                                                                        .keeper = *keeper_,
                                                                        .record = *record_,
                                                                        .clock = clock_,
                                                                        .random = random_,
                                                                        .log = log_});
  add_backends(catalog_,
               {.keeper = *keeper_,
                .catalog = catalog_,
                .seal_control = *seal_control_,
                .barrier = *barrier_,
                .store = store_,
                .record = *record_,
                .index = *index_,
                .clock = clock_,
                .random = random_,
                .log = log_,
                .storage_type = "inmem"},
               std::make_shared<const net::Outgoing>(options.outgoing, options.outgoing_times));
  pool_ = std::make_unique<TestPool>(store_, keeper_->state(), stepped_);
  auto sealed_sys = std::make_shared<logical::Mount>();
  sealed_sys->path = "sys/";
  sealed_sys->type = "system";
  sealed_sys->backend = catalog_.make(*sealed_sys);
  chain_ = std::make_unique<pipeline::Chain>(pipeline::ChainParts{
      *keeper_, store_, *record_, *pool_, *pool_, clock_, random_, log_, sealed_sys, {}});
  for (size_t i = 0; i < options.lanes; i++) add_lane();
}

std::unique_ptr<audit::Log> Harness::open_record(Options& options) {
  audit::Log::Options log_options;
  log_options.origin = "test";
  log_options.in_memory = options.disk == nullptr;
  log_options.retry_interval = std::chrono::milliseconds(10);
  log_options.stepped = stepped_;
  if (stepped_) {  // small, so that every edge is met soon
    log_options.group_bytes_max = 80 * 1024;
    log_options.wal_segment_bytes = 128 * 1024;
  }
  auto record = options.disk == nullptr ? audit::Log::open(log_options, clock_, random_, log_)
                                        : audit::Log::open_on(std::move(options.disk), log_options,
                                                              clock_, random_, log_);
  REKEY_CHECK(record.has_value());
  return std::move(*record);
}

void Harness::add_lane() {
  const size_t number = lanes_.size();
  auto reader = store_.open_reader();
  REKEY_CHECK(reader.has_value());
  posted_.emplace_back();
  lanes_.push_back(std::make_unique<pipeline::Lane>(
      std::move(*reader), keeper_->state(),
      [this, number](Work work) { post(number, std::move(work)); }));
  pipeline::Lane* lane = lanes_.back().get();
  // Whoever seals waits for the lanes, which only a stepped harness can play meanwhile.
  if (stepped_) keeper_->add_lane(*lane);
  record_->add_listener([this, number, lane](const audit::Progress& progress) {
    post(number, [lane, progress] { lane->on_progress(progress); });
  });
}

Harness::~Harness() { record_->close(); }

void Harness::post(size_t lane, Work work) {
  if (sealing_ && keeper_->state().get() == nullptr) return work();
  std::lock_guard lock(mutex_);
  posted_[lane].push_back(std::move(work));
}

std::string Harness::begin(const Ask& ask, std::function<void(Answer)> done, size_t lane_number) {
  struct Held {
    Ask ask;
    logical::Request request;
  };
  auto held = std::make_shared<Held>(Held{ask, {}});
  logical::Request& request = held->request;
  request.id = random_.uuid();
  request.operation = ask.operation;
  request.path = ask.path;
  if (!ask.body.empty()) {
    auto body = base::Json::parse(ask.body);
    REKEY_CHECK(body.has_value());
    request.data = std::move(*body);
  }
  request.token = held->ask.token;
  request.wrap_ttl = ask.wrap_ttl;
  request.origin.address = held->ask.address;
  request.values_named = [ask = &held->ask](std::string_view name) {
    std::vector<std::string_view> values;
    for (const auto& [header, value] : ask->headers) {
      if (header == name) values.push_back(value);
    }
    return values;
  };
  request.received = clock_.wall();
  pipeline::Lane& lane = *lanes_[lane_number];
  REKEY_CHECK(lane.refresh().has_value());
  in_flight_++;
  std::string id = request.id;
  chain_->run(lane, request).start([this, held, done = std::move(done)](Answer answer) {
    in_flight_--;
    done(std::move(answer));
  });
  return id;
}

bool Harness::step_lane(size_t lane) {
  Work work;
  {
    std::lock_guard lock(mutex_);
    if (posted_[lane].empty()) return false;
    work = std::move(posted_[lane].front());
    posted_[lane].pop_front();
  }
  work();
  return true;
}

bool Harness::step_pool() {
  sealing_ = stepped_;
  const bool stepped = pool_->step();
  sealing_ = false;
  return stepped;
}

bool Harness::step_any_lane() {
  for (size_t lane = 0; lane < lanes_.size(); lane++) {
    if (step_lane(lane)) return true;
  }
  return false;
}

// Nothing is posted: the pool and the record have something to do.
void Harness::wait_for_others() {
  if (stepped_) {
    step_pool();
    record_->commit_step();
    return;
  }
  // The record's own thread is at work; its listener posts when it is done.
  record_->flush();
  std::this_thread::sleep_for(std::chrono::microseconds(20));
}

void Harness::pump() {
  while (true) {
    if (step_any_lane()) continue;
    if (in_flight_ == 0) return;
    wait_for_others();
  }
}

// Until its own answer is there: a request may be asked while another is being handled.
Harness::Answer Harness::ask(const Ask& ask) {
  std::optional<Answer> answer;
  begin(ask, [&](Answer given) { answer.emplace(std::move(given)); });
  while (!answer) {
    if (!step_any_lane() && !answer) wait_for_others();
  }
  if (in_flight_ == 0) pump();
  return std::move(*answer);
}

Harness::Answer Harness::read(const std::string& path, const std::string& token) {
  return ask({.path = path, .token = token.empty() ? root_ : token});
}

Harness::Answer Harness::write(const std::string& path, const std::string& body,
                               const std::string& token) {
  return ask({.operation = logical::Operation::kUpdate,
              .path = path,
              .body = body,
              .token = token.empty() ? root_ : token});
}

void Harness::set_up() {
  sealing_ = stepped_;
  auto made = seal_control_->initialize({.shares = {1, 1}});
  sealing_ = false;
  REKEY_CHECK(made.has_value());
  root_ = made->root_token;
  share_ = base::hex_encode(made->shares[0].reveal());
  unseal();
  REKEY_CHECK(write("sys/mounts/secret", R"({"type":"kv","options":{"version":"2"}})").has_value());
  REKEY_CHECK(write("sys/mounts/plain", R"({"type":"kv"})").has_value());
}

base::Result<system::SealStatus> Harness::try_unseal() { return seal_control_->unseal(share_); }

void Harness::unseal() {
  auto status = try_unseal();
  REKEY_CHECK(status.has_value() && !status->sealed);
}

void Harness::sweep_tokens() {
  bool more = true;
  while (more) {
    const auto state = keeper_->state().get();
    auto reader = store_.open_reader();
    REKEY_CHECK(state != nullptr && reader.has_value());
    barrier::Txn txn(**reader, *state->keyring, random_);
    auto expired = identity::sweep_expired(txn, clock_.wall(), 100);
    auto revoked = identity::sweep_revoked(txn, 100);
    auto cut = identity::sweep_cut(**reader, txn, 100);
    REKEY_CHECK(expired && revoked && cut);
    more = *expired || *revoked || *cut;
    if (!txn.has_writes()) break;
    auto batch = txn.take_batch();
    REKEY_CHECK(batch.has_value());
    REKEY_CHECK(store_.commit_and_wait(std::move(*batch)).has_value());
    REKEY_CHECK(keeper_->reload_cutoffs().has_value());
  }
}

std::string Harness::make_token(const std::vector<std::string>& policies, const std::string& more,
                                const std::string& maker) {
  auto made = write("auth/token/create",
                    R"({"policies":)" + base::Json::strings(policies).dump() +
                        (more.empty() ? "" : "," + more) + "}",
                    maker);
  REKEY_CHECK(made.has_value() && made->auth);
  return made->auth->client_token;
}

}  // namespace rekey::app::testing
