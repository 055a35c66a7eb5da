#include "net/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace rekey::net {
namespace {

using base::ErrorKind;
using base::fail;
using base::Result;

constexpr uint64_t kResponseHeaderBytesMax = 256 << 10;
constexpr uint64_t kCaFolderBytesMax = 16 << 20;

struct CurlUrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct CurlTextDeleter {
  void operator()(char* text) const { curl_free(text); }
};
struct HeaderListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Url = std::unique_ptr<CURLU, CurlUrlDeleter>;
using HeaderList = std::unique_ptr<curl_slist, HeaderListDeleter>;

// What the callbacks write into while a transfer runs.
struct Receiving {
  ClientResponse response;
  uint64_t header_bytes = 0;
  uint64_t body_bytes_max = 0;
  bool too_large = false;
};

size_t on_body(char* data, size_t, size_t size, void* user) {
  auto& receiving = *static_cast<Receiving*>(user);
  if (receiving.response.body.size() + size > receiving.body_bytes_max) {
    receiving.too_large = true;
    return 0;
  }
  receiving.response.body.append(data, size);
  return size;
}

size_t on_header(char* data, size_t, size_t size, void* user) {
  auto& receiving = *static_cast<Receiving*>(user);
  receiving.header_bytes += size;
  if (receiving.header_bytes > kResponseHeaderBytesMax) {
    receiving.too_large = true;
    return 0;
  }
  std::string_view line(data, size);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    receiving.response.headers.clear();  // what came before was 100 Continue
    return size;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c | 0x20) : c; });
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  receiving.response.headers.emplace_back(std::move(name), value);
  return size;
}

// What the callback for new sockets looks at and says.
struct Connecting {
  const std::function<bool(std::string_view)>* may_connect = nullptr;
  bool refused = false;
  bool connected = false;  // there was an address that it was allowed to try
};

// libcurl asks here with the very address that it is about to connect to: what a name resolved to
// when somebody looked doesn't matter.
curl_socket_t on_socket(void* user, curlsocktype, curl_sockaddr* peer) {
  auto& connecting = *static_cast<Connecting*>(user);
  char text[INET6_ADDRSTRLEN] = {};
  const void* address = nullptr;
  if (peer->family == AF_INET) {
    address = &reinterpret_cast<const sockaddr_in*>(&peer->addr)->sin_addr;
  } else if (peer->family == AF_INET6) {
    address = &reinterpret_cast<const sockaddr_in6*>(&peer->addr)->sin6_addr;
  }
  if (address == nullptr || inet_ntop(peer->family, address, text, sizeof text) == nullptr ||
      !(*connecting.may_connect)(text)) {
    connecting.refused = true;
    return CURL_SOCKET_BAD;
  }
  connecting.connected = true;
  return socket(peer->family, peer->socktype | SOCK_CLOEXEC, peer->protocol);
}

bool has_line_break(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").contains(c);
  });
}

// Every file of a folder in one text: OpenSSL's own folder form wants files named by hash.
Result<std::string> read_ca_folder(const std::string& folder) {
  std::error_code error;
  std::string all;
  std::filesystem::directory_iterator files(folder, error);
  for (; !error && files != std::filesystem::directory_iterator(); files.increment(error)) {
    if (!files->is_regular_file(error)) continue;
    std::ifstream file(files->path(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    all += text.str() + "\n";
    if (all.size() > kCaFolderBytesMax) {
      return fail(ErrorKind::kInvalid,
                  "the folder of CA certificates holds over 16 MiB: " + folder);
    }
  }
  if (error) {
    return fail(ErrorKind::kInvalid, "can't read CA certificates from " + folder, error.message());
  }
  if (all.empty()) return fail(ErrorKind::kInvalid, "no CA certificates in " + folder);
  return all;
}

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, CurlTextDeleter> owned(text);
  return text;
}

base::Error describe_failure(CURLcode code, const char* buffer, const std::string& url) {
  const std::string why = buffer[0] != '\0' ? buffer : curl_easy_strerror(code);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return {ErrorKind::kTimeout, "no answer from " + url + ": " + why};
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {ErrorKind::kUnavailable, "can't reach " + url + ": " + why};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {ErrorKind::kInvalid, "not a usable address: " + url + ": " + why};
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
      return {ErrorKind::kInvalid, "can't use the certificate file: " + why};
    default:
      return {ErrorKind::kUpstream, "request to " + url + " failed: " + why};
  }
}

}  // namespace

