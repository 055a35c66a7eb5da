#include "app/configure.h"

#include <cstdio>

#include "app/server_flags.h"
#include "config/config.h"

namespace rekey::app {
namespace {

using base::Result;

// What sys/config/state/sanitized shows: addresses and settings, no paths of keys.
base::Json sanitize(const config::ServerConfig& config) {
  base::JsonArray listeners;
  for (const config::Listener& listener : config.listeners) {
    const bool unix_socket = !listener.net.unix_path.empty();
    base::JsonObject shown{
        {"type", unix_socket ? "unix" : "tcp"},
        {"config",
         base::JsonObject{{"address", unix_socket ? listener.net.unix_path : listener.net.address},
                          {"tls_disable", !listener.net.tls.has_value()}}}};
    listeners.emplace_back(std::move(shown));
  }
  const auto seconds = [](base::Duration d) { return d.count() / 1'000'000'000; };
  return base::JsonObject{
      {"api_addr", config.api_addr},
      {"cluster_addr", config.cluster_addr},
      {"cluster_name", config.cluster_name},
      {"default_lease_ttl", config.default_lease_ttl_said ? seconds(config.default_lease_ttl) : 0},
      {"max_lease_ttl", config.max_lease_ttl_said ? seconds(config.max_lease_ttl) : 0},
      {"disable_mlock", config.disable_mlock},
      {"enable_ui", config.ui},
      {"listeners", std::move(listeners)},
      {"seals", base::JsonArray{base::Json(base::JsonObject{
                    {"type", config.seal.kind == config::SealKind::kStatic ? "static" : "shamir"},
                    {"disabled", false}})}},
      {"storage",
       base::JsonObject{
           {"type", config.storage->kind == config::StorageKind::kLmdb ? "lmdb" : "inmem"},
           {"cluster_addr", config.cluster_addr},
           {"redirect_addr", config.api_addr},
           {"disable_clustering", false}}}};
}

logical::LockoutByType lockout_of(const config::ServerConfig& config) {
  logical::LockoutByType rules;
  for (const auto& [type, said] : config.user_lockout) {
    rules[type] = {.threshold = said.threshold,
                   .duration = said.duration,
                   .counter_reset = said.counter_reset,
                   .disabled = said.disabled};
  }
  return rules;
}

}  // namespace

Result<Settings> configure(const std::vector<std::string>& paths) {
  auto sources = config::read_sources(paths);
  if (!sources) return forward(sources);
  if (const auto local = environment("LOCAL_CONFIG")) {
    sources->push_back({"VAULT_LOCAL_CONFIG", *local});
  }
  if (sources->empty()) {
    return base::fail(base::ErrorKind::kInvalid,
                      "no configuration: give -config=FILE, or -dev, or -standalone=FOLDER (see "
                      "rekey server -help)");
  }
  auto config = config::parse(*sources);
  if (!config) return forward(config);
  auto complete = config::check_complete(*config);
  if (!complete) return forward(complete);
  auto applied = config::apply_environment(
      [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
      },
      *config);
  if (!applied) return forward(applied);
  for (const std::string& warning : config->warnings) {
    std::fprintf(stderr, "Warning: %s\n", warning.c_str());
  }
  if (config->storage->kind == config::StorageKind::kMemory && !config->audit_log_path) {
    std::fprintf(stderr,
                 "Warning: storage \"inmem\": the record is in memory too and lost at the end; "
                 "for tests only\n");
  }
  Settings settings;
  if (config->storage->kind == config::StorageKind::kMemory) {
    settings.storage = StorageKind::kMemory;
    settings.storage_type = "inmem";
    settings.audit_folder = config->audit_log_path.value_or("");
  } else {
    settings.data_folder = config->storage->path;
    // Beside the store: on the same disk, but not inside the folder that a restore replaces.
    settings.audit_folder =
        config->audit_log_path.value_or(config->storage->path + "/audit") + "/log";
  }
  settings.audit_retention = config->audit_retention;
  settings.audit_archive = config->audit_archive;
  if (config->seal.kind == config::SealKind::kStatic) {
    settings.static_key_file = config->seal.key_path;
    settings.previous_key_file = config->seal.previous_key_path;
  }
  for (const config::Listener& listener : config->listeners) {
    settings.server.listeners.push_back(listener.net);
    settings.metrics_open.push_back(listener.unauthenticated_metrics);
  }
  settings.server.io_threads = config->io_threads != 0 ? config->io_threads : usable_cores();
  settings.lease_limits = {config->default_lease_ttl, config->max_lease_ttl};
  settings.user_lockout = lockout_of(*config);
  settings.cluster_name = config->cluster_name;
  settings.metrics_prefix = config->telemetry.metrics_prefix;
  settings.api_address = config->api_addr;
  settings.log_level = config->log_level.value_or(base::LogLevel::kInfo);
  settings.log_format = config->log_format.value_or(base::LogFormat::kStandard);
  settings.outgoing = config->outgoing;
  settings.needs_locked_memory = !config->disable_mlock;
  settings.sanitized = sanitize(*config);
  return settings;
}

}  // namespace rekey::app
