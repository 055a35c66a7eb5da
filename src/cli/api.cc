#include "cli/api.h"

#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>
#include <algorithm>
#include <array>

namespace rekey::cli {

using base::ErrorKind;
using base::fail;
using base::Json;
using base::JsonObject;
using base::Result;

namespace {

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

std::string escape(std::string_view text, std::string_view also_plain) {
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c) || also_plain.contains(c)) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

bool should_retry(const Result<net::ClientResponse>& answer) {
  if (!answer) return answer.error().kind() == ErrorKind::kUnavailable;
  if (answer->status == 412) return true;
  if (answer->status < 500 || answer->status == 501) return false;
  return !answer->body.contains("is sealed");  // waiting a second unseals nothing
}

std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += R"('"'"')";
    } else {
      out += c;
    }
  }
  return out + "'";
}

// A transport's error with what can be done about it.
base::Error explain(const base::Error& error, const ApiOptions& options) {
  std::string text = error.message();
  const std::string name = options.program == "vault" ? "VAULT" : "REKEY";
  switch (error.kind()) {
    case ErrorKind::kUnavailable:
      text += fmt::format(
          "\n\nIs the server running there? The address comes from -address or {}_ADDR; without "
          "either it is https://127.0.0.1:8200.",
          name);
      break;
    case ErrorKind::kUpstream:
      if (options.address.starts_with("https://")) {
        text += fmt::format(
            "\n\nIf the server's certificate isn't trusted, name its CA with -ca-cert or "
            "{0}_CACERT."
            " If the server speaks plain HTTP, set {0}_ADDR to http://...",
            name);
      } else {
        text += fmt::format("\n\nIf the server speaks TLS, set {}_ADDR to https://...", name);
      }
      break;
    default:
      break;
  }
  return {error.kind(), std::move(text), error.detail(), error.where()};
}

}  // namespace

std::string request_path(const Call& call) {
  std::string path = "/v1/" + escape(call.path, "/$&+,:;=@");
  for (size_t at = path.find("//"); at != std::string::npos; at = path.find("//", at)) {
    path.erase(at, 1);
  }
  if (path.ends_with('/')) path.pop_back();
  char separator = '?';
  for (const auto& [name, value] : call.query) {
    path += separator + escape(name, "") + "=" + escape(value, "");
    separator = '&';
  }
  return path;
}

std::string curl_command(const net::ClientRequest& request, const ApiOptions& options) {
  std::string out = "curl ";
  const net::ClientTlsOptions& tls = options.net.tls;
  if (tls.skip_verify) out += "--insecure ";
  if (!tls.ca_file.empty()) out += "--cacert " + shell_quoted(tls.ca_file) + " ";
  if (!tls.ca_path.empty()) out += "--capath " + shell_quoted(tls.ca_path) + " ";
  if (!tls.client_cert_file.empty()) out += "--cert " + shell_quoted(tls.client_cert_file) + " ";
  if (!tls.client_key_file.empty()) out += "--key " + shell_quoted(tls.client_key_file) + " ";
  if (request.method != "GET") out += "-X " + request.method + " ";
  auto headers = request.headers;
  std::ranges::sort(headers, {}, [](const auto& header) {  // the token first, as vault does
    return std::pair(header.first != "X-Vault-Token", header);
  });
  for (const auto& [name, value] : headers) {
    if (name == "Content-Type" && value == "application/json") continue;
    const std::string shown =
        name == "X-Vault-Token" ? "$(" + options.program + " print token)" : value;
    out += fmt::format("-H \"{}: {}\" ", name, shown);
  }
  if (!request.body.empty()) out += "-d " + shell_quoted(request.body) + " ";
  return out + "\"" + request.url + request.request_path + "\"";
}

std::string policy_for(const Call& call) {
  constexpr std::array kSudo = {"sys/audit",       "sys/auth",           "sys/config/auditing",
                                "sys/config/cors", "sys/config/ui",      "sys/leases/lookup/",
                                "sys/raw",         "sys/leases/revoke-", "sys/plugins/catalog",
                                "sys/remount",     "sys/rotate",         "sys/seal",
                                "sys/storage/",    "sys/step-down"};
  const bool is_list = std::ranges::find(call.query, std::pair<std::string, std::string>{
                                                         "list", "true"}) != call.query.end();
  std::string capabilities = is_list                   ? R"("list")"
                             : call.method == "GET"    ? R"("read")"
                             : call.method == "DELETE" ? R"("delete")"
                             : call.method == "PATCH"  ? R"("patch")"
                                                       : R"("create", "update")";
  const auto starts = [&](const char* prefix) { return call.path.starts_with(prefix); };
  if (std::ranges::any_of(kSudo, starts)) capabilities += R"(, "sudo")";
  return fmt::format("path \"{}\" {{\n  capabilities = [{}]\n}}", call.path, capabilities);
}

std::string api_error_text(const net::ClientRequest& request, const net::ClientResponse& response) {
  std::string out = "Error making API request.\n\n";
  for (const auto& [name, value] : request.headers) {
    if (name == "X-Vault-Namespace") out += "Namespace: " + value + "\n";
  }
  out += fmt::format("URL: {} {}{}\nCode: {}. ", request.method, request.url, request.request_path,
                     response.status);
  Result<Json> json = Json::parse(response.body);
  const Json* errors = json ? json->find("errors") : nullptr;
  if (errors == nullptr || !errors->is_array()) {
    return out + "Raw Message:\n\n" + response.body;
  }
  out += "Errors:\n\n";
  const char* separator = "";
  for (const Json& error : *errors->as_array()) {
    out.append(separator).append("* ").append(error.is_string() ? *error.as_string()
                                                                : error.dump());
    separator = "\n";
  }
  return out;
}

