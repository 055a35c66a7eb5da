#include "net/byte_stream.h"

#include <curl/curl.h>
#include <poll.h>

#include <array>

namespace rekey::net {
namespace {

using base::ErrorKind;
using base::Result;

constexpr size_t kReceiveBytes = 16 * 1024;  // at a time

long milliseconds(base::Duration duration) {
  return static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

curl_blob blob_of(const std::string& text) {
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
}

}  // namespace

// libcurl connects, negotiates TLS and checks the certificate; then it only passes bytes.
class ByteStream::Impl {
 public:
  explicit Impl(base::Duration wait) : wait_(wait), curl_(curl_easy_init()) {}
  ~Impl() { curl_easy_cleanup(curl_); }
  Impl(const Impl&) = delete;

  Result<void> connect(const ByteStreamOptions& options) {
    if (curl_ == nullptr) return base::fail(ErrorKind::kInternal, "no memory");
    const bool bracket = options.host.find(':') != std::string::npos;
    const std::string url = std::string(options.tls ? "https://" : "http://") +
                            (bracket ? "[" + options.host + "]" : options.host) + ":" +
                            std::to_string(options.port);
    const long verify = options.verify ? 1 : 0, name = options.verify ? 2 : 0;
    curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl_, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_PROXY, "");
    curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options.connect_timeout));
    curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS, milliseconds(options.connect_timeout));
    curl_easy_setopt(curl_, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(curl_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYPEER, verify);
    curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYHOST, name);
    const auto set_pem = [&](CURLoption option, const std::string& pem) {
      if (pem.empty()) return;
      curl_blob blob = blob_of(pem);
      curl_easy_setopt(curl_, option, &blob);
    };
    set_pem(CURLOPT_CAINFO_BLOB, options.ca_pem);
    set_pem(CURLOPT_SSLCERT_BLOB, options.certificate_pem);
    set_pem(CURLOPT_SSLKEY_BLOB, options.key_pem);
    const CURLcode code = curl_easy_perform(curl_);
    if (code == CURLE_OPERATION_TIMEDOUT) {
      return base::fail(ErrorKind::kTimeout, "no connection in time");
    }
    if (code != CURLE_OK) {
      return base::fail(ErrorKind::kUnavailable, curl_easy_strerror(code));
    }
    curl_easy_getinfo(curl_, CURLINFO_ACTIVESOCKET, &socket_);
    return {};
  }

  Result<void> send(std::string_view bytes) {
    while (!bytes.empty()) {
      size_t sent = 0;
      const CURLcode code = curl_easy_send(curl_, bytes.data(), bytes.size(), &sent);
      if (code == CURLE_AGAIN) {
        auto ready = wait(POLLOUT);
        if (!ready) return ready;
        continue;
      }
      if (code != CURLE_OK) return lost();
      bytes.remove_prefix(sent);
    }
    return {};
  }

  Result<std::string_view> receive() {
    while (true) {
      size_t received = 0;
      const CURLcode code = curl_easy_recv(curl_, buffer_.data(), buffer_.size(), &received);
      if (code == CURLE_OK && received > 0) return std::string_view(buffer_.data(), received);
      if (code != CURLE_AGAIN) return lost();
      auto ready = wait(POLLIN);
      if (!ready) return forward(ready);
    }
  }

 private:
  static std::unexpected<base::Error> lost() {
    return base::fail(ErrorKind::kUnavailable, "the connection was lost");
  }

  Result<void> wait(short events) {
    pollfd one{static_cast<int>(socket_), events, 0};
    const int ready = poll(&one, 1, static_cast<int>(milliseconds(wait_)));
    if (ready > 0) return {};
    return base::fail(ErrorKind::kTimeout, "no answer in time");
  }

  base::Duration wait_;
  CURL* curl_;
  curl_socket_t socket_ = CURL_SOCKET_BAD;
  std::array<char, kReceiveBytes> buffer_;
};

ByteStream::ByteStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ByteStream::~ByteStream() = default;

Result<std::unique_ptr<ByteStream>> ByteStream::connect(const ByteStreamOptions& options) {
  auto impl = std::make_unique<Impl>(options.wait_timeout);
  auto connected = impl->connect(options);
  if (!connected) return forward(connected);
  return std::unique_ptr<ByteStream>(new ByteStream(std::move(impl)));
}

Result<void> ByteStream::send(std::string_view bytes) { return impl_->send(bytes); }
Result<std::string_view> ByteStream::receive() { return impl_->receive(); }

}  // namespace rekey::net
