// Calls of the public HTTP API, as Vault's Go client makes them: headers, wrapping, retries, one
// redirect, and the text of its errors. Blocking. Knows paths but no command.
//
// With `curl_only` or `policy_only` no call is made: it fails with kUnsupported, and instead()
// holds the text to print.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "net/http_client.h"

namespace rekey::cli {

inline constexpr int kRetriesDefault = 2;
inline constexpr std::chrono::milliseconds kRetryWaitMin{1000};
inline constexpr std::chrono::milliseconds kRetryWaitMax{1500};

struct ApiOptions {
  std::string address = "https://127.0.0.1:8200";
  std::string token;
  std::string namespace_path;
  std::string wrap_ttl;  // empty: only sys/wrapping/wrap is wrapped, for 5m
  std::vector<std::string> mfa;
  std::vector<std::pair<std::string, std::string>> headers;
  bool policy_override = false;
  int retries_max = kRetriesDefault;
  bool curl_only = false;
  bool policy_only = false;
  std::string program = "rekey";
  std::string ca_pem;  // instead of net.tls.ca_file
  net::ClientOptions net;
};

struct Reply {
  int status = 0;
  std::string body;
  base::Json json;  // null where the body is empty or no JSON

  // The members of `data`, as a logical answer has them; nullptr if there are none.
  const base::Json* data() const { return json.find("data"); }
};

struct Call {
  std::string method = "GET";
  std::string path;  // without /v1/; needs no escaping
  std::vector<std::pair<std::string, std::string>> query;
  base::Json body;             // null: none
  std::string content_type;    // empty: application/json where there is a body
  std::string raw_body;        // instead of `body`
  bool missing_is_ok = false;  // a 404 is an answer: status 404
  bool always = false;         // also with curl_only, and never wrapped
};

class Api {
 public:
  Api(ApiOptions options, base::Random& random, std::function<void(base::Duration)> wait);
  ~Api();

  // Any 2xx is a success. The error's message is what a command prints after "Error ...: ".
  base::Result<Reply> send(const Call& call);
  base::Result<Reply> get(std::string_view path);
  base::Result<Reply> put(std::string_view path, base::JsonObject body = {});
  base::Result<Reply> post(std::string_view path, base::JsonObject body);
  base::Result<Reply> erase(std::string_view path);

  const ApiOptions& options() const { return options_; }
  void set_token(std::string token) { options_.token = std::move(token); }
  // Not empty after a call that wasn't made because of curl_only or policy_only.
  const std::string& instead() const { return instead_; }

 private:
  base::Result<net::ClientResponse> send_with_retries(const net::ClientRequest& request);
  std::vector<std::pair<std::string, std::string>> headers(const Call& call) const;
  std::string wrap_ttl(const Call& call) const;

  ApiOptions options_;
  base::Random& random_;
  std::function<void(base::Duration)> wait_;
  int ca_file_ = -1;  // an unnamed file with options_.ca_pem
  std::unique_ptr<net::HttpClient> client_;
  std::string instead_;
};

// "/v1/..." with what a URL's path can't hold escaped, and the query.
std::string request_path(const Call& call);
// The command line for curl, and the policy for a call; see -output-curl-string, -output-policy.
std::string curl_command(const net::ClientRequest& request, const ApiOptions& options);
std::string policy_for(const Call& call);
// "Error making API request. ...", from an answer with a status of 400 or more.
std::string api_error_text(const net::ClientRequest& request, const net::ClientResponse& response);

}  // namespace rekey::cli
