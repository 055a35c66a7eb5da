// The server's configuration: Vault's files, HCL or JSON, read into values with the checks that can
// be made without opening anything but those files. docs/configuration.md lists every key.
//
// Knows no store, seal or server: app makes those from the values. Unknown keys and keys without
// effect become warnings; nonsense is an error with file, line and what would be right. Pure but
// for read_sources(); any thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "net/outgoing.h"
#include "net/server_options.h"

namespace rekey::config {

inline constexpr size_t kConfigFileBytesMax = 1024 * 1024;
inline constexpr size_t kConfigFilesMax = 100;
inline constexpr uint32_t kIoThreadsMax = 256;
// Vault lets max_request_size be switched off; here it ends at this.
inline constexpr uint64_t kRequestBodyBytesMax = 1ull << 30;
inline constexpr base::Duration kRequestDurationMax = std::chrono::hours(24);

// Less would take entries out before anybody could have looked at them.
inline constexpr base::Duration kAuditRetentionMin = std::chrono::hours(24);

// One text to read and what to call it in messages: a file's path, or "VAULT_LOCAL_CONFIG".
struct Source {
  std::string name;
  std::string text;
};

enum class StorageKind { kLmdb, kMemory };
struct Storage {
  StorageKind kind = StorageKind::kLmdb;
  std::string path;  // a folder; empty for kMemory
};

struct Listener {
  net::ListenerOptions net;
  bool unauthenticated_metrics = false;  // telemetry { unauthenticated_metrics_access = true }
};

enum class SealKind { kShamir, kStatic };
struct Seal {
  SealKind kind = SealKind::kShamir;
  std::string key_path;           // of the static key's file
  std::string key_id;             // as the operator calls the key; may be empty
  std::string previous_key_path;  // of the key that it replaces; empty: none
};

struct Telemetry {
  base::Duration prometheus_retention{std::chrono::hours(24)};
  std::string metrics_prefix = "vault";
  bool disable_hostname = false;
};

// user_lockout "userpass" { ... }; what isn't said is left to "all", or to the built-in rules.
struct UserLockout {
  std::optional<int64_t> threshold;  // failed logins in a row
  std::optional<base::Duration> duration, counter_reset;
  std::optional<bool> disabled;
};
inline constexpr int64_t kLockoutThresholdMax = 1'000'000;  // failed logins in a row

struct ServerConfig {
  std::optional<Storage> storage;
  std::vector<Listener> listeners;
  Seal seal;
  std::optional<std::string> audit_log_path;      // a folder; nothing: beside the store
  std::optional<base::Duration> audit_retention;  // older entries are taken out; nothing: never
  std::string audit_archive;                      // into this folder; empty: they are gone

  base::Duration default_lease_ttl{std::chrono::hours(768)};
  base::Duration max_lease_ttl{std::chrono::hours(768)};
  bool default_lease_ttl_said = false;  // not just Vault's own defaults
  bool max_lease_ttl_said = false;
  std::string api_addr;  // "https://host:8200"; empty: not said
  std::string cluster_addr;
  std::string cluster_name;  // empty: one is made up at init
  std::optional<base::LogLevel> log_level;
  std::optional<base::LogFormat> log_format;
  bool ui = false;
  bool disable_mlock = false;
  uint32_t io_threads = 0;  // 0: one for each core
  Telemetry telemetry;
  std::map<std::string, UserLockout> user_lockout;  // by type of auth method, or "all"
  net::OutgoingRules outgoing;                      // outgoing { allow = [...] }

  std::vector<std::string> warnings;  // "rekey.hcl:3: unknown key ..."
};

// Reads the files that -config names: a file, or a folder whose *.hcl and *.json files are taken in
// the order of their names (not those of editors: .x, x~, #x#). kNotFound, kInvalid or kTooLarge
// with the path.
base::Result<std::vector<Source>> read_sources(std::span<const std::string> paths);

// Reads the texts one after the other: a later one wins, listeners are added up. kInvalid with a
// message such as
//   rekey.hcl:3: default_lease_ttl: expected a duration such as "768h", not "10x"
// Values of paths and keys aside, the message repeats only what the file says at that place.
base::Result<ServerConfig> parse(std::span<const Source> sources);

// What a server that isn't in dev mode needs as well: storage and a listener. kInvalid says how to
// write what is missing.
base::Result<void> check_complete(const ServerConfig& config);

// VAULT_API_ADDR, VAULT_CLUSTER_ADDR, VAULT_LOG_LEVEL, VAULT_LOG_FORMAT and their REKEY_ forms
// (which win) go before the files. `look_up` gives a variable's value or nothing.
base::Result<void> apply_environment(
    const std::function<std::optional<std::string>(const std::string&)>& look_up,
    ServerConfig& config);

}  // namespace rekey::config