std::string_view ClientResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

struct HttpClient::State {
  ClientOptions options;
  CURL* curl = nullptr;
  HeaderList connect_to;
  std::string ca_text;  // of ca_path, read once
  char error[CURL_ERROR_SIZE] = {};

  ~State() {
    if (curl != nullptr) curl_easy_cleanup(curl);
    curl_global_cleanup();
  }

  Result<void> set_tls();
  Result<HeaderList> make_headers(const ClientRequest& request);
  Result<std::string> set_address(const ClientRequest& request, HeaderList& headers);
  void set_method_and_body(const ClientRequest& request);
  Result<ClientResponse> send_once(const ClientRequest& request);
};

Result<void> HttpClient::State::set_tls() {
  const ClientTlsOptions& tls = options.tls;
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (tls.skip_verify) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!tls.ca_pem.empty()) {
    curl_blob blob{const_cast<char*>(tls.ca_pem.data()), tls.ca_pem.size(), CURL_BLOB_NOCOPY};
    curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  } else if (!tls.ca_file.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, tls.ca_file.c_str());
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  } else if (!tls.ca_path.empty()) {
    if (ca_text.empty()) {
      Result<std::string> text = read_ca_folder(tls.ca_path);
      if (!text) return forward(text);
      ca_text = std::move(*text);
    }
    curl_blob blob{ca_text.data(), ca_text.size(), CURL_BLOB_NOCOPY};
    curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  }
  if (!tls.client_cert_file.empty()) {
    curl_easy_setopt(curl, CURLOPT_SSLCERT, tls.client_cert_file.c_str());
    const std::string& key =
        tls.client_key_file.empty() ? tls.client_cert_file : tls.client_key_file;
    curl_easy_setopt(curl, CURLOPT_SSLKEY, key.c_str());
  }
  return {};
}

// Sets where to connect; the URL that libcurl is to be given comes back.
Result<std::string> HttpClient::State::set_address(const ClientRequest& request,
                                                   HeaderList& headers) {
  constexpr std::string_view kUnix = "unix://";
  if (request.url.starts_with(kUnix)) {
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, request.url.c_str() + kUnix.size());
    return "http://localhost" + request.request_path;
  }
  std::string base = request.url;
  if (!request.request_path.empty()) {
    while (base.ends_with('/')) base.pop_back();
  }
  const std::string whole = base + request.request_path;
  if (options.tls.server_name.empty()) return whole;
  // The name to send and check is the URL's host for libcurl; CONNECT_TO says where that really is.
  const Url url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, whole.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK) {
    return fail(ErrorKind::kInvalid, "not a usable address: " + request.url);
  }
  if (part(url.get(), CURLUPART_SCHEME) != "https") return whole;
  const std::string host = part(url.get(), CURLUPART_HOST);
  const std::string port = part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  if (curl_url_set(url.get(), CURLUPART_HOST, options.tls.server_name.c_str(), 0) != CURLUE_OK) {
    return fail(ErrorKind::kInvalid, "not a host name: " + options.tls.server_name);
  }
  const std::string rule = options.tls.server_name + ":" + port + ":" + host + ":" + port;
  connect_to.reset(curl_slist_append(nullptr, rule.c_str()));
  curl_easy_setopt(curl, CURLOPT_CONNECT_TO, connect_to.get());
  const std::string host_line = "Host: " + host + ":" + port;
  headers.reset(curl_slist_append(headers.release(), host_line.c_str()));
  return part(url.get(), CURLUPART_URL);
}

