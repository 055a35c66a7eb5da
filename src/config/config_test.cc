#include "config/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/testing/source_dir.h"
#include "hcl/hcl.h"

namespace rekey::config {
namespace {

using namespace std::chrono_literals;

ServerConfig must_parse(std::string text) {
  const Source source{"f", std::move(text)};
  auto config = parse({&source, 1});
  if (!config) ADD_FAILURE() << config.error().describe() << "\n" << source.text;
  return config ? std::move(*config) : ServerConfig{};
}

std::string error_of(std::string text) {
  const Source source{"f", std::move(text)};
  const auto config = parse({&source, 1});
  return config ? "no error" : config.error().message();
}

std::string warnings_of(std::string text) {
  std::string out;
  for (const std::string& warning : must_parse(std::move(text)).warnings) out += warning + "|";
  return out;
}

constexpr const char* kTls = " tls_cert_file = \"c\" tls_key_file = \"k\" ";

// Every key that has an effect.
constexpr const char* kEveryKey = R"(
    storage "lmdb" { path = "/data" }
    audit_log { path = "/record" retention = "2160h" archive = "/archive" }
    listener "tcp" {
      address = "[::]:8200"
      tls_cert_file = "/c" tls_key_file = "/k" tls_client_ca_file = "/ca"
      tls_min_version = "tls13"
      tls_cipher_suites = "TLS_A, TLS_B"
      tls_require_and_verify_client_cert = "true"
      max_request_size = 1048576
      max_request_duration = "30s"
      http_read_header_timeout = "1s" http_read_timeout = "2s" http_write_timeout = "3s"
      http_idle_timeout = "4m"
      x_forwarded_for_authorized_addrs = "10.0.0.0/8, ::1"
      x_forwarded_for_hop_skips = "1"
      x_forwarded_for_reject_not_present = false
      x_forwarded_for_reject_not_authorized = "false"
      telemetry { unauthenticated_metrics_access = true }
    }
    listener "unix" { address = "/run/s" socket_mode = "0660" socket_user = "u" socket_group = "1" }
    seal "static" { current_key_id = "k1" current_key = "file:///etc/key" }
    default_lease_ttl = "1h" max_lease_ttl = 86400
    api_addr = "https://a.example:8200" cluster_addr = "https://a.example:8201"
    cluster_name = "c" log_level = "Debug" log_format = "json" ui = true disable_mlock = "1"
    io_threads = 3
    user_lockout "all" { lockout_threshold = "10" lockout_duration = "10m" }
    user_lockout "approle" { lockout_counter_reset = 60 disable_lockout = "true" }
    telemetry { prometheus_retention_time = "30s" disable_hostname = true metrics_prefix = "p" }
  )";

TEST(Config, HasVaultsDefaults) {
  const ServerConfig config = must_parse("listener \"tcp\" { tls_disable = 1 }");
  EXPECT_FALSE(config.storage);
  EXPECT_EQ(config.seal.kind, SealKind::kShamir);
  EXPECT_EQ(config.default_lease_ttl, 768h);
  EXPECT_EQ(config.max_lease_ttl, 768h);
  EXPECT_FALSE(config.ui);
  EXPECT_FALSE(config.log_level);
  EXPECT_EQ(config.io_threads, 0u);
  ASSERT_EQ(config.listeners.size(), 1u);
  const net::ListenerOptions& listener = config.listeners[0].net;
  EXPECT_EQ(listener.address, "127.0.0.1:8200");
  EXPECT_FALSE(listener.tls);
  EXPECT_EQ(listener.limits.body_bytes_max, 32u << 20);
  EXPECT_EQ(listener.timeouts.request, 90s);
  EXPECT_TRUE(listener.forwarded.reject_not_present);
  EXPECT_TRUE(listener.forwarded.authorized_addresses.empty());
  EXPECT_TRUE(config.warnings.empty());
}

TEST(Config, ReadsWholeFile) {
  const ServerConfig config = must_parse(kEveryKey);
  EXPECT_EQ(config.warnings,
            std::vector<std::string>{"f:24: ui: there is no web console; it has no effect"})
      << config.warnings.front();
  EXPECT_EQ(config.storage->kind, StorageKind::kLmdb);
  EXPECT_EQ(config.storage->path, "/data");
  EXPECT_EQ(config.audit_log_path, "/record");
  EXPECT_EQ(config.audit_retention, std::chrono::hours(2160));
  EXPECT_EQ(config.audit_archive, "/archive");
  ASSERT_EQ(config.listeners.size(), 2u);
  const net::ListenerOptions& tcp = config.listeners[0].net;
  EXPECT_EQ(tcp.address, "[::]:8200");
  EXPECT_EQ(tcp.tls->cert_file, "/c");
  EXPECT_EQ(tcp.tls->key_file, "/k");
  EXPECT_EQ(tcp.tls->client_ca_file, "/ca");
  EXPECT_EQ(tcp.tls->min_version, net::TlsVersion::kTls13);
  EXPECT_EQ(tcp.tls->cipher_suites, (std::vector<std::string>{"TLS_A", "TLS_B"}));
  EXPECT_EQ(tcp.tls->client_certificates, net::ClientCertificates::kRequireAndVerify);
  EXPECT_EQ(tcp.limits.body_bytes_max, 1048576u);
  EXPECT_EQ(tcp.timeouts.request, 30s);
  EXPECT_EQ(tcp.timeouts.read_header, 1s);
  EXPECT_EQ(tcp.timeouts.read, 2s);
  EXPECT_EQ(tcp.timeouts.write, 3s);
  EXPECT_EQ(tcp.timeouts.idle, 4min);
  EXPECT_EQ(tcp.forwarded.authorized_addresses, (std::vector<std::string>{"10.0.0.0/8", "::1"}));
  EXPECT_EQ(tcp.forwarded.hop_skips, 1u);
  EXPECT_FALSE(tcp.forwarded.reject_not_present);
  EXPECT_FALSE(tcp.forwarded.reject_not_authorized);
  EXPECT_TRUE(config.listeners[0].unauthenticated_metrics);
  const net::ListenerOptions& local = config.listeners[1].net;
  EXPECT_EQ(local.unix_path, "/run/s");
  EXPECT_EQ(local.unix_mode, "0660");
  EXPECT_EQ(local.unix_user, "u");
  EXPECT_EQ(local.unix_group, "1");
  EXPECT_TRUE(local.address.empty());
  EXPECT_EQ(config.seal.kind, SealKind::kStatic);
  EXPECT_EQ(config.seal.key_path, "/etc/key");
  EXPECT_EQ(config.seal.key_id, "k1");
  EXPECT_EQ(config.default_lease_ttl, 1h);
  EXPECT_EQ(config.max_lease_ttl, 24h);
  EXPECT_EQ(config.api_addr, "https://a.example:8200");
  EXPECT_EQ(config.cluster_addr, "https://a.example:8201");
  EXPECT_EQ(config.cluster_name, "c");
  EXPECT_EQ(config.log_level, base::LogLevel::kDebug);
  EXPECT_EQ(config.log_format, base::LogFormat::kJson);
  EXPECT_TRUE(config.ui);
  EXPECT_TRUE(config.disable_mlock);
  EXPECT_EQ(config.io_threads, 3u);
  EXPECT_EQ(config.user_lockout.at("all").threshold, 10);
  EXPECT_EQ(config.user_lockout.at("all").duration, 10min);
  EXPECT_EQ(config.user_lockout.at("all").disabled, std::nullopt);
  EXPECT_EQ(config.user_lockout.at("approle").threshold, std::nullopt);
  EXPECT_EQ(config.user_lockout.at("approle").counter_reset, 1min);
  EXPECT_EQ(config.user_lockout.at("approle").disabled, true);
  EXPECT_EQ(config.telemetry.prometheus_retention, 30s);
  EXPECT_EQ(config.telemetry.metrics_prefix, "p");
  EXPECT_TRUE(config.telemetry.disable_hostname);
  EXPECT_TRUE(check_complete(config));
}

std::string read_whole(const std::string& path) {
  std::ifstream file(base::testing::source_dir() + "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void expect_documented(const hcl::Object& object, const std::string& page) {
  for (const hcl::Item& item : object.items) {
    EXPECT_NE(page.find('`' + item.key()), std::string::npos) << item.key();
    if (item.value.as_object()) expect_documented(*item.value.as_object(), page);
  }
}

TEST(Config, PageListsEveryKey) {
  const std::string page = read_whole("docs/configuration.md");
  const auto document = hcl::parse(kEveryKey);
  ASSERT_TRUE(document);
  expect_documented(*document, page);
}

TEST(Config, ShippedFileIsWell) {
  const ServerConfig config = must_parse(read_whole("deploy/rekey.hcl"));
  EXPECT_TRUE(check_complete(config));
  EXPECT_TRUE(config.warnings.empty()) << config.warnings.front();
}

TEST(Config, TakesJsonInItsForms) {
  const char* const kForms[] = {
      R"({"storage": {"file": {"path": "/d"}}, "listener": {"tcp": {"tls_disable": true}},
          "telemetry": {"disable_hostname": true}, "max_lease_ttl": "1000h"})",
      R"({"backend": [{"file": {"path": "/d"}}], "listener": [{"tcp": {"tls_disable": "true"}}],
          "telemetry": [{"disable_hostname": true}], "max_lease_ttl": 3600000})",
      R"({"storage": {"file": [{"path": "/d"}]}, "listener": [{"tcp": [{"tls_disable": 1}]}],
          "telemetry": {"disable_hostname": "1"}, "max_lease_ttl": "3600000"})",
  };
  for (const char* text : kForms) {
    const ServerConfig config = must_parse(text);
    ASSERT_TRUE(config.storage) << text;
    EXPECT_EQ(config.storage->path, "/d");
    ASSERT_EQ(config.listeners.size(), 1u);
    EXPECT_FALSE(config.listeners[0].net.tls);
    EXPECT_TRUE(config.telemetry.disable_hostname);
    EXPECT_EQ(config.max_lease_ttl, 1000h);
    EXPECT_TRUE(config.warnings.empty()) << config.warnings.front();
  }
  EXPECT_EQ(must_parse(R"({"listener": [{"tcp": {"tls_disable": 1, "address": ":1"}},
                           {"tcp": {"tls_disable": 1, "address": ":2"}}]})")
                .listeners[1]
                .net.address,
            ":2");
}

