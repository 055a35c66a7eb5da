// Instance: one running server, put together. The only place that names concrete types: stores,
// seals, engines, dialects. Wiring, no logic.
//
// Made, started and stopped by one thread (command.cc); its parts have threads of their own.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "api/vault/handler.h"
#include "app/pool.h"
#include "app/settings.h"
#include "audit/index.h"
#include "audit/log.h"
#include "audit/retention_job.h"
#include "barrier/barrier.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/server.h"
#include "pipeline/chain.h"
#include "pipeline/keeper.h"
#include "pipeline/removal.h"
#include "storage/store.h"
#include "system/backup_control.h"
#include "system/seal_control.h"

namespace rekey::app {

class Upkeep;

class Instance {
 public:
  // Opens store and record, builds everything, listens. Unseals by itself where the seal can.
  // `clock`, `random` and `log` outlive it.
  static base::Result<std::unique_ptr<Instance>> start(Settings settings, const base::Clock& clock,
                                                       base::Random& random, base::Log& log);
  ~Instance();  // stop()

  system::SealControl& seal_control() { return *seal_control_; }
  pipeline::Keeper& keeper() { return *keeper_; }
  storage::Store& store() { return *store_; }
  net::Server& server() { return *server_; }
  // Opens the files of audit devices anew, after a log rotation moved them away.
  void reopen_audit_files() { devices_->rotate(); }

  // Adds a KV mount, for -dev. On the caller's thread; waits.
  base::Result<void> add_kv_mount(const std::string& path, const std::string& version);

  // Lets requests in flight finish, signs a last checkpoint, closes everything.
  void stop();

 private:
  Instance(Settings settings, const base::Clock& clock, base::Random& random, base::Log& log);
  base::Result<void> open_parts();
  void fill_catalog();
  void build_pipeline();
  base::Result<void> listen();
  std::vector<pipeline::RequestInFlight> requests_in_flight() const;
  void collect_metrics(base::MetricsPage& page) const;  // on any thread while serving

  Settings settings_;
  const base::Clock& clock_;
  base::Random& random_;
  base::Log& log_;
  // In the order of building; torn down the other way round.
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<audit::Log> record_;
  std::unique_ptr<audit::Index> index_;
  std::unique_ptr<audit::RetentionJob> retention_;  // null: everything is kept
  std::unique_ptr<barrier::Seal> seal_;
  std::unique_ptr<barrier::Barrier> barrier_;
  pipeline::Catalog catalog_;
  std::unique_ptr<pipeline::DeviceTable> devices_;
  std::unique_ptr<pipeline::Keeper> keeper_;
  std::unique_ptr<system::SealControl> seal_control_;
  system::BackupControl::Source backup_source_;  // empty with memory storage
  std::unique_ptr<system::BackupControl> backups_;
  std::unique_ptr<pipeline::Removal> removal_;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<WorkerPool> outside_pool_;
  std::unique_ptr<pipeline::Chain> chain_;
  std::vector<std::unique_ptr<pipeline::Lane>> lanes_;
  std::vector<const api::vault::Handler*> handlers_;  // the server's; one for each lane
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<Upkeep> upkeep_;
};

}  // namespace rekey::app
