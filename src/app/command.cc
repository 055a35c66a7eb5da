#include "app/command.h"

#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "app/certificates.h"
#include "app/configure.h"
#include "app/instance.h"
#include "app/server_flags.h"
#include "app/test_clock.h"
#include "base/codec.h"
#include "base/locked_memory.h"

namespace rekey::app {
namespace {

using base::Result;

constexpr const char* kDefaultAddress = "127.0.0.1:8200";

// No core files, no ptrace by others of our user, no death by signals that only mean "failed
// write".
void harden_process() {
  const rlimit none{0, 0};
  (void)setrlimit(RLIMIT_CORE, &none);
  (void)prctl(PR_SET_DUMPABLE, 0);
  (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  (void)signal(SIGPIPE, SIG_IGN);
  (void)signal(SIGXFSZ, SIG_IGN);
}

int fail_with(const base::Error& error) {
  std::fprintf(stderr, "Error: %s\n", error.message().c_str());
  if (!error.detail().empty()) std::fprintf(stderr, "       %s\n", error.detail().c_str());
  return 1;
}

// sd_notify(3) without its library: one datagram to the socket that systemd names.
void notify_systemd(const char* state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::string_view(path).size() >= sizeof address.sun_path) return;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::string_view(path).size());
  (void)sendto(fd, state, std::string_view(state).size(), 0,
               reinterpret_cast<const sockaddr*>(&address), size);
  close(fd);
}

// Blocks the signals that serve() waits for; before any thread is made, so that all inherit it.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal_number : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&set, signal_number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

void move_test_clock(TestClock& clock, const base::Log& log) {
  auto moved = clock.read();
  if (!moved) log.error("app", "the test clock stays", {{"error", moved.error().describe()}});
}

// What SIGHUP opens or reads again: audit files, certificates, and the log level of the
// configuration files. A mistake in either leaves that as it was.
void reload(Instance& instance, const ServerFlags& flags, base::Log& log) {
  instance.reopen_audit_files();
  auto reloaded = instance.server().reload_certificates();
  if (reloaded)
    log.info("app", "certificates were read again");
  else
    log.error("app", "certificates stay as they were", {{"error", reloaded.error().describe()}});
  if (flags.config.empty() || !flags.log_level.empty()) {
    log.reset_levels();
    return;
  }
  auto settings = configure(flags.config);
  if (!settings) {
    log.error("app", "the log level stays as it was", {{"error", settings.error().describe()}});
    return;
  }
  log.configure_level(settings->log_level);
  log.write(settings->log_level, "app", "the log level was read again",
            {{"level", std::string(base::log_level_name(settings->log_level))}});
}

int serve(Instance& instance, const ServerFlags& flags, const sigset_t& set, TestClock& clock,
          base::Log& log) {
  notify_systemd("READY=1");
  std::string addresses;
  for (const std::string& address : instance.server().addresses()) {
    addresses += (addresses.empty() ? "" : " ") + address;
  }
  log.info(
      "app", "serving",
      {{"addresses", addresses}, {"sealed", instance.seal_control().sealed() ? "true" : "false"}});
  while (true) {
    int received = 0;
    if (sigwait(&set, &received) != 0) continue;
    if (received == SIGUSR2) {
      move_test_clock(clock, log);
      continue;
    }
    if (received != SIGHUP) break;
    reload(instance, flags, log);
  }
  notify_systemd("STOPPING=1");
  log.info("app", "stopping");
  instance.stop();
  return 0;
}

net::ListenerOptions listener_at(const std::string& address) {
  net::ListenerOptions listener;
  listener.address = address;
  return listener;
}

// ---- -standalone ---------------------------------------------------------------------------

Result<Settings> standalone_settings(const ServerFlags& flags, const base::Clock& clock,
                                     base::Random& random) {
  const std::string& folder = flags.standalone;
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) {
    return base::fail(base::ErrorKind::kUnavailable,
                      "cannot make " + folder + ": " + problem.message());
  }
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, problem);
  auto files = ensure_certificates(folder + "/tls", clock, random);
  if (!files) return forward(files);
  Settings settings;
  settings.data_folder = folder + "/data";
  settings.audit_folder = folder + "/audit/log";
  settings.static_key_file = folder + "/unseal.key";
  settings.make_static_key = true;
  const std::string previous = settings.static_key_file + ".previous";
  if (std::filesystem::exists(previous, problem)) settings.previous_key_file = previous;
  net::ListenerOptions listener =
      listener_at(environment("LISTEN_ADDRESS").value_or(kDefaultAddress));
  listener.tls.emplace();
  listener.tls->cert_file = files->cert;
  listener.tls->key_file = files->key;
  settings.server.listeners.push_back(std::move(listener));
  settings.api_address = "https://" + settings.server.listeners[0].address;
  settings.server.io_threads = usable_cores();
  settings.log_level = base::LogLevel::kWarn;
  return settings;
}

// A word of a shell command; in quotes where it needs them.
std::string shell_word(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:@+=,";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += R"('\'')";
    else
      out += c;
  }
  return out + "'";
}