TEST(Config, KnowsItsStorages) {
  EXPECT_EQ(must_parse("storage \"inmem\" {}").storage->kind, StorageKind::kMemory);
  EXPECT_EQ(must_parse("backend \"file\" { path = \"/d\" }").storage->path, "/d");
  EXPECT_EQ(must_parse("storage \"raft\" { path = \"/r\" node_id = \"n\" }").storage->path, "/r");
  EXPECT_EQ(warnings_of("\nstorage \"raft\" { path = \"/r\" retry_join { } }"),
            "f:2: storage \"raft\" is taken as \"lmdb\" at the same path: one machine|");
}

TEST(Config, AsksForClientCertificatesByDefault) {
  const auto mode = [](const std::string& more) {
    return must_parse("listener \"tcp\" {" + std::string(kTls) + more + "}")
        .listeners.at(0)
        .net.tls->client_certificates;
  };
  EXPECT_EQ(mode(""), net::ClientCertificates::kRequest);
  EXPECT_EQ(mode("tls_disable_client_certs = true"), net::ClientCertificates::kNone);
  EXPECT_EQ(
      must_parse("listener \"tcp\" {" + std::string(kTls) + "}").listeners[0].net.tls->min_version,
      net::TlsVersion::kTls12);
}

TEST(Config, MergesFilesInOrder) {
  const std::vector<Source> sources = {
      {"a",
       "storage \"inmem\" {} listener \"tcp\" { tls_disable = 1 } log_level = \"info\" ui = true"},
      {"b", "{\"storage\": {\"lmdb\": {\"path\": \"/d\"}}, \"log_level\": \"warn\"}"},
      {"c", "listener \"tcp\" { address = \":1\" tls_disable = 1 }\nmax_lease_ttl = \"10h\""},
  };
  const auto config = parse(sources);
  ASSERT_TRUE(config) << config.error().describe();
  EXPECT_EQ(config->storage->path, "/d");
  EXPECT_EQ(config->listeners.size(), 2u);
  EXPECT_EQ(config->log_level, base::LogLevel::kWarn);
  EXPECT_TRUE(config->ui);
  EXPECT_EQ(config->max_lease_ttl, 10h);
  EXPECT_EQ(config->default_lease_ttl, 10h) << "lowered, since nobody said it";
}

