#include "config/config.h"

#include <cctype>

#include "base/codec.h"
#include "base/json.h"
#include "config/block.h"
#include "config/listener.h"

namespace rekey::config {

using base::Duration;
using base::ErrorKind;
using base::fail;
using base::forward;
using base::Result;

namespace {

constexpr std::string_view kNotUsed = "not used by Rekey; it has no effect";

// http://host or https://host, perhaps with a port and a path.
bool is_url(std::string_view text) {
  const size_t scheme = text.starts_with("https://") ? 8 : text.starts_with("http://") ? 7 : 0;
  if (scheme == 0) return false;
  const std::string_view rest = text.substr(scheme);
  const std::string_view host = rest.substr(0, rest.find('/'));
  if (host.empty() || host.starts_with(':')) return false;
  const bool has_port = host.find(':') != host.npos && !host.ends_with(']');
  return is_listen_address(has_port ? std::string(host) : std::string(host) + ":1");
}

std::string label_of(const hcl::Item& item) {
  return item.keys.size() > 1 ? item.key() + " \"" + item.keys[1] + '"' : item.key();
}

// One file, read over what earlier files said.
class FileReader {
 public:
  FileReader(const Source& source, ServerConfig& config)
      : source_(source), config_(config), file_{source.name, config.warnings} {}

  Result<void> read() {
    auto document = hcl::parse(source_.text, {.bytes_max = kConfigFileBytesMax});
    if (!document) return fail(ErrorKind::kInvalid, parse_message(document.error().message()));
    Block top(file_, {&*document, {1, 1}}, "");
    read_scalars(top);
    top.ignore_silently({"storage", "backend", "listener", "seal", "audit_log", "telemetry",
                         "user_lockout", "outgoing"});
    ignore_vault_keys(top);
    for (std::string_view key : {"storage", "backend"}) {
      if (auto read = each(*document, key, &FileReader::read_storage); !read) return read;
    }
    if (auto read = each(*document, "listener", &FileReader::read_listener_item); !read)
      return read;
    if (auto read = each(*document, "seal", &FileReader::read_seal); !read) return read;
    if (auto read = each(*document, "user_lockout", &FileReader::read_user_lockout); !read) {
      return read;
    }
    if (auto read = read_plain_blocks(top); !read) return read;
    return top.finish();
  }

 private:
  // The reader says "line 3: ..."; here it is "file:3: ...".
  std::string parse_message(std::string_view message) const {
    constexpr std::string_view kLine = "line ";
    if (message.starts_with(kLine)) return source_.name + ':' + std::string(message.substr(5));
    return source_.name + ": " + std::string(message);
  }

  void read_scalars(Block& top) {
    read_lease_ttls(top);
    Duration request{};
    if (top.duration("default_max_request_duration", request)) {
      if (request > kRequestDurationMax) {
        top.wrong(*top.take("default_max_request_duration"),
                  "at most " + base::format_duration(kRequestDurationMax));
      }
      request_default_ = request;
    }
    for (const auto& [key, out] :
         {std::pair<std::string_view, std::string*>{"api_addr", &config_.api_addr},
          {"cluster_addr", &config_.cluster_addr}}) {
      if (top.text(key, *out) && !out->empty() && !is_url(*out)) {
        top.wrong(*top.take(key), "an address such as \"https://rekey.example.org:8200\"");
      }
    }
    top.text("cluster_name", config_.cluster_name);
    if (top.flag("ui", config_.ui) && config_.ui) {
      top.warn(*top.take("ui"), "there is no web console; it has no effect");
    }
    top.flag("disable_mlock", config_.disable_mlock);
    read_log(top);
    int64_t threads = 0;
    if (top.integer("io_threads", threads)) {
      if (threads < 0 || threads > kIoThreadsMax) {
        top.wrong(*top.take("io_threads"), "a number from 0 (one for each core) to 256");
      }
      config_.io_threads = static_cast<uint32_t>(threads);
    }
  }

  void read_lease_ttls(Block& top) {
    const bool said_default = top.duration("default_lease_ttl", config_.default_lease_ttl);
    const bool said_max = top.duration("max_lease_ttl", config_.max_lease_ttl);
    config_.default_lease_ttl_said = config_.default_lease_ttl_said || said_default;
    config_.max_lease_ttl_said = config_.max_lease_ttl_said || said_max;
    if (config_.default_lease_ttl <= config_.max_lease_ttl) return;
    if (said_default) {
      top.wrong(*top.take("default_lease_ttl"),
                "at most max_lease_ttl (" + base::format_duration(config_.max_lease_ttl) + ")");
    } else if (said_max) {
      config_.default_lease_ttl = config_.max_lease_ttl;  // Vault's own default of 768h
    }
  }

