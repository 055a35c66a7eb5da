#include "net/transport.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

namespace rekey::net {
namespace {

std::string to_der(X509* certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate, &bytes);
  if (size <= 0) return {};
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

SocketBioMethod::SocketBioMethod()
    : method_(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rekey socket")) {
  REKEY_CHECK(method_ != nullptr);
  BIO_meth_set_read(method_.get(), [](BIO* bio, char* into, int size) -> int {
    BIO_clear_retry_flags(bio);
    auto* transport = static_cast<Transport*>(BIO_get_data(bio));
    const ssize_t count = transport->receive(into, static_cast<size_t>(size));
    if (count < 0 && would_block()) BIO_set_retry_read(bio);
    return static_cast<int>(count);
  });
  BIO_meth_set_write(method_.get(), [](BIO* bio, const char* bytes, int size) -> int {
    BIO_clear_retry_flags(bio);
    auto* transport = static_cast<Transport*>(BIO_get_data(bio));
    const ssize_t count = transport->send(bytes, static_cast<size_t>(size));
    if (count < 0 && would_block()) BIO_set_retry_write(bio);
    return static_cast<int>(count);
  });
  BIO_meth_set_ctrl(method_.get(), [](BIO*, int command, long, void*) -> long {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  });
}

bool Transport::open(int fd, SslHandle ssl, const SocketBioMethod& method) {
  REKEY_CHECK(fd_ < 0);
  fd_ = fd;
  drained_ = peer_ended_ = false;
  bytes_in_ = bytes_out_ = 0;
  if (ssl == nullptr) return true;
  BIO* bio = BIO_new(method.get());
  if (bio == nullptr) return false;
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl.get(), bio, bio);  // takes the BIO over
  SSL_set_accept_state(ssl.get());
  ssl_ = std::move(ssl);
  return true;
}

void Transport::close() {
  ssl_.reset();
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

ssize_t Transport::receive(char* into, size_t size) {
  const ssize_t count = ::recv(fd_, into, size, 0);
  // A short read of a stream means that it is dry: the next bytes raise a new edge. Not so where
  // the end is next, which may have come with the same edge as the bytes.
  drained_ = count < 0 || (static_cast<size_t>(count) < size && !peer_ended_);
  if (count > 0) bytes_in_ += static_cast<uint64_t>(count);
  return count;
}

ssize_t Transport::send(const char* bytes, size_t size) {
  const ssize_t count = ::send(fd_, bytes, size, MSG_NOSIGNAL);
  if (count > 0) bytes_out_ += static_cast<uint64_t>(count);
  return count;
}

// After a call of OpenSSL that didn't succeed. Says what SSL_get_error would, without looking
// through the thread's queue of errors, where others may have left some.
Transport::Io Transport::ssl_outcome() {
  if (SSL_want(ssl_.get()) != SSL_NOTHING && BIO_should_retry(SSL_get_rbio(ssl_.get())) != 0) {
    return Io::kWouldBlock;
  }
  ERR_clear_error();
  return Io::kClosed;
}

Transport::Io Transport::handshake() {
  if (SSL_do_handshake(ssl_.get()) == 1) return Io::kDone;
  spoke_plain_http_ = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
  return ssl_outcome();
}

Transport::Count Transport::read(std::span<char> into) {
  if (ssl_ != nullptr) {
    size_t count = 0;
    if (SSL_read_ex(ssl_.get(), into.data(), into.size(), &count) == 1) return {Io::kDone, count};
    return {ssl_outcome(), 0};
  }
  const ssize_t count = receive(into.data(), into.size());
  if (count > 0) return {Io::kDone, static_cast<size_t>(count)};
  return {count < 0 && would_block() ? Io::kWouldBlock : Io::kClosed, 0};
}

Transport::Count Transport::write(std::string_view bytes) {
  if (ssl_ != nullptr) {
    size_t count = 0;
    if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count) == 1) {
      return {Io::kDone, count};
    }
    return {ssl_outcome(), 0};
  }
  const ssize_t count = send(bytes.data(), bytes.size());
  if (count >= 0) return {Io::kDone, static_cast<size_t>(count)};
  return {would_block() ? Io::kWouldBlock : Io::kClosed, 0};
}

Transport::Count Transport::read_raw(std::span<char> into) {
  const ssize_t count = receive(into.data(), into.size());
  if (count > 0) return {Io::kDone, static_cast<size_t>(count)};
  return {count < 0 && would_block() ? Io::kWouldBlock : Io::kClosed, 0};
}

void Transport::write_raw(std::string_view bytes) { (void)send(bytes.data(), bytes.size()); }

void Transport::end_writing() {
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_.get())) {
    SSL_shutdown(ssl_.get());  // queues close_notify; we don't wait for the peer's
    ERR_clear_error();
  }
  ::shutdown(fd_, SHUT_WR);
}

bool Transport::may_have_more() const {
  return !drained_ || (ssl_ != nullptr && SSL_has_pending(ssl_.get()) == 1);
}

void Transport::release_buffers() {
  if (ssl_ != nullptr) SSL_free_buffers(ssl_.get());
}

std::string Transport::client_certificate() const {
  X509* certificate = ssl_ == nullptr ? nullptr : SSL_get0_peer_certificate(ssl_.get());
  return certificate == nullptr ? std::string() : to_der(certificate);
}

std::vector<std::string> Transport::client_intermediates() const {
  std::vector<std::string> all;
  // On the server's side the chain is without the client's own certificate.
  STACK_OF(X509)* chain = ssl_ == nullptr ? nullptr : SSL_get_peer_cert_chain(ssl_.get());
  for (int i = 0; chain != nullptr && i < sk_X509_num(chain); i++) {
    all.push_back(to_der(sk_X509_value(chain, i)));
  }
  return all;
}

}  // namespace rekey::net