TEST(Config, GivesTheTopsRequestDurationToListeners) {
  const ServerConfig config = must_parse(
      "listener \"tcp\" { tls_disable = 1 }\n"
      "listener \"tcp\" { tls_disable = 1 max_request_duration = \"5s\" }\n"
      "default_max_request_duration = \"2m\"");
  EXPECT_EQ(config.listeners[0].net.timeouts.request, 2min);
  EXPECT_EQ(config.listeners[1].net.timeouts.request, 5s);
}

TEST(Config, WarnsOfWhatHasNoEffect) {
  EXPECT_EQ(warnings_of("\nbogus = 1\nlistener \"tcp\" {\n tls_disable = 1\n foo = 2\n}"),
            "f:5: unknown key \"foo\" in listener \"tcp\"; it has no effect|"
            "f:2: unknown key \"bogus\"; it has no effect|");
  EXPECT_EQ(warnings_of("raw_storage_endpoint = true"),
            "f:1: raw_storage_endpoint: there is no raw storage endpoint; it has no effect|");
  EXPECT_EQ(warnings_of("ui = true"), "f:1: ui: there is no web console; it has no effect|");
  EXPECT_EQ(warnings_of("ui = false"), "");
  EXPECT_EQ(
      warnings_of("listener \"tcp\" { address = \"0.0.0.0:1\" tls_disable = 1 }"),
      "f:1: listener \"tcp\": tls_disable: whoever is on the way reads and changes everything, "
      "tokens too|");
  EXPECT_EQ(warnings_of("listener \"tcp\" { address = \"[::1]:1\" tls_disable = 1 }"), "");
  EXPECT_EQ(warnings_of("storage \"inmem\" { x = 1 }"),
            "f:1: unknown key \"x\" in storage \"inmem\"; it has no effect|");
  EXPECT_EQ(
      warnings_of("telemetry { statsd_address = \"a:1\" }"),
      "f:1: telemetry: statsd_address: metrics are not pushed; collect them from sys/metrics|");
  EXPECT_EQ(warnings_of("listener \"tcp\" { tls_disable = 1 max_request_size = -1 }"),
            "f:1: listener \"tcp\": max_request_size: there is always a limit here; "
            "1073741824 bytes is used|");
  EXPECT_EQ(warnings_of("listener \"tcp\" { tls_disable = 1 http_write_timeout = 0 }"),
            "f:1: listener \"tcp\": http_write_timeout: there is always a limit here; 1m0s is used "
            "for 0|");
  EXPECT_EQ(warnings_of("listener \"tcp\" {" + std::string(kTls) + "tls_min_version = \"tls10\" }"),
            "f:1: listener \"tcp\": tls_min_version: tls10 is broken; tls12 is used|");
  EXPECT_EQ(warnings_of("seal \"awskms\" { disabled = \"true\" }"),
            "f:1: seal \"awskms\" is disabled and left out; seals can't be migrated|");
}