  void read_log(Block& top) {
    std::string text;
    if (top.text("log_level", text)) {
      text = base::to_lower(text);
      auto level = base::parse_log_level(text);
      if (level) {
        config_.log_level = *level;
      } else {
        top.wrong(*top.take("log_level"), "trace, debug, info, warn or error");
      }
    }
    if (top.text("log_format", text)) {
      if (text == "json") {
        config_.log_format = base::LogFormat::kJson;
      } else if (text == "standard" || text.empty()) {
        config_.log_format = base::LogFormat::kStandard;
      } else {
        top.wrong(*top.take("log_format"), "\"standard\" or \"json\"");
      }
    }
  }

  void ignore_vault_keys(Block& top) {
    top.ignore({"raw_storage_endpoint"}, "there is no raw storage endpoint; it has no effect");
    top.ignore({"ha_storage", "ha_backend"}, "there is one storage; it has no effect");
    top.ignore({"log_file", "log_rotate_bytes", "log_rotate_duration", "log_rotate_max_files"},
               "the log goes to standard error, where systemd or the container keeps it");
    top.ignore({"plugin_directory", "plugin_tmpdir", "plugin_file_uid", "plugin_file_permissions",
                "plugin_auto_download", "plugin_download_behavior"},
               "there are no plugins; it has no effect");
    top.ignore({"pid_file",
                "cache_size",
                "disable_cache",
                "disable_clustering",
                "disable_performance_standby",
                "disable_sealwrap",
                "disable_printable_check",
                "disable_indexing",
                "disable_sentinel_trace",
                "enable_response_header_hostname",
                "enable_response_header_raft_node_id",
                "license_path",
                "service_registration",
                "entropy",
                "kms_library",
                "introspection_endpoint",
                "log_requests_level",
                "detect_deadlocks",
                "imprecise_lease_role_tracking",
                "experiments",
                "reporting",
                "administrative_namespace_path",
                "allow_audit_log_prefixing",
                "enable_post_unseal_trace",
                "post_unseal_trace_directory",
                "request_limiter",
                "remove_irrevocable_lease_after",
                "replication",
                "sentinel",
                "adaptive_overload",
                "enable_unauthenticated_access",
                "enable_ui",
                "disable_ui",
                "audit",
                "unsafe_allow_api_audit_creation",
                "unsafe_cross_namespace_identity",
                "disable_unauthed_rekey_endpoints",
                "disable_unauthed_generate_root_endpoints",
                "initialize",
                "feature_flags"},
               kNotUsed);
  }

  using ItemReader = Result<void> (FileReader::*)(const hcl::Item&);
  Result<void> each(const hcl::Object& document, std::string_view key, ItemReader reader) {
    for (const hcl::Item& item : hcl::labelled(document, key)) {
      if (item.key() != key) continue;
      if (auto read = (this->*reader)(item); !read) return read;
    }
    return {};
  }

  // The one block of a labelled item; an error that shows how to write it otherwise.
  Result<Section> labelled_block(const hcl::Item& item, std::string_view example) {
    const auto sections = sections_of(item.value);
    if (item.keys.size() == 2 && sections.size() == 1) {
      return Section{sections.front().object, item.place};
    }
    return file_.fail(item.place, item.key() + ": expected " + std::string(example));
  }

  // Files that are merged may each have one, the last of which counts; two in one are a mistake.
  Result<void> only_one(const hcl::Item& item, std::optional<uint32_t>& line) {
    if (line) {
      return file_.fail(item.place,
                        item.key() + ": there is one already, in line " + std::to_string(*line));
    }
    line = static_cast<uint32_t>(item.place.line);
    return {};
  }

  Result<void> read_storage(const hcl::Item& item) {
    if (auto one = only_one(item, storage_line_); !one) return one;
    auto section = labelled_block(item, "storage \"lmdb\" { path = \"/var/lib/rekey\" }");
    if (!section) return forward(section);
    const std::string& kind = item.keys[1];
    Block block(file_, *section, label_of(item));
    Storage storage;
    if (kind == "inmem") {
      storage.kind = StorageKind::kMemory;
    } else if (kind == "lmdb" || kind == "file" || kind == "raft") {
      block.text("path", storage.path);
      if (storage.path.empty()) {
        block.wrong_here("path is missing, such as path = \"/var/lib/rekey\"");
      }
    } else {
      return file_.fail(item.place,
                        "storage: expected \"lmdb\", \"file\" or \"inmem\", not \"" + kind + '"');
    }
    if (kind == "raft") {
      file_.warn(item.place, "storage \"raft\" is taken as \"lmdb\" at the same path: one machine");
      block.ignore_silently({"node_id", "retry_join", "performance_multiplier", "trailing_logs",
                             "snapshot_threshold", "snapshot_interval", "max_entry_size",
                             "autopilot_reconcile_interval", "autopilot_update_interval",
                             "autopilot_upgrade_version", "autopilot_redundancy_zone",
                             "retry_join_as_non_voter", "max_mount_and_namespace_table_entry_size",
                             "raft_log_verifier_enabled", "raft_wal", "max_transaction_size"});
    }
    block.ignore_silently({"max_parallel", "disable_clustering", "redirect_addr"});
    config_.storage = std::move(storage);
    return block.finish();
  }

