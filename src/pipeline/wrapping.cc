#include "pipeline/wrapping.h"

#include "base/json.h"
#include "pipeline/wrapping_jwt.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using logical::Response;

constexpr std::string_view kInvalidToken = "wrapping token is not valid or does not exist";

constexpr std::string_view kResponse = "/response";

std::string response_row(const identity::Token& token) {
  return std::string(kCubbyholePrefix) + token.id + std::string(kResponse);
}

int64_t integer(const Json& json, std::string_view name) {
  const Json* member = json.find(name);
  return member == nullptr ? 0 : member->as_int().value_or(0);
}

bool flag(const Json& json, std::string_view name) {
  const Json* member = json.find(name);
  return member != nullptr && member->as_bool() && *member->as_bool();
}

std::vector<std::string> strings(const Json& json, std::string_view name) {
  std::vector<std::string> out;
  const Json* member = json.find(name);
  if (member == nullptr || member->as_array() == nullptr) return out;
  for (const Json& item : *member->as_array()) {
    if (const std::string* text = item.as_string()) out.push_back(*text);
  }
  return out;
}

Json encode_auth(const logical::Auth& auth) {
  JsonObject meta;
  for (const auto& [key, value] : auth.metadata) meta.set(key, value);
  return JsonObject{{"client_token", auth.client_token},
                    {"accessor", auth.accessor},
                    {"policies", Json::strings(auth.policies)},
                    {"token_policies", Json::strings(auth.token_policies)},
                    {"identity_policies", Json::strings(auth.identity_policies)},
                    {"metadata", std::move(meta)},
                    {"lease_duration", auth.lease_duration_s},
                    {"renewable", auth.renewable},
                    {"entity_id", auth.entity_id},
                    {"batch", auth.type == logical::TokenType::kBatch},
                    {"orphan", auth.orphan},
                    {"num_uses", auth.num_uses}};
}

logical::Auth decode_auth(const Json& row) {
  logical::Auth auth;
  auth.client_token = row.string_or("client_token", "");
  auth.accessor = row.string_or("accessor", "");
  auth.policies = strings(row, "policies");
  auth.token_policies = strings(row, "token_policies");
  auth.identity_policies = strings(row, "identity_policies");
  if (const Json* meta = row.find("metadata"); meta != nullptr && meta->as_object()) {
    for (const auto& [key, value] : *meta->as_object()) {
      if (const std::string* text = value.as_string()) auth.metadata.emplace_back(key, *text);
    }
  }
  auth.lease_duration_s = integer(row, "lease_duration");
  auth.renewable = flag(row, "renewable");
  auth.entity_id = row.string_or("entity_id", "");
  auth.type = flag(row, "batch") ? logical::TokenType::kBatch : logical::TokenType::kService;
  auth.orphan = flag(row, "orphan");
  auth.num_uses = integer(row, "num_uses");
  return auth;
}

// {"answer": {...}, "creation_path": "...", "ttl": 300}
std::string encode_row(const Response& response, std::string_view creation_path, int64_t ttl_s) {
  JsonObject answer;
  if (!response.data.empty()) answer.set("data", response.data);
  if (response.auth) answer.set("auth", encode_auth(*response.auth));
  if (!response.lease_id.empty()) answer.set("lease_id", response.lease_id);
  answer.set("lease_duration", response.lease_duration_s);
  answer.set("renewable", response.renewable);
  if (!response.warnings.empty()) answer.set("warnings", Json::strings(response.warnings));
  answer.set("mount_type", response.mount_type);
  JsonObject row{{"creation_path", creation_path}, {"ttl", ttl_s}};
  row.set("answer", std::move(answer));
  return Json(std::move(row)).dump();
}

Response decode_answer(const Json& answer) {
  Response response;
  response.data = answer.string_or("data", "");
  if (const Json* auth = answer.find("auth")) response.auth = decode_auth(*auth);
  response.lease_id = answer.string_or("lease_id", "");
  response.lease_duration_s = integer(answer, "lease_duration");
  response.renewable = flag(answer, "renewable");
  response.warnings = strings(answer, "warnings");
  response.mount_type = answer.string_or("mount_type", "");
  return response;
}

base::Result<Json> read_row(CallContext& context, const identity::Token& token) {
  auto text = context.txn->get(response_row(token));
  if (!text) return forward(text);
  if (!*text) return base::fail(ErrorKind::kInvalid, std::string(kInvalidToken));
  return Json::parse(**text);
}

