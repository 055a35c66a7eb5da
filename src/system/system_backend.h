// sys/: the server's own routes. One of the pipeline's own backends: its handlers see the state
// (pipeline/call_context.h). The routes stand in one file for each topic.
//
// Stateless but for what it is given; any thread.
#pragma once

#include <functional>
#include <string>

#include "audit/index.h"
#include "base/log.h"
#include "base/metrics.h"
#include "logical/openapi.h"
#include "logical/route.h"
#include "pipeline/in_flight.h"
#include "pipeline/keeper.h"
#include "pipeline/removal.h"
#include "storage/store.h"
#include "system/seal_control.h"

namespace rekey::system {

class BackupControl;

using pipeline::kPasswordPolicyPrefix;
inline constexpr std::string_view kTokenRows = "token/id/";          // one for each service token
inline constexpr std::string_view kEntityRows = "identity/entity/";  // one for each entity

struct SystemParts {
  pipeline::Keeper& keeper;
  const pipeline::Catalog& catalog;
  SealControl& seal_control;
  barrier::Barrier& barrier;
  storage::Store& store;
  audit::Log& record;
  audit::Index& index;
  const base::Clock& clock;
  base::Random& random;
  base::Log& log;
  std::string storage_type;  // as sys/seal-status shows it
  std::string api_address;   // as sys/leader shows it
  std::string version{logical::kVaultVersion};
  std::string build_date = "2026-11-24T00:00:00Z";
  base::WallTime started{};
  // All of this server's; on a thread that may block. Not set where there is no network.
  std::function<std::vector<pipeline::RequestInFlight>()> in_flight;
  logical::Limits lease_limits;
  base::Json configuration;  // without secrets, for sys/config/state/sanitized
  std::string metrics_prefix = "vault";
  BackupControl* backups = nullptr;
  pipeline::Removal* removal = nullptr;  // null where nothing runs in the background
  void wake_removal() const {
    if (removal != nullptr) removal->wake();
  }
  std::function<void(base::MetricsPage&)> metrics;  // adds what the whole server knows of itself
};

class SystemBackend final : public logical::Backend {
 public:
  explicit SystemBackend(SystemParts parts);
  std::string_view type() const override { return "system"; }
  const logical::RouteTable& routes() const override { return routes_; }

 private:
  void add_seal_routes();    // init, unseal, seal, seal-status
  void add_health_routes();  // health, leader, ha-status, step-down
  void add_quorum_routes();  // rekey
  void add_rekey_routes(const std::string& folder, barrier::RekeyOperation& operation);
  void add_generate_root_routes();
  void add_rotate_routes();  // rotate, key-status
  void add_mount_routes();   // mounts, auth, tune
  void add_remount_routes();
  void add_mount_view_routes();  // internal/ui/...
  void add_storage_routes();     // storage/backup
  void add_policy_routes();      // policies/acl, policy
  void add_capability_routes();  // capabilities*, resultant-acl
  void add_wrapping_routes();    // wrapping/*
  void add_tool_routes();        // tools/random, tools/hash
  void add_metrics_routes();     // metrics
  // audit, audit-hash, audit-status
  void add_audit_routes();
  // config/auditing/request-headers
  void add_audited_header_routes();
  void add_password_policy_routes();
  void add_config_routes();  // config/cors, config/ui/headers, config/state/sanitized
  void add_host_routes();    // host-info, in-flight-req, version-history, specs/openapi ...
  void add_logger_routes();
  void add_counter_routes();  // internal/counters/...
  // leases/*, and their older names
  void add_lease_routes();
  // leases/queue, retry, resume, revoke-scope
  void add_lease_queue_routes();
  // quotas/*
  void add_quota_routes();
  void add_lockout_routes();    // locked-users
  void add_audit_log_routes();  // audit-log/...
  void add_audit_entry_routes();
  void add_mfa_routes();  // mfa/validate

  SystemParts parts_;
  logical::RouteTable routes_;
};

}  // namespace rekey::system
