// A blocking HTTP client on libcurl, for the command line and for callers that may block. Each
// send() is one exchange; the connection is kept for the next. Not safe for two threads at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace rekey::net {

struct ClientTlsOptions {
  std::string ca_file;  // PEM; with ca_path and ca_pem empty too: the system's
  std::string ca_path;  // a folder of PEM files, any names
  std::string ca_pem;   // the certificates themselves
  std::string client_cert_file;
  std::string client_key_file;
  std::string server_name;  // name to send and check instead of the URL's host
  bool skip_verify = false;
};

struct ClientOptions {
  ClientTlsOptions tls;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds total_timeout{60'000};
  uint64_t response_bytes_max = 64 << 20;
  std::string proxy;  // "http://host:3128"; empty: http_proxy, https_proxy and no_proxy decide
  bool follow_one_307 = false;  // Vault's standby answers; method and body are sent again
  // Asked for each address before it is connected to; false: not this one. Empty: any. With it no
  // proxy is used: the question would be about the proxy.
  std::function<bool(std::string_view address)> may_connect = {};
};

struct ClientRequest {
  std::string method = "GET";  // any token: "LIST"
  std::string url;           // "https://host:8200/v1/...", or "unix:///path/to.sock" + request_path
  std::string request_path;  // appended to url, as is: "/v1/sys/health?standbyok=true"
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // sent if not empty or if the method is POST, PUT or PATCH
};

struct ClientResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;

  // The first header of this name (lower case); empty if there is none.
  std::string_view header(std::string_view name) const;
};

class HttpClient {
 public:
  explicit HttpClient(ClientOptions options);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  // Any status is a success here. kUnavailable: no connection (the message says why, with the
  // address); kTimeout; kUpstream: TLS or HTTP went wrong; kInvalid: a bad URL or option;
  // kTooLarge: the answer is over response_bytes_max; kDenied: may_connect said no to each address.
  base::Result<ClientResponse> send(const ClientRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rekey::net
