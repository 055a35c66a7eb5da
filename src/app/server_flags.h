// The flags of `rekey server`, with one or two dashes, as `-flag=value` or `-flag value`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace rekey::app {

struct ServerFlags {
  std::vector<std::string> config;
  std::string standalone;  // folder; empty: not standalone
  bool dev = false;
  bool dev_kv_v1 = false;
  bool dev_tls = false;
  bool dev_no_store_token = false;
  std::string dev_root_token;
  std::string dev_listen_address;
  std::string dev_tls_cert_dir;
  std::string log_level, log_format;
  std::string test_clock;  // file with an offset in seconds, see test_clock.h; not in the help
  bool accept_older_store = false;
  std::vector<std::string> ignored;  // vault's flags without effect here, as warnings
  bool help = false;
};

// Environment variables fill what the flags leave open: REKEY_... first, then VAULT_...
base::Result<ServerFlags> parse_server_flags(const std::vector<std::string>& arguments);
// The value of REKEY_<name>, else of VAULT_<name>, else nothing.
std::optional<std::string> environment(const std::string& name);

extern const char* const kServerHelp;

}  // namespace rekey::app