// What to do about a refusal. Under the name vault errors are vault's and nothing else.
std::string hint_for(const Call& call, int status, std::string_view body,
                     const ApiOptions& options) {
  if (options.program == "vault") return "";
  if (status == 503 && body.contains("is sealed")) {
    return "\n\nGive the server its unseal keys: rekey operator unseal";
  }
  if (status == 400 && body.contains("not initialized")) {
    return "\n\nA new server is initialized once: rekey operator init";
  }
  const bool is_login = call.path.starts_with("auth/") && call.path.contains("/login");
  if (status != 403 || is_login) return "";  // who logs in has no token yet
  if (options.token.empty()) {
    return "\n\nNo token was sent. Log in with \"rekey login\", or set REKEY_TOKEN.";
  }
  return fmt::format(
      "\n\nIs the token still valid? \"rekey token lookup\". Which rule denies it? "
      "\"rekey policy explain {}\".",
      call.path);
}

Api::Api(ApiOptions options, base::Random& random, std::function<void(base::Duration)> wait)
    : options_(std::move(options)), random_(random), wait_(std::move(wait)) {
  while (options_.address.ends_with('/')) options_.address.pop_back();
  if (options_.ca_pem.empty()) return;
  // libcurl reads a file; this one has no name and ends with the process.
  ca_file_ = memfd_create("ca.pem", MFD_CLOEXEC);
  if (ca_file_ < 0) return;
  const std::string& pem = options_.ca_pem;
  if (write(ca_file_, pem.data(), pem.size()) == static_cast<ssize_t>(pem.size())) {
    options_.net.tls.ca_file = fmt::format("/proc/self/fd/{}", ca_file_);
  }
}

Api::~Api() {
  if (ca_file_ >= 0) close(ca_file_);
}

std::string Api::wrap_ttl(const Call& call) const {
  if (call.always || call.path == "sys/wrapping/unwrap") return "";
  if (!options_.wrap_ttl.empty()) return options_.wrap_ttl;
  return call.path == "sys/wrapping/wrap" && call.method != "GET" ? "5m" : "";
}

std::vector<std::pair<std::string, std::string>> Api::headers(const Call& call) const {
  std::vector<std::pair<std::string, std::string>> list = options_.headers;
  list.emplace_back("X-Vault-Request", "true");
  if (!options_.token.empty()) list.emplace_back("X-Vault-Token", options_.token);
  if (!options_.namespace_path.empty()) {
    list.emplace_back("X-Vault-Namespace", options_.namespace_path);
  }
  if (const std::string ttl = wrap_ttl(call); !ttl.empty()) {
    list.emplace_back("X-Vault-Wrap-TTL", ttl);
  }
  for (const std::string& mfa : options_.mfa) list.emplace_back("X-Vault-MFA", mfa);
  if (options_.policy_override) list.emplace_back("X-Vault-Policy-Override", "true");
  if (!call.content_type.empty()) {
    list.emplace_back("Content-Type", call.content_type);
  } else if (!call.body.is_null()) {
    list.emplace_back("Content-Type", "application/json");
  }
  return list;
}

Result<net::ClientResponse> Api::send_with_retries(const net::ClientRequest& request) {
  Result<net::ClientResponse> answer = client_->send(request);
  for (int i = 0; i < options_.retries_max && should_retry(answer); i++) {
    const auto spread = static_cast<uint64_t>((kRetryWaitMax - kRetryWaitMin).count());
    wait_(kRetryWaitMin + std::chrono::milliseconds(random_.number() % spread));
    answer = client_->send(request);
  }
  return answer;
}

Result<Reply> Api::send(const Call& call) {
  if (!options_.address.contains("://")) {
    return fail(ErrorKind::kInvalid,
                fmt::format("failed to create client: \"{}\" is no address; it must look like "
                            "https://host:8200 or unix:///path",
                            options_.address));
  }
  net::ClientRequest request;
  request.method = call.method;
  request.url = options_.address;
  request.request_path = request_path(call);
  request.headers = headers(call);
  request.body = call.body.is_null() ? call.raw_body : call.body.dump();
  if (!call.always && (options_.curl_only || options_.policy_only)) {
    instead_ = options_.curl_only ? curl_command(request, options_) : policy_for(call);
    return fail(ErrorKind::kUnsupported, "not sent");
  }
  if (client_ == nullptr) client_ = std::make_unique<net::HttpClient>(options_.net);
  Result<net::ClientResponse> answer = send_with_retries(request);
  if (!answer) return std::unexpected(explain(answer.error(), options_));
  if (answer->status >= 400 && !(answer->status == 404 && call.missing_is_ok)) {
    const ErrorKind kind = answer->status == 404   ? ErrorKind::kNotFound
                           : answer->status == 405 ? ErrorKind::kUnsupported
                           : answer->status == 403 ? ErrorKind::kDenied
                                                   : ErrorKind::kUpstream;
    return fail(kind, api_error_text(request, *answer) +
                          hint_for(call, answer->status, answer->body, options_));
  }
  Reply reply;
  reply.status = answer->status;
  reply.body = std::move(answer->body);
  if (!reply.body.empty()) {
    if (Result<Json> json = Json::parse(reply.body)) reply.json = std::move(*json);
  }
  return reply;
}

Result<Reply> Api::get(std::string_view path) { return send({.path = std::string(path)}); }

Result<Reply> Api::put(std::string_view path, JsonObject body) {
  return send({.method = "PUT", .path = std::string(path), .body = Json(std::move(body))});
}

Result<Reply> Api::post(std::string_view path, JsonObject body) {
  return send({.method = "POST", .path = std::string(path), .body = Json(std::move(body))});
}

Result<Reply> Api::erase(std::string_view path) {
  return send({.method = "DELETE", .path = std::string(path)});
}

}  // namespace rekey::cli