TEST(Config, StopsAtNonsenseAndSaysWhatWouldBeRight) {
  const std::string kDuration =
      "expected a duration such as \"90s\", \"768h\" or a number of seconds";
  const std::pair<std::string, std::string> kCases[] = {
      {"\n\ndefault_lease_ttl = \"10x\"", "f:3: default_lease_ttl: " + kDuration + ", not \"10x\""},
      {"max_lease_ttl = -5", "f:1: max_lease_ttl: " + kDuration + ", not -5"},
      {"max_lease_ttl = []", "f:1: max_lease_ttl: " + kDuration + ", not a list"},
      {"default_lease_ttl = \"2h\" max_lease_ttl = \"1h\"",
       "f:1: default_lease_ttl: expected at most max_lease_ttl (1h0m0s), not \"2h\""},
      {"ui = \"maybe\"", "f:1: ui: expected true or false, not \"maybe\""},
      {"api_addr = \"rekey:8200\"",
       "f:1: api_addr: expected an address such as \"https://rekey.example.org:8200\", not "
       "\"rekey:8200\""},
      {"api_addr = \"https://\"",
       "f:1: api_addr: expected an address such as \"https://rekey.example.org:8200\", not "
       "\"https://\""},
      {"log_level = \"loud\"",
       "f:1: log_level: expected trace, debug, info, warn or error, not "
       "\"loud\""},
      {"log_format = \"xml\"", "f:1: log_format: expected \"standard\" or \"json\", not \"xml\""},
      {"io_threads = 1000",
       "f:1: io_threads: expected a number from 0 (one for each core) to 256, not 1000"},
      {"io_threads = \"two\"", "f:1: io_threads: expected a whole number, not \"two\""},
      {"storage \"consul\" { }",
       "f:1: storage: expected \"lmdb\", \"file\" or \"inmem\", not \"consul\""},
      {"storage \"lmdb\" { }",
       "f:1: storage \"lmdb\": path is missing, such as path = \"/var/lib/rekey\""},
      {"storage = \"lmdb\"",
       "f:1: storage: expected storage \"lmdb\" { path = \"/var/lib/rekey\" }"},
      {"listener \"udp\" { }", "f:1: listener: expected \"tcp\" or \"unix\", not \"udp\""},
      {"listener { address = \":1\" }",
       "f:1: listener: expected \"tcp\" or \"unix\", not \"address\""},
      {"listener \"tcp\" { address = \"8200\" tls_disable = 1 }",
       "f:1: listener \"tcp\": address: expected host:port, such as \"0.0.0.0:8200\" or "
       "\"[::]:8200\", not \"8200\""},
      {"listener \"tcp\" { address = \"127.0.0.1:99999\" tls_disable = 1 }",
       "f:1: listener \"tcp\": address: expected host:port, such as \"0.0.0.0:8200\" or "
       "\"[::]:8200\", not \"127.0.0.1:99999\""},
      {"listener \"tcp\" { }",
       "f:1: listener \"tcp\": tls_cert_file is missing; or say tls_disable = true"},
      {"listener \"tcp\" { tls_cert_file = \"c\" }",
       "f:1: listener \"tcp\": tls_key_file is missing; or say tls_disable = true"},
      {"listener \"tcp\" {" + std::string(kTls) + "tls_require_and_verify_client_cert = true }",
       "f:1: listener \"tcp\": tls_require_and_verify_client_cert needs tls_client_ca_file"},
      {"listener \"tcp\" {" + std::string(kTls) +
           "tls_require_and_verify_client_cert = true "
           "tls_disable_client_certs = true }",
       "f:1: listener \"tcp\": 'tls_disable_client_certs' and 'tls_require_and_verify_client_cert' "
       "are mutually exclusive"},
      {"listener \"tcp\" {" + std::string(kTls) + "tls_min_version = \"ssl3\" }",
       "f:1: listener \"tcp\": tls_min_version: expected \"tls12\" or \"tls13\", not \"ssl3\""},
      {"listener \"tcp\" { tls_disable = 1 x_forwarded_for_authorized_addrs = \"nowhere\" }",
       "f:1: listener \"tcp\": x_forwarded_for_authorized_addrs: expected addresses or ranges such "
       "as \"10.0.0.0/8\", not \"nowhere\""},
      {"listener \"tcp\" { tls_disable = 1 max_request_duration = \"48h\" }",
       "f:1: listener \"tcp\": max_request_duration: expected at most 24h0m0s, not \"48h\""},
      {"listener \"unix\" { }",
       "f:1: listener \"unix\": address is missing: the path of the socket"},
      {"listener \"unix\" { address = \"/s\" socket_mode = \"rw\" }",
       "f:1: listener \"unix\": socket_mode: expected an octal mode such as \"0660\", not \"rw\""},
      {"seal \"awskms\" { }", "f:1: seal: expected \"shamir\" or \"static\", not \"awskms\""},
      {"audit_log { }", "f:1: audit_log: path is missing: the folder for the record"},
      {"telemetry = 5", "f:1: telemetry: expected a block { ... }, not 5"},
      {"a = \n", "f:2: expected a value, not the end"},
      {"{\"a\": }", "f:1: expected a value"},
  };
  for (const auto& [text, message] : kCases) EXPECT_EQ(error_of(text), message) << text;
}

