#include "app/testing/harness.h"

#include <chrono>
#include <thread>

#include "app/backends.h"
#include "base/check.h"
#include "base/codec.h"

namespace rekey::app::testing {

// Runs blocking work at once, with a lane of its own, as a pool's thread would.
class Harness::InlinePool final : public pipeline::Pool {
 public:
  InlinePool(storage::Store& store, const base::Snapshot<pipeline::State>& state)
      : store_(store), state_(state) {}
  bool run(std::function<void(pipeline::Lane&)> work) override {
    auto reader = store_.open_reader();
    REKEY_CHECK(reader.has_value());
    pipeline::Lane lane(std::move(*reader), state_, [](std::function<void()> posted) { posted(); });
    REKEY_CHECK(lane.refresh().has_value());
    work(lane);
    return true;
  }

 private:
  storage::Store& store_;
  const base::Snapshot<pipeline::State>& state_;
};

Harness::Harness(storage::Store& store, uint64_t seed, std::unique_ptr<audit::Disk> record_disk)
    : store_(store), clock_(fake_clock_), random_(seed), log_(clock_, -1) {
  audit::Log::Options options;
  options.origin = "test";
  options.in_memory = record_disk == nullptr;
  options.retry_interval = std::chrono::milliseconds(10);
  auto record = record_disk == nullptr
                    ? audit::Log::open(options, clock_, random_, log_)
                    : audit::Log::open_on(std::move(record_disk), options, clock_, random_, log_);
  REKEY_CHECK(record.has_value());
  record_ = std::move(*record);
  barrier_ = std::make_unique<barrier::Barrier>(store_, random_, clock_);
  keeper_ = std::make_unique<pipeline::Keeper>(store_, *barrier_, catalog_, "", random_, log_);
  devices_ = std::make_unique<pipeline::DeviceTable>(clock_, log_);
  keeper_->use_devices(*devices_);
  seal_control_ = std::make_unique<system::SealControl>(system::SealControlParts{
      store_, *barrier_, seal_, *keeper_, *record_, clock_, random_, log_});
  add_backends(catalog_, {.keeper = *keeper_,
                          .catalog = catalog_,
                          .seal_control = *seal_control_,
                          .barrier = *barrier_,
                          .store = store_,
                          .record = *record_,
                          .clock = clock_,
                          .random = random_,
                          .log = log_,
                          .storage_type = "inmem"});
  pool_ = std::make_unique<InlinePool>(store_, keeper_->state());
  auto sealed_sys = std::make_shared<logical::Mount>();
  sealed_sys->path = "sys/";
  sealed_sys->type = "system";
  sealed_sys->backend = catalog_.make(*sealed_sys);
  chain_ = std::make_unique<pipeline::Chain>(pipeline::ChainParts{
      *keeper_, store_, *record_, *pool_, clock_, random_, log_, sealed_sys, {}});
  auto reader = store_.open_reader();
  REKEY_CHECK(reader.has_value());
  lane_ = std::make_unique<pipeline::Lane>(
      std::move(*reader), keeper_->state(),
      [this](std::function<void()> work) { post(std::move(work)); });
  record_->add_listener([this](const audit::Progress& progress) {
    post([this, progress] { lane_->on_progress(progress); });
  });
}

Harness::~Harness() { record_->close(); }

void Harness::post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  posted_.push_back(std::move(work));
}

void Harness::begin(const Ask& ask, std::function<void(Answer)> done) {
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
  REKEY_CHECK(lane_->refresh().has_value());
  in_flight_++;
  chain_->run(*lane_, request).start([this, held, done = std::move(done)](Answer answer) {
    in_flight_--;
    done(std::move(answer));
  });
}

void Harness::pump() {
  while (true) {
    std::vector<std::function<void()>> ready;
    {
      std::lock_guard lock(mutex_);
      ready.swap(posted_);
    }
    for (auto& work : ready) work();
    if (!ready.empty()) continue;
    if (in_flight_ == 0) return;
    // The record's own thread is at work; its listener posts when it is done.
    record_->flush();
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

Harness::Answer Harness::ask(const Ask& ask) {
  std::optional<Answer> answer;
  begin(ask, [&](Answer given) { answer.emplace(std::move(given)); });
  pump();
  REKEY_CHECK(answer.has_value());
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
  auto made = seal_control_->initialize({.shares = {1, 1}});
  REKEY_CHECK(made.has_value());
  root_ = made->root_token;
  share_ = base::hex_encode(made->shares[0].reveal());
  unseal();
  REKEY_CHECK(write("sys/mounts/secret", R"({"type":"kv","options":{"version":"2"}})").has_value());
  REKEY_CHECK(write("sys/mounts/plain", R"({"type":"kv"})").has_value());
}

void Harness::unseal() {
  auto status = seal_control_->unseal(share_);
  REKEY_CHECK(status.has_value() && !status->sealed);
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
