#include "app/instance.h"

#include <filesystem>

#include "app/backends.h"
#include "app/upkeep.h"
#include "storage/lmdb_store.h"
#include "storage/memory_store.h"

namespace rekey::app {
namespace {

using base::ErrorKind;
using base::Result;

constexpr std::chrono::milliseconds kDrainPatience{5000};

}  // namespace

Instance::Instance(Settings settings, const base::Clock& clock, base::Random& random,
                   base::Log& log)
    : settings_(std::move(settings)), clock_(clock), random_(random), log_(log) {}

Instance::~Instance() { stop(); }

Result<std::unique_ptr<Instance>> Instance::start(Settings settings, const base::Clock& clock,
                                                  base::Random& random, base::Log& log) {
  std::unique_ptr<Instance> instance(new Instance(std::move(settings), clock, random, log));
  auto opened = instance->open_parts();
  if (!opened) return forward(opened);
  instance->build_pipeline();
  auto listening = instance->listen();
  if (!listening) return forward(listening);
  return instance;
}

Result<void> Instance::open_parts() {
  if (settings_.storage == StorageKind::kMemory) {
    store_ = std::make_unique<storage::MemoryStore>();
  } else {
    auto store = storage::LmdbStore::open({.folder = settings_.data_folder}, clock_, log_);
    if (!store) return forward(store);
    storage::LmdbStore* lmdb = store->get();
    backup_source_ = {.folder = settings_.data_folder,
                      .copy = [lmdb](const auto& sink) { return lmdb->backup(sink, {}); },
                      .bytes_bound = [lmdb] { return lmdb->health().bytes_used; }};
    store_ = std::move(*store);
  }
  audit::Log::Options options;
  options.origin = settings_.cluster_name.empty() ? "rekey" : settings_.cluster_name;
  options.in_memory = settings_.audit_folder.empty();
  options.directory = settings_.audit_folder;
  auto record = audit::Log::open(std::move(options), clock_, random_, log_);
  if (!record) return forward(record);
  record_ = std::move(*record);
  audit::Index::Options index;
  if (!settings_.audit_folder.empty()) index.directory = settings_.audit_folder + "/index";
  index_ = std::make_unique<audit::Index>(*record_, std::move(index), log_);
  if (settings_.audit_retention) {
    retention_ = std::make_unique<audit::RetentionJob>(
        *record_,
        audit::RetentionJob::Options{.keep = *settings_.audit_retention,
                                     .archive = settings_.audit_archive},
        clock_, log_);
  }
  if (settings_.static_key_file.empty()) {
    seal_ = std::make_unique<barrier::ShamirSeal>();
  } else {
    const bool make =
        settings_.make_static_key && !std::filesystem::exists(settings_.static_key_file);
    auto seal = make ? barrier::StaticKeySeal::create(settings_.static_key_file, random_)
                     : barrier::StaticKeySeal::open(settings_.static_key_file);
    if (!seal) return forward(seal);
    if (!settings_.previous_key_file.empty()) {
      // Once it has been replaced the file may be gone; if it is needed, unsealing says so.
      auto previous = barrier::StaticKeySeal::open(settings_.previous_key_file);
      if (previous) {
        (*seal)->set_previous(std::move(*previous));
      } else {
        log_.warn("app", "the seal's previous key is left out",
                  {{"reason", previous.error().message()}});
      }
    }
    seal_ = std::move(*seal);
  }
  barrier_ = std::make_unique<barrier::Barrier>(*store_, random_, clock_);
  return {};
}

void Instance::fill_catalog() {
  add_backends(catalog_,
               {.keeper = *keeper_,
                .catalog = catalog_,
                .seal_control = *seal_control_,
                .barrier = *barrier_,
                .store = *store_,
                .record = *record_,
                .index = *index_,
                .clock = clock_,
                .random = random_,
                .log = log_,
                .storage_type = settings_.storage_type,
                .api_address = settings_.api_address,
                .started = clock_.wall(),
                .in_flight = [this] { return requests_in_flight(); },
                .lease_limits = settings_.lease_limits,
                .configuration = settings_.sanitized,
                .metrics_prefix = settings_.metrics_prefix,
                .backups = backups_.get(),
                .removal = removal_.get(),
                .metrics = [this](base::MetricsPage& page) { collect_metrics(page); }},
               std::make_shared<const net::Outgoing>(settings_.outgoing));
}

void Instance::build_pipeline() {
  keeper_ = std::make_unique<pipeline::Keeper>(*store_, *barrier_, catalog_, settings_.cluster_name,
                                               random_, log_);
  devices_ = std::make_unique<pipeline::DeviceTable>(
      clock_, log_, std::vector<std::string>{settings_.data_folder, settings_.audit_folder});
  keeper_->use_devices(*devices_);
  seal_control_ = std::make_unique<system::SealControl>(system::SealControlParts{
      *store_, *barrier_, *seal_, *keeper_, *record_, clock_, random_, log_});
  if (settings_.accept_older_store) seal_control_->accept_older_store();
  backups_ = std::make_unique<system::BackupControl>(backup_source_, clock_, random_, log_);
  removal_ = std::make_unique<pipeline::Removal>(
      pipeline::RemovalParts{.store = *store_,
                             .keeper = *keeper_,
                             .record = *record_,
                             .clock = clock_,
                             .random = random_,
                             .log = log_,
                             .lease_limits = settings_.lease_limits});
  fill_catalog();
  pool_ = std::make_unique<WorkerPool>(kPoolThreads, *store_, keeper_->state(), log_);
  outside_pool_ = std::make_unique<WorkerPool>(kOutsideThreads, *store_, keeper_->state(), log_);
  auto sealed_sys = std::make_shared<logical::Mount>();
  sealed_sys->path = "sys/";
  sealed_sys->type = "system";
  sealed_sys->backend = catalog_.make(*sealed_sys);
  chain_ = std::make_unique<pipeline::Chain>(
      pipeline::ChainParts{*keeper_, *store_, *record_, *pool_, *outside_pool_, clock_, random_,
                           log_, sealed_sys, settings_.lease_limits, settings_.user_lockout});
}

Result<void> Instance::listen() {
  Result<void> problem;
  auto server = net::Server::start(
      settings_.server,
      [&](net::Loop& loop) -> std::unique_ptr<net::Handler> {
        auto reader = store_->open_reader();
        if (!reader) {
          problem = forward(reader);
          return nullptr;
        }
        lanes_.push_back(std::make_unique<pipeline::Lane>(
            std::move(*reader), keeper_->state(),
            [&loop](std::function<void()> work) { loop.post(std::move(work)); }));
        pipeline::Lane& lane = *lanes_.back();
        keeper_->add_lane(lane);
        record_->add_listener([&lane](const audit::Progress& progress) {
          lane.post([&lane, progress] { lane.on_progress(progress); });
        });
        auto handler = std::make_unique<api::vault::Handler>(api::vault::HandlerParts{
            *chain_, lane, *record_, clock_, random_, log_, settings_.metrics_open});
        handlers_.push_back(handler.get());
        return handler;
      },
      log_, clock_);
  if (!problem) return problem;
  if (!server) return forward(server);
  server_ = std::move(*server);
  auto initialized = seal_control_->initialized();
  if (!initialized) return forward(initialized);
  if (*initialized && !seal_->needs_shares()) {
    auto opened = seal_control_->open_by_itself();
    if (!opened) return opened;
  }
  removal_->start();
  upkeep_ =
      std::make_unique<Upkeep>(UpkeepParts{*store_, *barrier_, *keeper_, clock_, random_, log_});
  return {};
}

Result<void> Instance::add_kv_mount(const std::string& path, const std::string& version) {
  const auto state = keeper_->state().get();
  if (state == nullptr) return base::fail(ErrorKind::kSealed, "Vault is sealed");
  auto reader = store_->open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *state->keyring, random_);
  logical::Mount mount;
  mount.path = path;
  mount.type = "kv";
  mount.uuid = random_.uuid();
  mount.accessor = "kv_" + random_.uuid().substr(0, 8);
  mount.description = "key/value secret storage";
  mount.options["version"] = version;
  txn.put(std::string(pipeline::kMountPrefix) + path, pipeline::Keeper::describe(mount).dump());
  auto batch = txn.take_batch();
  if (!batch) return forward(batch);
  auto committed = store_->commit_and_wait(std::move(*batch));
  if (!committed) return forward(committed);
  return keeper_->reload_mounts();
}

void Instance::stop() {
  if (server_ == nullptr) return;
  upkeep_.reset();
  removal_->stop();
  if (!server_->drain(kDrainPatience)) {
    log_.warn("app", "some requests were cut off because they took too long");
  }
  pool_.reset();
  outside_pool_.reset();
  retention_.reset();
  index_->stop();
  devices_->close_all();  // every answer was given: their last lines wait in the queues
  record_->close();       // its listeners post to loops, which still exist
  server_.reset();
  handlers_.clear();
  lanes_.clear();
}

}  // namespace rekey::app
