// ByteStream: a connection to an outside server as plain bytes, over TCP or TLS, for protocols that
// are not HTTP. Blocking, with limits on every wait; one thread at a time, never an io thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace rekey::net {

struct ByteStreamOptions {
  std::string host;
  uint16_t port = 0;
  bool tls = false;
  bool verify = true;  // the server's certificate and name
  std::string ca_pem;  // empty: the system's
  std::string certificate_pem, key_pem;
  base::Duration connect_timeout = std::chrono::seconds(5);
  base::Duration wait_timeout = std::chrono::seconds(10);  // of one send or receive
};

class ByteStream {
 public:
  // kUnavailable: no connection; kTimeout: not in time.
  static base::Result<std::unique_ptr<ByteStream>> connect(const ByteStreamOptions& options);
  ~ByteStream();
  base::Result<void> send(std::string_view bytes);  // all of them
  // Some bytes, at least one; kUnavailable when the other side closed.
  base::Result<std::string_view> receive();  // until the next call

 private:
  class Impl;
  explicit ByteStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rekey::net