  Result<void> read_listener_item(const hcl::Item& item) {
    auto listener = read_listener(file_, item, request_default_);
    if (!listener) return forward(listener);
    config_.listeners.push_back(std::move(*listener));
    return {};
  }

  Result<void> read_seal(const hcl::Item& item) {
    auto section = labelled_block(item, "seal \"static\" { current_key = \"file:///...\" }");
    if (!section) return forward(section);
    const std::string& kind = item.keys[1];
    Block block(file_, *section, label_of(item));
    bool disabled = false;
    block.flag("disabled", disabled);
    if (disabled) {
      file_.warn(item.place, label_of(item) + " is disabled and left out; seals can't be migrated");
      return {};
    }
    if (auto one = only_one(item, seal_line_); !one) return one;
    Seal seal;
    if (kind == "static") {
      seal.kind = SealKind::kStatic;
      read_static_seal(block, seal);
    } else if (kind != "shamir") {
      return file_.fail(item.place, "seal: expected \"shamir\" or \"static\", not \"" + kind + '"');
    }
    config_.seal = std::move(seal);
    return block.finish();
  }

  Result<void> read_user_lockout(const hcl::Item& item) {
    auto section = labelled_block(item, "user_lockout \"all\" { lockout_threshold = 10 }");
    if (!section) return forward(section);
    const std::string& type = item.keys[1];
    if (type != "all" && type != "userpass" && type != "approle" && type != "ldap") {
      return file_.fail(item.place,
                        "user_lockout: expected \"all\", \"userpass\", \"approle\" or \"ldap\", "
                        "not \"" +
                            type + '"');
    }
    Block block(file_, *section, label_of(item));
    UserLockout& rules = config_.user_lockout[type];
    int64_t threshold = 0;
    if (block.integer("lockout_threshold", threshold)) {
      if (threshold < 1 || threshold > kLockoutThresholdMax) {
        block.wrong(*block.take("lockout_threshold"), "a number from 1 to 1000000");
      }
      rules.threshold = threshold;
    }
    base::Duration duration{};
    if (block.duration("lockout_duration", duration)) rules.duration = duration;
    if (block.duration("lockout_counter_reset", duration)) rules.counter_reset = duration;
    bool disabled = false;
    if (block.flag("disable_lockout", disabled)) rules.disabled = disabled;
    return block.finish();
  }

  // OpenBao's keys. Its key may also stand in the file itself or in the environment, where it
  // leaks; messages here must never show the value.
  void read_static_seal(Block& block, Seal& seal) {
    block.text("current_key_id", seal.key_id);
    bool found = false;
    for (std::string_view name : {"current_key", "key_file"}) {
      found = read_key_path(block, name, "current_key", seal.key_path) || found;
    }
    if (!found) wrong_key_path(block, "current_key");
    read_key_path(block, "previous_key", "previous_key", seal.previous_key_path);
    std::string previous_id;
    if (block.text("previous_key_id", previous_id) && seal.previous_key_path.empty()) {
      block.wrong_here("previous_key_id needs previous_key");
    }
  }

  static bool read_key_path(Block& block, std::string_view name, std::string_view shown,
                            std::string& path) {
    const hcl::Item* item = block.take(name);
    if (item == nullptr) return false;
    std::string key;
    if (item->value.as_string()) key = *item->value.as_string();
    constexpr std::string_view kFile = "file://";
    if (key.starts_with(kFile)) key.erase(0, kFile.size());
    if (!key.starts_with('/')) wrong_key_path(block, shown);
    path = std::move(key);
    return true;
  }

  static void wrong_key_path(Block& block, std::string_view name) {
    block.wrong_here(std::string(name) +
                     ": expected the path of a key file, such as \"file:///etc/rekey/seal.key\"");
  }

