// What a server is started with, in the program's own terms. Made from the configuration files
// (configure.h), by -dev and by -standalone; instance.h builds a server from it. Values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "logical/context.h"
#include "logical/lockout.h"
#include "net/outgoing.h"
#include "net/server_options.h"

namespace rekey::app {

enum class StorageKind { kMemory, kLmdb };

struct Settings {
  StorageKind storage = StorageKind::kLmdb;
  std::string storage_type = "lmdb";              // as the API shows it
  std::string data_folder;                        // of the LMDB store
  std::string audit_folder;                       // of the record; empty with memory storage
  std::optional<base::Duration> audit_retention;  // older entries go; nothing: all are kept
  std::string audit_archive;                      // to where; empty: they are gone
  std::string static_key_file;                    // of the static seal; empty: Shamir
  bool make_static_key = false;                   // make that file if it is missing
  std::string previous_key_file;                  // of the key that it replaces; empty: none
  net::ServerOptions server;
  std::vector<bool> metrics_open;  // by listener: sys/metrics answers without a token
  std::string metrics_prefix = "vault";
  logical::Limits lease_limits;
  logical::LockoutByType user_lockout;
  std::string cluster_name;
  std::string api_address;
  base::LogLevel log_level = base::LogLevel::kInfo;
  base::LogFormat log_format = base::LogFormat::kStandard;
  net::OutgoingRules outgoing;  // which outside HTTP servers may be spoken to
  bool accept_older_store = false;
  bool needs_locked_memory = false;  // don't start where keys could reach the swap
  base::Json sanitized;              // for sys/config/state/sanitized
};

// The cores that this process may use, which may be fewer than the machine has.
uint32_t usable_cores();

}  // namespace rekey::app