TEST(Config, StopsAtTwoOfWhatThereIsOnceAndAtOneWrongAmongMany) {
  const std::pair<std::string, std::string> kCases[] = {
      {"storage \"inmem\" { }\nbackend \"lmdb\" { path = \"/d\" }",
       "f:2: backend: there is one already, in line 1"},
      {"seal \"shamir\" { }\nseal \"shamir\" { }", "f:2: seal: there is one already, in line 1"},
      {"listener \"tcp\" { tls_disable = 1 x_forwarded_for_authorized_addrs = [\"::1\", \"x\"] }",
       "f:1: listener \"tcp\": x_forwarded_for_authorized_addrs: expected addresses or ranges such "
       "as \"10.0.0.0/8\", not \"x\""},
  };
  for (const auto& [text, message] : kCases) EXPECT_EQ(error_of(text), message) << text;
}

TEST(Config, RetentionOfTheRecordMakesSense) {
  EXPECT_EQ(error_of("audit_log { archive = \"/a\" path = \"/p\" }"),
            "f:1: audit_log: archive needs retention: the age at which entries go there");
  EXPECT_EQ(error_of("user_lockout \"token\" { lockout_threshold = 1 }"),
            "f:1: user_lockout: expected \"all\", \"userpass\", \"approle\" or \"ldap\", not "
            "\"token\"");
  EXPECT_EQ(
      error_of("user_lockout \"all\" { lockout_threshold = 0 }"),
      "f:1: user_lockout \"all\": lockout_threshold: expected a number from 1 to 1000000, not 0");
  EXPECT_EQ(error_of("audit_log { retention = \"1h\" }"),
            "f:1: audit_log: retention: expected at least 24h0m0s");
}