int64_t now_s(const CallContext& context) {
  return std::chrono::floor<std::chrono::seconds>(context.clock.wall()).time_since_epoch().count();
}

// A new wrapping token and what the client is told of it.
base::Result<std::pair<identity::Token, logical::WrapInfo>> make_token(
    CallContext& context, std::string_view path, int64_t ttl_s, std::string_view wrapped_accessor) {
  identity::Token token;
  token.policies = {"response-wrapping"};
  token.path = path;
  token.created_s = now_s(context);
  token.creation_ttl_s = ttl_s;
  token.explicit_max_ttl_s = ttl_s;
  token.expires_s = token.created_s + ttl_s;
  token.num_uses = 1;
  token.renewable = false;
  auto text = context.tokens().create(token, nullptr);
  if (!text) return forward(text);
  logical::WrapInfo info;
  info.token = std::move(*text);
  info.accessor = token.accessor;
  info.ttl_s = ttl_s;
  info.creation_time = context.clock.wall();
  info.creation_path = path;
  info.wrapped_accessor = wrapped_accessor;
  if (context.request.wrap_as_jwt) {
    auto jwt = to_jwt(*context.state, info);
    if (!jwt) return forward(jwt);
    info.token = std::move(*jwt);
  }
  return std::pair(std::move(token), std::move(info));
}

}  // namespace

bool is_wrapped_answer(std::string_view key) {
  constexpr size_t kIdBytes = 32;  // in hex
  return key.starts_with(kCubbyholePrefix) && key.ends_with(kResponse) &&
         key.size() == kCubbyholePrefix.size() + kIdBytes + kResponse.size();
}

base::Result<void> wrap_response(CallContext& context, base::Duration ttl, Response& response) {
  const int64_t ttl_s = std::chrono::duration_cast<std::chrono::seconds>(ttl).count();
  if (ttl_s <= 0 || ttl > kWrapTtlMax) {
    return base::fail(ErrorKind::kInvalid, "the wrapping TTL must be between 1s and 768h");
  }
  auto made = make_token(context, context.request.path, ttl_s,
                         response.auth ? std::string_view(response.auth->accessor) : "");
  if (!made) return forward(made);
  auto& [token, info] = *made;
  context.txn->put(response_row(token), encode_row(response, context.request.path, ttl_s));
  Response wrapped;
  wrapped.wrap = std::move(info);
  wrapped.warnings = std::move(response.warnings);
  response = std::move(wrapped);
  return {};
}

base::Result<Wrapped> find_wrapping_token(CallContext& context, std::string_view text) {
  std::string inside;
  if (looks_like_jwt(text)) {
    auto found = from_jwt(*context.state, text);
    if (!found) return forward(found);
    inside = std::move(*found);
    text = inside;
  }
  auto token = context.tokens().find(text);
  if (!token) return forward(token);
  const bool good = *token && !(*token)->expired(context.clock.wall()) &&
                    !context.state->cutoffs->revokes(**token) &&
                    (*token)->policies == std::vector<std::string>{"response-wrapping"};
  if (!good) return base::fail(ErrorKind::kInvalid, std::string(kInvalidToken));
  auto row = read_row(context, **token);
  if (!row) return forward(row);
  return Wrapped{std::move(**token), row->string_or("creation_path", ""), integer(*row, "ttl")};
}

base::Result<Response> unwrap_response(CallContext& context, std::string_view text) {
  auto wrapped = find_wrapping_token(context, text);
  if (!wrapped) return forward(wrapped);
  auto row = read_row(context, wrapped->token);
  if (!row) return forward(row);
  auto revoked = context.tokens().revoke(wrapped->token);
  if (!revoked) return forward(revoked);
  const Json* answer = row->find("answer");
  Response response = answer == nullptr ? Response{} : decode_answer(*answer);
  return response;
}

base::Result<Response> rewrap_response(CallContext& context, std::string_view text) {
  auto wrapped = find_wrapping_token(context, text);
  if (!wrapped) return forward(wrapped);
  auto row = context.txn->get(response_row(wrapped->token));
  if (!row) return forward(row);
  if (!*row) return base::fail(ErrorKind::kInvalid, std::string(kInvalidToken));
  auto revoked = context.tokens().revoke(wrapped->token);
  if (!revoked) return forward(revoked);
  auto made = make_token(context, wrapped->creation_path, wrapped->ttl_s, "");
  if (!made) return forward(made);
  auto& [token, info] = *made;
  context.txn->put(response_row(token), std::move(**row));
  Response response;
  response.wrap = std::move(info);
  return response;
}

}  // namespace rekey::pipeline