Result<HeaderList> HttpClient::State::make_headers(const ClientRequest& request) {
  // libcurl's own ideas: wait for 100 Continue, call a body a form. We want neither.
  HeaderList list(curl_slist_append(nullptr, "Expect:"));
  bool has_content_type = false;
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name) || has_line_break(value)) {
      return fail(ErrorKind::kInvalid, "not a header that can be sent: " + name);
    }
    has_content_type |= name.size() == 12 && curl_strequal(name.c_str(), "content-type") != 0;
    const std::string line = value.empty() ? name + ";" : name + ": " + value;
    list.reset(curl_slist_append(list.release(), line.c_str()));
  }
  if (!has_content_type) list.reset(curl_slist_append(list.release(), "Content-Type:"));
  return list;
}

void HttpClient::State::set_method_and_body(const ClientRequest& request) {
  const bool takes_body =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (takes_body || !request.body.empty()) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  } else {
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

Result<ClientResponse> HttpClient::State::send_once(const ClientRequest& request) {
  if (!is_token(request.method)) {
    return fail(ErrorKind::kInvalid, "not an HTTP method: " + request.method);
  }
  curl_easy_reset(curl);  // keeps the connection
  error[0] = '\0';
  Result<HeaderList> headers = make_headers(request);
  if (!headers) return forward(headers);
  if (Result<void> tls = set_tls(); !tls) return forward(tls);
  Result<std::string> url = set_address(request, *headers);
  if (!url) return forward(url);
  set_method_and_body(request);

  Receiving receiving;
  receiving.body_bytes_max = options.response_bytes_max;
  Connecting connecting{.may_connect = &options.may_connect};
  if (!options.proxy.empty()) {
    curl_easy_setopt(curl, CURLOPT_PROXY, options.proxy.c_str());
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "");  // it was named for just this
  }
  if (options.may_connect) {
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &connecting);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);  // another question next time
  }
  curl_easy_setopt(curl, CURLOPT_URL, url->c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers->get());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(options.connect_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options.total_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &receiving);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &receiving);
  const CURLcode code = curl_easy_perform(curl);
  if (receiving.too_large) {
    return fail(ErrorKind::kTooLarge, "the answer of " + request.url + " is too large");
  }
  if (code != CURLE_OK && connecting.refused && !connecting.connected) {
    return fail(ErrorKind::kDenied, "the address of " + request.url + " may not be connected to");
  }
  if (code != CURLE_OK) return std::unexpected(describe_failure(code, error, request.url));
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  receiving.response.status = static_cast<int>(status);
  return std::move(receiving.response);
}

HttpClient::HttpClient(ClientOptions options) : state_(std::make_unique<State>()) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  state_->options = std::move(options);
  state_->curl = curl_easy_init();
}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

Result<ClientResponse> HttpClient::send(const ClientRequest& request) {
  if (state_->curl == nullptr) return fail(ErrorKind::kInternal, "libcurl could not start");
  Result<ClientResponse> first = state_->send_once(request);
  if (!first || first->status != 307 || !state_->options.follow_one_307) return first;
  const std::string location(first->header("location"));
  if (location.empty()) return first;
  // A relative one is to the same server; a step down to plain text would show the token.
  if (location.starts_with("/")) {
    ClientRequest again = request;
    const size_t host =
        request.url.starts_with("unix://") ? std::string::npos : request.url.find("://");
    const size_t path =
        host == std::string::npos ? std::string::npos : request.url.find('/', host + 3);
    again.url = request.url.substr(0, path);
    again.request_path = location;
    return state_->send_once(again);
  }
  if (request.url.starts_with("https://") && !location.starts_with("https://")) {
    return fail(ErrorKind::kUpstream, "the server redirects from https to " + location);
  }
  ClientRequest again = request;
  again.url = location;
  again.request_path.clear();
  return state_->send_once(again);
}

}  // namespace rekey::net