TEST(Config, NeverShowsAKey) {
  for (const char* key : {"\"c2VjcmV0LWtleQ==\"", "\"base64://c2VjcmV0LWtleQ==\"", "5", "[1]"}) {
    const std::string text = "seal \"static\" { current_key = " + std::string(key) + " }";
    EXPECT_EQ(error_of(text),
              "f:1: seal \"static\": current_key: expected the path of a key file, such as "
              "\"file:///etc/rekey/seal.key\"");
  }
  EXPECT_EQ(must_parse("seal \"static\" { key_file = \"/k\" }").seal.key_path, "/k");
  EXPECT_EQ(error_of("seal \"static\" { current_key = \"/k\" previous_key = \"c2VjcmV0\" }"),
            "f:1: seal \"static\": previous_key: expected the path of a key file, such as "
            "\"file:///etc/rekey/seal.key\"");
}

TEST(Config, AStaticKeyMayReplaceAnother) {
  const auto config = must_parse(
      "seal \"static\" { current_key = \"/new\" previous_key = \"file:///old\" "
      "previous_key_id = \"a\" }");
  EXPECT_EQ(config.seal.previous_key_path, "/old");
  EXPECT_TRUE(config.warnings.empty());
  EXPECT_EQ(error_of("seal \"static\" { current_key = \"/k\" previous_key_id = \"a\" }"),
            "f:1: seal \"static\": previous_key_id needs previous_key");
}

TEST(Config, SaysWhatIsMissing) {
  EXPECT_NE(check_complete(must_parse("")).error().message().find("no storage"), std::string::npos);
  EXPECT_NE(
      check_complete(must_parse("storage \"inmem\" {}")).error().message().find("no listener"),
      std::string::npos);
}

TEST(Config, TakesTheEnvironmentBeforeFiles) {
  ServerConfig config = must_parse("api_addr = \"http://a\" log_level = \"info\"");
  std::map<std::string, std::string> variables = {{"VAULT_API_ADDR", "https://b:1"},
                                                  {"VAULT_LOG_LEVEL", "warn"},
                                                  {"REKEY_LOG_LEVEL", "error"},
                                                  {"VAULT_CLUSTER_ADDR", ""}};
  const auto look_up = [&](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    if (at == variables.end()) return std::nullopt;
    return at->second;
  };
  ASSERT_TRUE(apply_environment(look_up, config));
  EXPECT_EQ(config.api_addr, "https://b:1");
  EXPECT_EQ(config.log_level, base::LogLevel::kError);
  variables["REKEY_LOG_FORMAT"] = "\"},\n";
  EXPECT_EQ(apply_environment(look_up, config).error().message(),
            "environment REKEY_*:1: log_format: expected \"standard\" or \"json\", not \"\"},\n\"");
}

class ConfigFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "config_test_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + '/' + name) << text;
    return folder_ + '/' + name;
  }
  std::string folder_;
};

TEST_F(ConfigFiles, TakesFilesAndFolders) {
  write("b.hcl", "2");
  write("a.json", "1");
  write(".hidden.hcl", "x");
  write("a.hcl~", "x");
  write("#a.hcl#", "x");
  write("README", "x");
  const std::string single = write("c.conf", "3");
  const std::vector<std::string> paths = {folder_, single};
  const auto sources = read_sources(paths);
  ASSERT_TRUE(sources) << sources.error().describe();
  ASSERT_EQ(sources->size(), 3u);
  EXPECT_EQ((*sources)[0].text, "1");
  EXPECT_EQ((*sources)[1].text, "2");
  EXPECT_EQ((*sources)[2].name, single);
}

TEST_F(ConfigFiles, SaysWhatCannotBeRead) {
  const auto error = [](const std::string& path) {
    const auto sources = read_sources({&path, 1});
    return sources ? "no error" : sources.error().message();
  };
  EXPECT_NE(error(folder_).find("no file with the ending"), std::string::npos);
  EXPECT_NE(error(folder_ + "/none").find("none: "), std::string::npos);
  EXPECT_NE(error(write("big.hcl", std::string(kConfigFileBytesMax + 1, ' '))).find("larger"),
            std::string::npos);
}

}  // namespace
}  // namespace rekey::config
