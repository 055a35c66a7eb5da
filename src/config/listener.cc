#include "config/listener.h"

#include <algorithm>
#include <charconv>

#include "net/forwarded.h"

namespace rekey::config {

using base::Duration;
using base::forward;
using base::Result;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

namespace {

constexpr std::string_view kNotUsed = "not used by Rekey; it has no effect";

void read_time(Block& block, std::string_view key, milliseconds& out) {
  Duration value = out;
  if (!block.duration(key, value)) return;
  if (value > kRequestDurationMax) {
    return block.wrong(*block.take(key), "at most " + base::format_duration(kRequestDurationMax));
  }
  out = std::max(duration_cast<milliseconds>(value), milliseconds(1));
}

void read_limits(Block& block, net::ListenerOptions& options) {
  read_time(block, "max_request_duration", options.timeouts.request);
  read_time(block, "http_read_header_timeout", options.timeouts.read_header);
  read_time(block, "http_read_timeout", options.timeouts.read);
  read_time(block, "http_write_timeout", options.timeouts.write);
  read_time(block, "http_idle_timeout", options.timeouts.idle);
  int64_t size = 0;
  if (!block.integer("max_request_size", size)) return;
  options.limits.body_bytes_max = static_cast<uint64_t>(size);
  if (size <= 0 || static_cast<uint64_t>(size) > kRequestBodyBytesMax) {
    options.limits.body_bytes_max = kRequestBodyBytesMax;
    block.warn(
        *block.take("max_request_size"),
        "there is always a limit here; " + std::to_string(kRequestBodyBytesMax) + " bytes is used");
  }
}

void read_forwarded(Block& block, net::ForwardedOptions& options) {
  if (block.texts("x_forwarded_for_authorized_addrs", options.authorized_addresses)) {
    for (const std::string& range : options.authorized_addresses) {
      if (!net::parse_ip_range(range)) {
        block.wrong_here(
            "x_forwarded_for_authorized_addrs: expected addresses or ranges such as "
            "\"10.0.0.0/8\", not \"" +
            range + '"');
      }
    }
  }
  constexpr int64_t kHopSkipsMax = 100;
  int64_t skips = 0;
  if (block.integer("x_forwarded_for_hop_skips", skips)) {
    if (skips < 0 || skips > kHopSkipsMax) {
      block.wrong(*block.take("x_forwarded_for_hop_skips"), "a number from 0 to 100");
    }
    options.hop_skips = static_cast<uint32_t>(skips);
  }
  block.flag("x_forwarded_for_reject_not_present", options.reject_not_present);
  block.flag("x_forwarded_for_reject_not_authorized", options.reject_not_authorized);
  block.ignore(
      {"x_forwarded_for_client_cert_header", "x_forwarded_for_client_cert_header_decoders"},
      kNotUsed);
}

void read_tls_version(Block& block, net::TlsOptions& tls) {
  std::string version;
  if (block.text("tls_min_version", version)) {
    const hcl::Item& item = *block.take("tls_min_version");
    if (version == "tls13") {
      tls.min_version = net::TlsVersion::kTls13;
    } else if (version == "tls10" || version == "tls11") {
      block.warn(item, version + " is broken; tls12 is used");
    } else if (version != "tls12") {
      block.wrong(item, "\"tls12\" or \"tls13\"");
    }
  }
  if (block.text("tls_max_version", version) && version != "tls13") {
    const hcl::Item& item = *block.take("tls_max_version");
    if (version != "tls10" && version != "tls11" && version != "tls12") {
      block.wrong(item, "\"tls13\"");
    } else {
      block.warn(item, "tls13 is always offered");
    }
  }
}

// Only programs on this machine get there.
bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address.starts_with("[::1]:") ||
         address.starts_with("localhost:");
}

void read_tls(Block& block, net::ListenerOptions& options) {
  bool disable = false, require = false, no_certificates = false;
  net::TlsOptions tls;
  tls.min_version = net::TlsVersion::kTls12;  // as Vault: clients of today still use it
  block.flag("tls_disable", disable);
  block.text("tls_cert_file", tls.cert_file);
  block.text("tls_key_file", tls.key_file);
  block.text("tls_client_ca_file", tls.client_ca_file);
  block.flag("tls_require_and_verify_client_cert", require);
  block.flag("tls_disable_client_certs", no_certificates);
  block.texts("tls_cipher_suites", tls.cipher_suites);
  read_tls_version(block, tls);
  block.ignore_silently(
      {"tls_prefer_server_cipher_suites"});  // Go dropped it, Vault still reads it
  if (disable) {
    if (!is_loopback(options.address)) {
      block.warn(*block.take("tls_disable"),
                 "whoever is on the way reads and changes everything, tokens too");
    }
    return;
  }
  if (require && no_certificates) {
    block.wrong_here(
        "'tls_disable_client_certs' and 'tls_require_and_verify_client_cert' are mutually "
        "exclusive");
  }
  if (require && tls.client_ca_file.empty()) {
    block.wrong_here("tls_require_and_verify_client_cert needs tls_client_ca_file");
  }
  if (tls.cert_file.empty() || tls.key_file.empty()) {
    block.wrong_here(std::string(tls.cert_file.empty() ? "tls_cert_file" : "tls_key_file") +
                     " is missing; or say tls_disable = true");
  }
  tls.client_certificates = require           ? net::ClientCertificates::kRequireAndVerify
                            : no_certificates ? net::ClientCertificates::kNone
                                              : net::ClientCertificates::kRequest;
  options.tls = std::move(tls);
}

Result<void> read_listener_telemetry(Block& block, Listener& listener) {
  for (const Section& section : block.blocks("telemetry")) {
    Block telemetry(block.file(), section, "telemetry of a listener");
    telemetry.flag("unauthenticated_metrics_access", listener.unauthenticated_metrics);
    telemetry.ignore({"disallow_metrics", "metrics_only"}, kNotUsed);
    if (auto read = telemetry.finish(); !read) return read;
  }
  return {};
}

void read_unix(Block& block, net::ListenerOptions& options) {
  block.text("address", options.unix_path);
  block.text("socket_mode", options.unix_mode);
  block.text("socket_user", options.unix_user);
  block.text("socket_group", options.unix_group);
  if (options.unix_path.empty()) block.wrong_here("address is missing: the path of the socket");
  const std::string& mode = options.unix_mode;
  if (mode.size() > 4 || mode.find_first_not_of("01234567") != mode.npos) {
    block.wrong(*block.take("socket_mode"), "an octal mode such as \"0660\"");
  }
}

void read_tcp(Block& block, net::ListenerOptions& options) {
  options.address = "127.0.0.1:8200";
  if (block.text("address", options.address) && !is_listen_address(options.address)) {
    block.wrong(*block.take("address"), "host:port, such as \"0.0.0.0:8200\" or \"[::]:8200\"");
  }
  read_tls(block, options);
  read_forwarded(block, options.forwarded);
  block.ignore_silently({"cluster_address", "purpose"});
  block.ignore({"proxy_protocol_behavior", "proxy_protocol_authorized_addrs"},
               "the PROXY protocol is not read; use x_forwarded_for_authorized_addrs");
}

}  // namespace