Result<void> greet_standalone(const ServerFlags& flags, Instance& instance) {
  const std::string address = "https://" + instance.server().addresses()[0];
  const std::string ca = std::filesystem::absolute(flags.standalone).string() + "/tls/ca.pem";
  auto initialized = instance.seal_control().initialized();
  if (!initialized) return forward(initialized);
  if (!*initialized) {
    auto made = instance.seal_control().initialize({.shares = {}, .recovery = {1, 1}});
    if (!made) return forward(made);
    std::printf("Rekey is initialised. These two are shown once; keep them:\n\n");
    std::printf("  Root Token:   %s\n", made->root_token.c_str());
    for (const base::SecretBytes& share : made->recovery_shares) {
      std::printf("  Recovery Key: %s\n", base::base64_encode(share.reveal()).c_str());
    }
    std::printf(
        "\nIt unseals itself with the key file %s/unseal.key (0600). In production use\n"
        "Shamir shares, or keep that file off this disk (systemd's LoadCredentialEncrypted).\n",
        flags.standalone.c_str());
  }
  std::printf("\nServing at %s, data in %s, its CA in %s.\nIn another terminal:\n\n",
              address.c_str(), flags.standalone.c_str(), ca.c_str());
  std::printf("  export VAULT_ADDR=%s VAULT_CACERT=%s VAULT_TOKEN=<root token>\n", address.c_str(),
              shell_word(ca).c_str());
  const std::string program = shell_word(std::filesystem::read_symlink("/proc/self/exe").string());
  std::printf("  %s status\n", program.c_str());
  if (!*initialized) {
    std::printf("  %s secrets enable -path=secret -version=2 kv\n", program.c_str());
    std::printf("  %s kv put secret/app password=hunter2\n", program.c_str());
  }
  std::printf("\n");
  std::fflush(stdout);
  return {};
}

// ---- -dev ----------------------------------------------------------------------------------

Result<Settings> dev_settings(const ServerFlags& flags, const base::Clock& clock,
                              base::Random& random, std::string& ca) {
  Settings settings;
  settings.storage = StorageKind::kMemory;
  settings.storage_type = "inmem";
  settings.outgoing.allow_loopback();  // where whoever tries things has their identity provider
  net::ListenerOptions listener =
      listener_at(flags.dev_listen_address.empty() ? kDefaultAddress : flags.dev_listen_address);
  if (flags.dev_tls) {
    const std::string folder =
        flags.dev_tls_cert_dir.empty()
            ? (std::filesystem::temp_directory_path() / ("rekey-tls-" + random.uuid())).string()
            : flags.dev_tls_cert_dir;
    auto files = ensure_certificates(folder, clock, random);
    if (!files) return forward(files);
    listener.tls.emplace();
    listener.tls->cert_file = files->cert;
    listener.tls->key_file = files->key;
    ca = files->ca;
  }
  settings.server.listeners.push_back(listener);
  settings.api_address = (flags.dev_tls ? "https://" : "http://") + listener.address;
  return settings;
}

// Vault's switch for all mounts, however the server was started.
void apply_lockout_variable(Settings& settings) {
  const std::string unlocked = environment("DISABLE_USER_LOCKOUT").value_or("");
  if (unlocked == "true" || unlocked == "1") settings.user_lockout["*"].disabled = true;
}

Result<void> greet_dev(const ServerFlags& flags, Instance& instance, const std::string& ca) {
  auto made = instance.seal_control().initialize(
      {.shares = {1, 1}, .recovery = {}, .root_token = flags.dev_root_token});
  if (!made) return forward(made);
  const std::string key = base::base64_encode(made->shares[0].reveal());
  auto opened = instance.seal_control().unseal(key);
  if (!opened) return forward(opened);
  auto mounted = instance.add_kv_mount("secret/", flags.dev_kv_v1 ? "1" : "2");
  if (!mounted) return forward(mounted);
  const char* home = std::getenv("HOME");
  if (!flags.dev_no_store_token && home != nullptr) {
    auto stored = write_file(std::string(home) + "/.vault-token", made->root_token, 0600);
    if (!stored) std::fprintf(stderr, "Warning: %s\n", stored.error().message().c_str());
  }
  const std::string address =
      (flags.dev_tls ? "https://" : "http://") + instance.server().addresses()[0];
  std::printf(
      "WARNING! dev mode is enabled! In this mode, Rekey runs entirely in-memory\n"
      "and starts unsealed with a single unseal key. The root token is already\n"
      "authenticated to the CLI, so you can immediately begin using Rekey.\n\n"
      "You may need to set the following environment variables:\n\n"
      "    $ export VAULT_ADDR='%s'\n",
      address.c_str());
  if (!ca.empty()) std::printf("    $ export VAULT_CACERT='%s'\n", ca.c_str());
  std::printf(
      "\nThe unseal key and root token are displayed below in case you want to\n"
      "seal/unseal the Vault or re-authenticate.\n\n"
      "Unseal Key: %s\nRoot Token: %s\n\n"
      "Development mode should NOT be used in production installations!\n\n",
      key.c_str(), made->root_token.c_str());
  std::fflush(stdout);
  return {};
}

