// What a client asks and what it gets back, in no dialect: api/* turns HTTP into a Request and a
// Response into HTTP; the pipeline and the engines in between know neither HTTP nor each other.
//
// A Request lives as long as its answer is being made; its views point into the connection's buffer
// and stay valid that long. Both are owned by one request and used by one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "logical/login.h"

namespace rekey::logical {

enum class Operation { kRead, kList, kCreate, kUpdate, kPatch, kDelete, kHelp };
std::string_view operation_name(Operation operation);

// Where a request came from, as the record keeps it.
struct Origin {
  std::string_view address;  // of the peer, or the forwarded one where that is trusted
  uint16_t port = 0;
  std::string_view forwarded_for;  // as sent; empty where not trusted
  std::string_view user_agent;
  // Of the TLS handshake: the key is proven, but nobody has said yet that it is trusted.
  std::string_view client_certificate_der;
  std::span<const std::string> client_intermediates_der;  // what the client sent after it
  bool metrics_open = false;  // came in by a listener that shows metrics without a token
};

struct Request {
  std::string id;  // a UUID, new for every request
  Operation operation = Operation::kRead;
  std::string path;        // without /v1/ and without a leading slash
  base::Json data;         // an object, or null when nothing was sent
  std::string_view token;  // as sent; empty when none was
  std::optional<base::Duration> wrap_ttl;
  bool wrap_as_jwt = false;  // the wrapping token is to be a JWT
  std::string_view content_type;
  std::string_view accept;  // as sent
  Origin origin;
  // The values that came under a name of the dialect's own (HTTP: a header field), in whatever
  // case; only asked for names that sys/config/auditing lists and for a login's second factor. Null
  // where a dialect has none.
  std::function<std::vector<std::string_view>(std::string_view name)> values_named;
  base::WallTime received{};
  size_t body_bytes = 0;
};

enum class TokenType { kService, kBatch };

// What a login or a token creation grants. The pipeline turns it into a token.
struct Auth {
  std::string client_token, accessor;
  std::vector<std::string> policies;  // sorted, without duplicates
  std::vector<std::string> token_policies;
  std::vector<std::string> identity_policies;
  std::vector<std::pair<std::string, std::string>> metadata;
  int64_t lease_duration_s = 0;
  bool renewable = false;
  std::string entity_id;
  TokenType type = TokenType::kService;
  bool orphan = true;
  int64_t num_uses = 0;
  // Not empty: there is no token yet, and this JSON text says which second factor it takes.
  std::string mfa_requirement;
};

struct WrapInfo {
  std::string token, accessor;
  int64_t ttl_s = 0;
  base::WallTime creation_time{};
  std::string creation_path;
  std::string wrapped_accessor;  // of the token inside, where one was wrapped
};

// What an engine hands out for a time. The pipeline makes a lease of it, in the batch of the
// request, and calls the engine back (Backend::renew_lease, revoke_lease).
struct LeaseGrant {
  base::Duration ttl{};      // 0: the mount's
  base::Duration max_ttl{};  // from now, however often it is renewed; 0: the mount's
  bool renewable = true;
  std::string role;    // of the engine; revoking a role ends what it handed out
  std::string target;  // the outside system that has to be asked at the end: what is down together
  base::JsonObject data;  // the engine's own, encrypted at rest: what it needs to end the lease
};

struct Response {
  std::string data;            // the text of a JSON object; empty when there is none
  std::optional<Login> login;  // of a login handler; the pipeline makes `auth` of it
  std::optional<Auth> auth;
  std::optional<WrapInfo> wrap;
  std::optional<LeaseGrant> lease;  // by an engine; the pipeline fills in the next three
  std::string lease_id;
  int64_t lease_duration_s = 0;
  bool renewable = false;
  std::vector<std::string> warnings;
  int status = 0;                // 0: 200, or 204 when there is nothing to say
  bool plain = false;            // `data` is the whole answer, without the envelope
  std::string raw_content_type;  // not empty: `data` is sent as it is, with this type
  std::string mount_type;        // filled in by the pipeline

  bool says_nothing() const {
    return data.empty() && !auth && !wrap && warnings.empty() && status == 0;
  }
};

// The status that an answer has in the record and on the wire; the one table from kinds of errors
// to codes, which are HTTP's by custom.
int status_of(base::ErrorKind kind);
int status_of(const Response& response);
int status_of(const base::Result<Response>& answer);

}  // namespace rekey::logical
