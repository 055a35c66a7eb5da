// A blocking client that sends exactly the bytes it is given, over TCP, TLS or a unix socket, for
// tests of the server with right and wrong requests. Every wait is bounded.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/testing/certificates.h"

namespace rekey::net::testing {

struct RawAnswer {
  int status = 0;
  std::string head;  // with the status line
  std::string body;
  // The first header's value, its name in any case; empty if there is none.
  std::string header(std::string_view name) const;
};

class RawClient {
 public:
  struct Tls {
    std::string ca_file;  // empty: don't verify
    std::optional<CertificateFiles> certificate;
    int max_version = 0;  // 0: the newest
  };

  // `address` as Server::addresses() has it. connected() and handshake_done() say how far it went.
  explicit RawClient(const std::string& address);
  RawClient(const std::string& address, const Tls& tls);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return fd_ >= 0; }
  bool handshake_done() const { return ssl_ != nullptr; }
  std::string server_certificate_name() const;
  bool session_can_be_resumed() const;  // true if a ticket or session id was given
  bool renegotiates();                  // TLS 1.2: asks for it; false if that is refused

  bool send(std::string_view bytes);              // all of them; false if the server is gone
  size_t send_what_fits(std::string_view bytes);  // without waiting
  void end_sending();                             // FIN
  void reset();                                   // RST

  // One whole answer; bytes after it are kept. Nothing on end, on garbage or after `patience`.
  std::optional<RawAnswer> receive(bool head_request = false,
                                   std::chrono::milliseconds patience = std::chrono::seconds(10));
  // send() and receive().
  std::optional<RawAnswer> ask(std::string_view bytes);
  // True if the server closes (or resets) within the time; what it still sends is thrown away.
  bool closes(std::chrono::milliseconds patience = std::chrono::seconds(10));

 private:
  bool read_more(std::chrono::milliseconds patience);  // false: end, error or too late

  struct ContextDeleter {
    void operator()(SSL_CTX* it) const { SSL_CTX_free(it); }
  };
  struct ConnectionDeleter {
    void operator()(SSL* it) const { SSL_free(it); }
  };
  int fd_ = -1;
  std::unique_ptr<SSL_CTX, ContextDeleter> context_;
  std::unique_ptr<SSL, ConnectionDeleter> ssl_;
  std::string received_;
  bool ended_ = false;
};

}  // namespace rekey::net::testing