// ---- -config --------------------------------------------------------------------------------

// What the server was told, in the form in which vault says it at its start.
std::string describe(const Settings& settings, std::string_view version) {
  std::string out = "==> Rekey server configuration:\n\n";
  const auto line = [&out](std::string_view name, const std::string& value) {
    constexpr size_t kNameColumns = 24;
    out.append(kNameColumns - std::min(kNameColumns, name.size()), ' ');
    out.append(name).append(": ").append(value).append("\n");
  };
  size_t number = 1;
  for (const net::ListenerOptions& listener : settings.server.listeners) {
    const bool is_unix = !listener.unix_path.empty();
    line("Listener " + std::to_string(number++),
         std::string(is_unix ? "unix" : "tcp") + " (addr: \"" +
             (is_unix ? listener.unix_path : listener.address) + "\", tls: \"" +
             (listener.tls ? "enabled" : "disabled") + "\")");
  }
  const bool in_memory = settings.storage == StorageKind::kMemory;
  line("Storage", settings.storage_type + (in_memory ? "" : " (" + settings.data_folder + ")"));
  line("Record", settings.audit_folder.empty() ? "in memory" : settings.audit_folder);
  line("Seal", settings.static_key_file.empty() ? "shamir" : "static");
  if (!settings.api_address.empty()) line("Api Address", settings.api_address);
  line("Log Level", std::string(base::log_level_name(settings.log_level)));
  line("Version", "Rekey v" + std::string(version));
  return out + "\n==> Rekey server started! Log data will stream in below:\n\n";
}

Result<void> apply_log_flags(const ServerFlags& flags, Settings& settings) {
  if (!flags.log_level.empty()) {
    auto level = base::parse_log_level(flags.log_level);
    if (!level) return forward(level);
    settings.log_level = *level;
  }
  if (flags.log_format == "json") {
    settings.log_format = base::LogFormat::kJson;
  } else if (flags.log_format == "standard") {
    settings.log_format = base::LogFormat::kStandard;
  } else if (!flags.log_format.empty()) {
    return base::fail(base::ErrorKind::kInvalid,
                      "-log-format is standard or json, not \"" + flags.log_format + "\"");
  }
  settings.accept_older_store = flags.accept_older_store;
  return {};
}

// By itself glibc gives nearly each of the threads a heap of its own, and each keeps what its
// thread once needed. Most don't work at the same time. And once a large block was freed it would
// keep all that are as large, too.
void bound_heap() {
  constexpr int kGivenBackBytes = 128 << 10;
  ::mallopt(M_ARENA_MAX, static_cast<int>(usable_cores()) + 1);
  ::mallopt(M_MMAP_THRESHOLD, kGivenBackBytes);
}

}  // namespace

int run_server(const std::vector<std::string>& arguments, std::string_view version) {
  auto flags = parse_server_flags(arguments);
  if (!flags) return fail_with(flags.error());
  if (flags->help) {
    std::fputs(kServerHelp, stdout);
    return 0;
  }
  for (const std::string& warning : flags->ignored) {
    std::fprintf(stderr, "Warning: %s\n", warning.c_str());
  }
  harden_process();
  bound_heap();
  const sigset_t signals = block_signals();
  const base::SystemClock system_clock;
  TestClock moved_clock(system_clock, flags->test_clock);
  const base::NeverBackClock clock(moved_clock);
  base::SystemRandom random;
  std::string ca;
  Result<Settings> settings = flags->dev ? dev_settings(*flags, clock, random, ca)
                              : !flags->standalone.empty()
                                  ? standalone_settings(*flags, clock, random)
                                  : configure(flags->config);
  if (!settings) return fail_with(settings.error());
  apply_lockout_variable(*settings);
  auto logging = apply_log_flags(*flags, *settings);
  if (!logging) return fail_with(logging.error());
  base::Log log(system_clock, STDERR_FILENO, settings->log_level, settings->log_format);
  if (moved_clock.in_use()) {
    log.warn("app", "-test-clock moves the time: for tests only");
    move_test_clock(moved_clock, log);
  }
  if (auto locks = base::check_memory_can_be_locked(base::kLockedMemoryBytesMin); !locks) {
    if (settings->needs_locked_memory) return fail_with(locks.error());
    log.warn("app", locks.error().message());
  }
  const std::string description = describe(*settings, version);
  auto instance = Instance::start(std::move(*settings), clock, random, log);
  if (!instance) return fail_with(instance.error());
  Result<void> greeted;
  if (flags->dev)
    greeted = greet_dev(*flags, **instance, ca);
  else if (!flags->standalone.empty())
    greeted = greet_standalone(*flags, **instance);
  else
    std::fputs(description.c_str(), stdout);
  std::fflush(stdout);
  if (!greeted) return fail_with(greeted.error());
  return serve(**instance, *flags, signals, moved_clock, log);
}

}  // namespace rekey::app
