#include "app/server_flags.h"

#include <cstdlib>
#include <map>

namespace rekey::app {

const char* const kServerHelp = R"(Usage: rekey server [flags]

  Starts a server. It reads Vault's configuration files (HCL or JSON):

      $ rekey server -config=/etc/rekey/rekey.hcl

  A server for trying things out, in memory, already unsealed:

      $ rekey server -dev -dev-root-token-id=root

  A server of its own in a folder: makes a CA and a certificate, initialises and unseals itself
  with a key file (what ./run does):

      $ rekey server -standalone=/var/lib/rekey

Flags:

  -config=<file or folder>      Configuration; may be given several times, later ones add.
  -standalone=<folder>          Everything in one folder, made at the first start.
  -accept-older-store           Serve a store that was put back from an older copy; recorded.
  -log-level=<level>            trace, debug, info, warn or error.      REKEY_LOG_LEVEL
  -log-format=<format>          standard or json.                       REKEY_LOG_FORMAT
  -dev                          In memory, unsealed, KV v2 at secret/.
  -dev-root-token-id=<token>    The root token of -dev.       REKEY_DEV_ROOT_TOKEN_ID
  -dev-listen-address=<addr>    127.0.0.1:8200 by default.    REKEY_DEV_LISTEN_ADDRESS
  -dev-kv-v1                    KV v1 at secret/ instead.
  -dev-tls                      TLS with a certificate made for it.
  -dev-tls-cert-dir=<folder>    Where -dev-tls puts its certificates.
  -dev-no-store-token           Don't write the root token to ~/.vault-token.

  REKEY_DISABLE_USER_LOCKOUT=true: no name is locked after wrong passwords, whatever is configured.
  The environment variables are read under their VAULT_ names too.
)";

namespace {

struct Ignored {
  std::string_view name;
  bool has_value;
  std::string_view why;
};

// vault's, that scripts and container images give.
constexpr std::string_view kOneNode = "there is one node and no plugins";
constexpr std::string_view kToStderr = "the log goes to standard error";
constexpr Ignored kIgnored[] = {
    {"dev-ha", false, kOneNode},
    {"dev-transactional", false, kOneNode},
    {"dev-plugin-dir", true, kOneNode},
    {"dev-plugin-init", false, kOneNode},
    {"exit-on-core-shutdown", false, "it always ends with what it serves"},
    {"experiment", true, "there are no experiments"},
    {"non-interactive", false, "nothing is ever asked"},
    {"log-file", true, kToStderr},
    {"log-rotate-bytes", true, kToStderr},
    {"log-rotate-duration", true, kToStderr},
    {"log-rotate-max-files", true, kToStderr},
};

const Ignored* find_ignored(std::string_view name) {
  for (const Ignored& each : kIgnored) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

base::Result<bool> read_switch(const std::string& name, const std::optional<std::string>& value) {
  if (!value || *value == "true" || *value == "1") return true;
  if (*value == "false" || *value == "0") return false;
  return base::fail(base::ErrorKind::kInvalid,
                    "-" + name + ": expected true or false, not \"" + *value + '"');
}

}  // namespace

std::optional<std::string> environment(const std::string& name) {
  for (const char* prefix : {"REKEY_", "VAULT_"}) {
    const char* value = std::getenv((prefix + name).c_str());
    if (value != nullptr && *value != '\0') return value;
  }
  return std::nullopt;
}

base::Result<ServerFlags> parse_server_flags(const std::vector<std::string>& arguments) {
  ServerFlags flags;
  const std::map<std::string, bool*> switches = {{"dev", &flags.dev},
                                                 {"dev-kv-v1", &flags.dev_kv_v1},
                                                 {"dev-tls", &flags.dev_tls},
                                                 {"dev-no-store-token", &flags.dev_no_store_token},
                                                 {"accept-older-store", &flags.accept_older_store},
                                                 {"help", &flags.help},
                                                 {"h", &flags.help}};
  const std::map<std::string, std::string*> values = {
      {"standalone", &flags.standalone},
      {"dev-root-token-id", &flags.dev_root_token},
      {"dev-listen-address", &flags.dev_listen_address},
      {"dev-tls-cert-dir", &flags.dev_tls_cert_dir},
      {"log-level", &flags.log_level},
      {"log-format", &flags.log_format},
      {"test-clock", &flags.test_clock}};
  for (size_t i = 0; i < arguments.size(); i++) {
    std::string name = arguments[i];
    if (!name.starts_with('-')) {
      return base::fail(base::ErrorKind::kInvalid, "server takes no argument \"" + name + "\"");
    }
    name.erase(0, name.starts_with("--") ? 2 : 1);
    std::optional<std::string> value;
    if (const size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    if (const auto found = switches.find(name); found != switches.end()) {
      auto on = read_switch(name, value);
      if (!on) return forward(on);
      *found->second = *on;
      continue;
    }
    if (const Ignored* ignored = find_ignored(name)) {
      if (ignored->has_value && !value) i++;
      flags.ignored.push_back("-" + name + " has no effect: " + std::string(ignored->why));
      continue;
    }
    const auto found = values.find(name);
    if (found == values.end() && name != "config") {
      return base::fail(base::ErrorKind::kInvalid,
                        "unknown flag -" + name + ": see rekey server -help");
    }
    if (!value && i + 1 < arguments.size()) value = arguments[++i];
    if (!value) return base::fail(base::ErrorKind::kInvalid, "-" + name + " needs a value");
    if (name == "config")
      flags.config.push_back(*value);
    else
      *found->second = *value;
  }
  if (flags.dev_tls || flags.dev_kv_v1) flags.dev = true;  // as vault understands them
  if (flags.dev && !flags.config.empty()) {
    flags.ignored.push_back("-config has no effect with -dev, which is configured by its flags");
  }
  const auto fill = [](std::string& field, const std::string& name) {
    if (field.empty()) field = environment(name).value_or("");
  };
  fill(flags.dev_root_token, "DEV_ROOT_TOKEN_ID");
  fill(flags.dev_listen_address, "DEV_LISTEN_ADDRESS");
  fill(flags.log_level, "LOG_LEVEL");
  fill(flags.log_format, "LOG_FORMAT");
  return flags;
}

}  // namespace rekey::app
