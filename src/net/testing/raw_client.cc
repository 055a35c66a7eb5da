#include "net/testing/raw_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "net/http_message.h"

namespace rekey::net::testing {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience = std::chrono::seconds(10);

int open_socket(const std::string& address) {
  if (address.starts_with('/')) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    address.copy(where.sun_path, sizeof(where.sun_path) - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof(where)) == 0) return fd;
    ::close(fd);
    return -1;
  }
  const size_t colon = address.rfind(':');
  uint16_t port = 0;
  std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  inet_pton(AF_INET, address.substr(0, colon).c_str(), &where.sin_addr);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof(where)) == 0) return fd;
  ::close(fd);
  return -1;
}

bool wait_for(int fd, short what, milliseconds patience) {
  pollfd poll_of{fd, what, 0};
  return ::poll(&poll_of, 1, static_cast<int>(patience.count())) > 0;
}

}  // namespace

std::string RawAnswer::header(std::string_view name) const {
  std::string_view rest = head;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    rest.remove_prefix(std::min(rest.size(), line.size() + 2));
    const size_t colon = line.find(": ");
    if (colon == std::string_view::npos) continue;
    if (equal_ignoring_case(line.substr(0, colon), name)) {
      return std::string(line.substr(colon + 2));
    }
  }
  return {};
}

RawClient::RawClient(const std::string& address) : fd_(open_socket(address)) {}

RawClient::RawClient(const std::string& address, const Tls& tls) : RawClient(address) {
  if (fd_ < 0) return;
  context_.reset(SSL_CTX_new(TLS_client_method()));
  if (tls.max_version != 0) SSL_CTX_set_max_proto_version(context_.get(), tls.max_version);
  if (!tls.ca_file.empty()) {
    REKEY_CHECK(SSL_CTX_load_verify_file(context_.get(), tls.ca_file.c_str()) == 1);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  }
  if (tls.certificate) {
    const CertificateFiles& files = *tls.certificate;
    REKEY_CHECK(SSL_CTX_use_certificate_chain_file(context_.get(), files.cert_file.c_str()) == 1);
    REKEY_CHECK(
        SSL_CTX_use_PrivateKey_file(context_.get(), files.key_file.c_str(), SSL_FILETYPE_PEM) == 1);
  }
  ssl_.reset(SSL_new(context_.get()));
  SSL_set_fd(ssl_.get(), fd_);
  const timeval limit{10, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  if (SSL_connect(ssl_.get()) != 1) ssl_.reset();
  ERR_clear_error();
}

RawClient::~RawClient() {
  ssl_.reset();
  if (fd_ >= 0) ::close(fd_);
}

std::string RawClient::server_certificate_name() const {
  X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
  return name;
}

bool RawClient::session_can_be_resumed() const {
  return SSL_SESSION_is_resumable(SSL_get_session(ssl_.get())) == 1;
}

bool RawClient::renegotiates() {
  if (SSL_renegotiate(ssl_.get()) != 1) return false;
  const bool done = SSL_do_handshake(ssl_.get()) == 1;
  ERR_clear_error();
  return done;
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t count = 0;
    if (ssl_ != nullptr) {
      count = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    } else {
      count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

size_t RawClient::send_what_fits(std::string_view bytes) {
  REKEY_CHECK(ssl_ == nullptr);
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count =
        ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count <= 0) break;
    sent += static_cast<size_t>(count);
  }
  return sent;
}

void RawClient::end_sending() { ::shutdown(fd_, SHUT_WR); }

void RawClient::reset() {
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  ::close(std::exchange(fd_, -1));
}

bool RawClient::read_more(milliseconds patience) {
  if (ended_) return false;
  char bytes[16384];
  ssize_t count = 0;
  const bool buffered = ssl_ != nullptr && SSL_pending(ssl_.get()) > 0;
  if (!buffered && !wait_for(fd_, POLLIN, patience)) return false;
  if (ssl_ != nullptr) {
    count = SSL_read(ssl_.get(), bytes, sizeof(bytes));
    if (count <= 0 && SSL_get_error(ssl_.get(), static_cast<int>(count)) == SSL_ERROR_WANT_READ) {
      return true;
    }
    ERR_clear_error();
  } else {
    count = ::recv(fd_, bytes, sizeof(bytes), 0);
  }
  if (count <= 0) {
    ended_ = true;
    return false;
  }
  received_.append(bytes, static_cast<size_t>(count));
  return true;
}

std::optional<RawAnswer> RawClient::receive(bool head_request, milliseconds patience) {
  size_t head_size = 0;
  while ((head_size = received_.find("\r\n\r\n")) == std::string::npos) {
    if (!read_more(patience)) return std::nullopt;
  }
  RawAnswer answer;
  answer.head = received_.substr(0, head_size + 2);
  received_.erase(0, head_size + 4);
  if (!answer.head.starts_with("HTTP/1.1 ")) return std::nullopt;
  std::from_chars(answer.head.data() + 9, answer.head.data() + 12, answer.status);
  const std::string length = answer.header("content-length");
  size_t body_size = 0;
  std::from_chars(length.data(), length.data() + length.size(), body_size);
  if (head_request) body_size = 0;
  while (received_.size() < body_size) {
    if (!read_more(patience)) return std::nullopt;
  }
  answer.body = received_.substr(0, body_size);
  received_.erase(0, body_size);
  return answer;
}

std::optional<RawAnswer> RawClient::ask(std::string_view bytes) {
  if (!send(bytes)) return std::nullopt;
  return receive(bytes.starts_with("HEAD "), kPatience);
}

bool RawClient::closes(milliseconds patience) {
  while (read_more(patience)) received_.clear();
  return ended_;
}

}  // namespace rekey::net::testing