bool is_listen_address(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == address.npos) return false;
  std::string_view host = address.substr(0, colon);
  const std::string_view port = address.substr(colon + 1);
  uint16_t number = 0;
  const char* end = port.data() + port.size();
  const auto read = std::from_chars(port.data(), end, number);
  if (port.empty() || read.ec != std::errc() || read.ptr != end) return false;
  if (host.starts_with('[') && host.ends_with(']')) {
    net::IpAddress parsed;
    host = host.substr(1, host.size() - 2);
    return net::parse_ip_address(host, parsed) && !parsed.v4;
  }
  return std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

Result<Listener> read_listener(const File& file, const hcl::Item& item,
                               std::optional<Duration> request_default) {
  if (item.keys.size() != 2) {
    return file.fail(item.place, "expected listener \"tcp\" { ... } or listener \"unix\" { ... }");
  }
  const std::string& kind = item.keys[1];
  if (kind != "tcp" && kind != "unix") {
    return file.fail(item.place, "listener: expected \"tcp\" or \"unix\", not \"" + kind + '"');
  }
  const auto sections = sections_of(item.value);
  if (sections.size() != 1) {
    return file.fail(item.place, "listener \"" + kind + "\": expected a block { ... }");
  }
  Listener listener;
  listener.net.place = file.at(item.place) + "listener \"" + kind + '"';
  if (request_default) {
    listener.net.timeouts.request = duration_cast<milliseconds>(*request_default);
  }
  Block block(file, {sections.front().object, item.place}, "listener \"" + kind + '"');
  if (kind == "tcp") {
    read_tcp(block, listener.net);
  } else {
    read_unix(block, listener.net);
  }
  read_limits(block, listener.net);
  if (auto read = read_listener_telemetry(block, listener); !read) return forward(read);
  block.ignore({"profiling", "inflight_requests_logging", "custom_response_headers", "agent_api",
                "role", "require_request_header", "chroot_namespace", "redact_addresses",
                "redact_cluster_name", "redact_version", "disable_replication_status_endpoints",
                "disable_request_limiter", "max_json_depth", "max_json_string_value_length",
                "max_json_object_entry_count", "max_json_array_element_count",
                "max_json_object_entry_name_length", "enable_quit", "http_redirect_address"},
               kNotUsed);
  if (auto read = block.finish(); !read) return forward(read);
  return listener;
}

}  // namespace rekey::config
