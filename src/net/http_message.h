// What a handler sees of HTTP: one whole request, one whole answer. Knows no socket and no TLS.
// Values; the views of a Request point into its connection's buffer (see Exchange in exchange.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rekey::net {

struct Header {
  std::string_view name;   // as sent; compare with equal_ignoring_case
  std::string_view value;  // without leading and trailing white space
};

// ASCII only, as field names are (RFC 9110 section 5.1).
bool equal_ignoring_case(std::string_view a, std::string_view b);

// Who is at the other end of a connection. Lives as long as the connection's requests.
struct PeerInfo {
  std::string address;  // "192.0.2.1" or "2001:db8::1"; empty on a unix socket
  uint16_t port = 0;
  bool tls = false;
  bool unix_socket = false;
  uint16_t listener_index = 0;         // place in ServerOptions::listeners
  std::string client_certificate_der;  // empty: none sent. Verified only if the listener verifies
  std::vector<std::string> client_intermediates_der;  // what the client sent after its own
};

// One complete request. All views live until the Exchange is answered or dropped.
struct Request {
  std::string_view method;  // as sent, any token: "GET", "LIST", ...
  std::string_view target;  // as sent
  std::string_view path;    // still percent-encoded, begins with "/" (or is "*")
  std::string_view query;   // after the first "?", without it
  std::span<const Header> headers;
  std::string_view body;  // decoded from chunks where they were used
  // The client's address as a trusted proxy reported it (X-Forwarded-For); empty if there is none.
  std::string_view forwarded_address;
  bool http_1_0 = false;
  const PeerInfo* peer_info = nullptr;

  const PeerInfo& peer() const { return *peer_info; }
  // The address to authorise by: the forwarded one if trusted, else the peer's.
  std::string_view client_address() const {
    return forwarded_address.empty() ? std::string_view(peer_info->address) : forwarded_address;
  }
  // The value of the first header of this name, in whatever case; empty if there is none.
  std::string_view header(std::string_view name) const;
  bool has_header(std::string_view name) const;
};

// One complete answer. Every answer carries Cache-Control: no-store and Strict-Transport-Security;
// Content-Length and Connection are net's own. A body is left out where HTTP forbids one (HEAD,
// 204, 304).
struct Response {
  int status = 200;
  std::string headers;  // further complete lines, each ending in CRLF; never from a client's bytes
  std::string_view content_type = "application/json";  // a literal; empty: no Content-Type
  std::string body;
  bool close = false;  // close the connection after this answer
};

}  // namespace rekey::net
