// What a server is told: listeners, limits and times, each with its unit. Values; made by app from
// the configuration file.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rekey::net {

using std::chrono::milliseconds;

enum class ClientCertificates {
  kRequest,           // ask for one, take none or any; who it proves is the auth method's question
  kRequireAndVerify,  // no handshake without one from client_ca_file
  kNone,              // don't ask
};

enum class TlsVersion { kTls12, kTls13 };

struct TlsOptions {
  std::string cert_file;  // PEM: the server's certificate, then its intermediates
  std::string key_file;   // PEM, without a pass phrase
  std::string client_ca_file;
  ClientCertificates client_certificates = ClientCertificates::kRequest;
  TlsVersion min_version = TlsVersion::kTls13;
  std::vector<std::string> cipher_suites;  // IANA names; empty: OpenSSL's good ones
};

struct HttpLimits {
  uint64_t body_bytes_max = 32 << 20;    // 413; Vault's max_request_size
  uint32_t head_bytes_max = 64 << 10;    // request line and headers together: 431
  uint32_t target_bytes_max = 16 << 10;  // 414
  uint32_t headers_max = 128;            // 431
};

struct HttpTimeouts {
  milliseconds handshake{10'000};    // from accept to the end of the TLS handshake
  milliseconds read_header{10'000};  // from a request's first byte to the end of its head
  milliseconds read{30'000};         // from a request's first byte to its last
  milliseconds idle{300'000};        // between requests
  milliseconds write{60'000};        // for writing one answer
  milliseconds request{90'000};      // from a complete request to its answer: then 503
};

// Who may tell us the client's address (Vault's x_forwarded_for_*). Off unless `authorized` has
// an entry.
struct ForwardedOptions {
  std::vector<std::string> authorized_addresses;  // addresses or CIDR ranges
  uint32_t hop_skips = 0;                         // how many entries from the right to pass over
  bool reject_not_present = true;                 // no header: 400
  bool reject_not_authorized = true;              // header from an address that may not: 400
};

struct ListenerOptions {
  std::string address;    // "127.0.0.1:8200", "[::]:8200", ":8200", "localhost:0" (any free port)
  std::string unix_path;  // instead of address: a socket file
  std::string unix_mode;  // octal, such as "660"; empty: 600
  std::string unix_user;  // name or number; empty: ours
  std::string unix_group;
  std::optional<TlsOptions> tls;  // none: plain HTTP
  HttpLimits limits;
  HttpTimeouts timeouts;
  ForwardedOptions forwarded;
  std::string place;  // where it was configured, to begin messages with; may be empty
};

struct ServerOptions {
  std::vector<ListenerOptions> listeners;
  uint32_t io_threads = 1;
  uint32_t connections_max = 20'000;           // of the whole server; one more is closed at once
  uint64_t buffered_bytes_max = 512ull << 20;  // of all large bodies being received: above it 503
};

}  // namespace rekey::net
