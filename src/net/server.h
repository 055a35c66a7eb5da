// The HTTP/1.1 server: TLS driven directly over one epoll loop a thread. Hands whole requests to a
// Handler and takes whole answers (exchange.h); knows nothing of what they mean.
//
// Each io thread has its own listening sockets (SO_REUSEPORT), its own epoll and its own Handler; a
// connection and its requests stay on the thread that accepted it. Server's own functions are for
// the thread that made it. Follows RFC 9110 and 9112; stricter where leniency is a way in (a
// request with both lengths, obs-fold, bare LF or CR, a repeated Host or Content-Length is
// refused).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "net/exchange.h"
#include "net/server_options.h"

namespace rekey::net {

// Sums over all loops since the start, except where it says "now".
struct ServerStatistics {
  uint64_t connections_now = 0;
  uint64_t connections_accepted = 0;
  uint64_t connections_refused = 0;  // over connections_max
  uint64_t handshakes_failed = 0;
  uint64_t requests = 0;   // handed to a handler
  uint64_t malformed = 0;  // refused by net itself
  uint64_t timeouts = 0;   // connections closed because they were too slow
  uint64_t bytes_in = 0;   // on the wire
  uint64_t bytes_out = 0;
  uint64_t turns = 0;  // of the loops that handled at least one request
};

class Server {
 public:
  // Called once for each loop before its thread starts; the server owns what it makes.
  using HandlerFactory = std::function<std::unique_ptr<Handler>(Loop& loop)>;

  // Binds every listener, reads every certificate and starts the threads. kInvalid if an option is
  // nonsense, kUnavailable if an address is taken. `log` and `clock` outlive the server.
  static base::Result<std::unique_ptr<Server>> start(ServerOptions options, HandlerFactory factory,
                                                     const base::Log& log,
                                                     const base::Clock& clock);
  ~Server();  // stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Reads certificates, keys and client CAs again. New connections use them once this returned; on
  // failure everything stays as it was.
  base::Result<void> reload_certificates();

  // Stops accepting, lets requests in flight finish, then stops. Idle connections are closed at
  // once; those still busy after `patience` are cut off. True if none had to be.
  bool drain(std::chrono::milliseconds patience);

  // Stops at once: connections are closed, requests in flight are waited for up to 5 s so that
  // their Exchanges come home, threads are joined. May be called again.
  void stop();

  // What is listened on, one for each listener: "127.0.0.1:8200", "[::1]:8200" or a socket's path.
  std::vector<std::string> addresses() const;
  ServerStatistics statistics() const;
  size_t loop_count() const;
  Loop& loop(size_t index);

 private:
  struct Parts;

 public:
  explicit Server(std::unique_ptr<Parts> parts);  // start() makes the parts

 private:
  std::unique_ptr<Parts> parts_;
};

// OpenSSL's own memory is wiped when it is freed. Called once, from main, before anything else uses
// OpenSSL; false if it was too late.
bool use_wiping_openssl_memory();

}  // namespace rekey::net
