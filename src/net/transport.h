// One accepted socket, plain or with TLS: non-blocking reads and writes of application bytes.
//
// Knows no HTTP. Lives on its loop's thread. OpenSSL reads and writes through a BIO of ours, which
// uses MSG_NOSIGNAL and remembers whether the socket has been read dry, so that an edge-triggered
// loop knows, without one more system call, whether to wait for the next edge.
#pragma once

#include <openssl/bio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/tls_context.h"

namespace rekey::net {

// OpenSSL's description of our BIO; one for all connections of a server, outlives them.
class SocketBioMethod {
 public:
  SocketBioMethod();
  const BIO_METHOD* get() const { return method_.get(); }

 private:
  struct Deleter {
    void operator()(BIO_METHOD* method) const { BIO_meth_free(method); }
  };
  std::unique_ptr<BIO_METHOD, Deleter> method_;
};

class Transport {
 public:
  enum class Io { kDone, kWouldBlock, kClosed };
  struct Count {
    Io io = Io::kWouldBlock;
    size_t bytes = 0;
  };

  Transport() = default;
  ~Transport() { close(); }
  Transport(const Transport&) = delete;  // OpenSSL holds our address
  Transport& operator=(const Transport&) = delete;

  // Takes `fd` over; `ssl` is null for plain text. False if memory is short.
  bool open(int fd, SslHandle ssl, const SocketBioMethod& method);
  void close();
  bool is_open() const { return fd_ >= 0; }
  bool is_tls() const { return ssl_ != nullptr; }
  int fd() const { return fd_; }

  Io handshake();
  // After a failed handshake: the client spoke plain HTTP.
  bool spoke_plain_http() const { return spoke_plain_http_; }
  Count read(std::span<char> into);        // kClosed: orderly end or broken
  Count write(std::string_view bytes);     // may take a part
  Count read_raw(std::span<char> into);    // past TLS, to throw away what still comes
  void write_raw(std::string_view bytes);  // past TLS, as far as it goes
  void end_writing();                      // close_notify where TLS is on, then FIN

  // The loop saw an edge: the socket may have bytes again, and if the peer has `ended`, no edge
  // will follow.
  void mark_readable(bool ended) {
    drained_ = false;
    peer_ended_ |= ended;
  }
  // read() may give more without a new edge.
  bool may_have_more() const;
  // Gives OpenSSL's record buffers back if they hold nothing: 33 KiB an idle connection.
  void release_buffers();

  // DER of the client's certificate and of what it sent after it; empty if none.
  std::string client_certificate() const;
  std::vector<std::string> client_intermediates() const;

  // Bytes on the wire since the last call.
  uint64_t take_bytes_in() { return std::exchange(bytes_in_, 0); }
  uint64_t take_bytes_out() { return std::exchange(bytes_out_, 0); }

 private:
  friend class SocketBioMethod;
  ssize_t receive(char* into, size_t size);
  ssize_t send(const char* bytes, size_t size);
  Io ssl_outcome();

  int fd_ = -1;
  SslHandle ssl_;
  bool drained_ = false;
  bool peer_ended_ = false;
  bool spoke_plain_http_ = false;
  uint64_t bytes_in_ = 0;
  uint64_t bytes_out_ = 0;
};

}  // namespace rekey::net