  Result<void> read_plain_blocks(Block& top) {
    for (const Section& section : top.blocks("audit_log")) {
      Block block(file_, section, "audit_log");
      std::string path;
      block.text("path", path);
      base::Duration retention{};
      const bool keeps_all = !block.duration("retention", retention);
      block.text("archive", config_.audit_archive);
      if (path.empty() && keeps_all) block.wrong_here("path is missing: the folder for the record");
      if (!path.empty()) config_.audit_log_path = std::move(path);
      if (!keeps_all) config_.audit_retention = retention;
      if (keeps_all && !config_.audit_archive.empty()) {
        block.wrong_here("archive needs retention: the age at which entries go there");
      }
      if (!keeps_all && retention < kAuditRetentionMin) {
        block.wrong_here("retention: expected at least " +
                         base::format_duration(kAuditRetentionMin));
      }
      if (auto read = block.finish(); !read) return read;
    }
    for (const Section& section : top.blocks("telemetry")) {
      Block block(file_, section, "telemetry");
      read_telemetry(block);
      if (auto read = block.finish(); !read) return read;
    }
    for (const Section& section : top.blocks("outgoing")) {
      Block block(file_, section, "outgoing");
      read_outgoing(block);
      if (auto read = block.finish(); !read) return read;
    }
    return {};
  }

  void read_outgoing(Block& block) {
    std::vector<std::string> allow;
    if (!block.texts("allow", allow)) return;
    auto rules = net::OutgoingRules::parse(allow);
    if (rules) {
      config_.outgoing = std::move(*rules);
    } else {
      block.wrong(*block.take("allow"),
                  "hosts, addresses or blocks such as [\"idp.example.org\", \"10.0.0.0/8\"]");
    }
  }

  void read_telemetry(Block& block) {
    block.duration("prometheus_retention_time", config_.telemetry.prometheus_retention);
    block.text("metrics_prefix", config_.telemetry.metrics_prefix);
    block.flag("disable_hostname", config_.telemetry.disable_hostname);
    block.ignore_silently({"usage_gauge_period", "maximum_gauge_cardinality",
                           "enable_hostname_label", "lease_metrics_epsilon",
                           "num_lease_metrics_buckets", "add_lease_metrics_namespace_labels",
                           "filter_default", "prefix_filter", "add_mount_point_rollback_metrics"});
    block.ignore({"statsite_address",
                  "statsd_address",
                  "dogstatsd_addr",
                  "dogstatsd_tags",
                  "circonus_api_token",
                  "circonus_api_app",
                  "circonus_api_url",
                  "circonus_submission_interval",
                  "circonus_submission_url",
                  "circonus_check_id",
                  "circonus_check_force_metric_activation",
                  "circonus_check_instance_id",
                  "circonus_check_search_tag",
                  "circonus_check_tags",
                  "circonus_check_display_name",
                  "circonus_broker_id",
                  "circonus_broker_select_tag",
                  "stackdriver_project_id",
                  "stackdriver_location",
                  "stackdriver_namespace",
                  "stackdriver_debug_logs"},
                 "metrics are not pushed; collect them from sys/metrics");
  }

  const Source& source_;
  ServerConfig& config_;
  File file_;
  std::optional<Duration> request_default_;
  std::optional<uint32_t> storage_line_, seal_line_;
};

}  // namespace

Result<ServerConfig> parse(std::span<const Source> sources) {
  ServerConfig config;
  for (const Source& source : sources) {
    if (auto read = FileReader(source, config).read(); !read) return forward(read);
  }
  return config;
}

Result<void> check_complete(const ServerConfig& config) {
  if (!config.storage) {
    return fail(ErrorKind::kInvalid,
                "the configuration has no storage; for example: "
                "storage \"lmdb\" { path = \"/var/lib/rekey\" }");
  }
  if (config.listeners.empty()) {
    return fail(ErrorKind::kInvalid,
                "the configuration has no listener; for example: listener \"tcp\" { address = "
                "\"127.0.0.1:8200\" tls_cert_file = \"...\" tls_key_file = \"...\" }");
  }
  return {};
}

Result<void> apply_environment(
    const std::function<std::optional<std::string>(const std::string&)>& look_up,
    ServerConfig& config) {
  for (const std::string prefix : {"VAULT_", "REKEY_"}) {
    std::string text;
    // Written as one line of configuration, so that it is checked in the same way.
    const auto take = [&](const char* name, const char* key) {
      if (const auto value = look_up(prefix + name); value && !value->empty()) {
        text +=
            (text.empty() ? "{\"" : ",\"") + std::string(key) + "\":" + base::Json(*value).dump();
      }
    };
    take("API_ADDR", "api_addr");
    take("CLUSTER_ADDR", "cluster_addr");
    take("LOG_LEVEL", "log_level");
    take("LOG_FORMAT", "log_format");
    if (text.empty()) continue;
    const Source source{"environment " + prefix + "*", text + '}'};
    if (auto read = FileReader(source, config).read(); !read) return read;
  }
  return {};
}

}  // namespace rekey::config
