// A running Server whose handler does what the request's path says; for tests of the server and of
// the client. Paths:
//   /echo         the request's body           /describe  method, path, query and body size as text
//   /bytes?N      N bytes                      /status?N  an answer with status N
//   /late         answered from another thread, through Loop::post
//   /hold         kept until release()         /drop      dropped without an answer
//   /close        answered with close          /slow?MS   blocks the loop for MS milliseconds
//   /address      the client's address         /redirect?URL  307 to URL
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/server.h"
#include "net/testing/certificates.h"

namespace rekey::net::testing {

class ScriptedServer {
 public:
  explicit ScriptedServer(ServerOptions options);
  // One listener on 127.0.0.1, plain text.
  ScriptedServer();
  ~ScriptedServer();

  Server& operator*() { return *server_; }
  Server* operator->() { return server_.get(); }
  const std::string& address() const { return addresses_.front(); }
  const std::vector<std::string>& addresses() const { return addresses_; }

  struct Malformed {
    std::string address;
    int status = 0;
    std::string reason;
  };
  std::vector<Malformed> malformed() const;
  std::vector<std::string> events()
      const;  // of the turns: "begin", "handle /path", "end" after those
  PeerInfo last_peer() const;
  bool wait_for_held(size_t count) const;  // false after 10 s
  void release();                          // answers what /hold keeps
  void drop_held();

 private:
  friend class ScriptedHandler;
  void start(ServerOptions options);
  void note(std::string event);
  void answer_late(Exchange exchange);

  base::SystemClock clock_;
  base::Log log_{clock_, -1};
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<Malformed> malformed_;
  std::vector<std::string> events_;
  PeerInfo last_peer_;
  size_t held_count_ = 0;
  std::vector<std::vector<Exchange>*> held_lists_;  // by loop; used on the loop's thread
  std::vector<std::thread> threads_;
  std::vector<std::string> addresses_;
  std::unique_ptr<Server> server_;
};

// Waits up to 10 s for something that another thread brings about.
bool eventually(const std::function<bool()>& holds);

ServerOptions plain_options();  // one listener on 127.0.0.1
ServerOptions tls_options(const CertificateFiles& files);

}  // namespace rekey::net::testing
