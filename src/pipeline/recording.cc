// What the record keeps of a request, and of what it is about to change outside.
#include "base/codec.h"
#include "crypto/digest.h"
#include "pipeline/audited_headers.h"
#include "pipeline/call.h"

namespace rekey::pipeline {

using base::Result;
using logical::Response;

namespace {

std::vector<audit::RecordInput::Header> views_of(const std::vector<auditdev::HeaderFact>& facts) {
  std::vector<audit::RecordInput::Header> views;
  for (const auditdev::HeaderFact& fact : facts) {
    for (const std::string& value : fact.values) views.push_back({fact.name, value, fact.hmac});
  }
  return views;
}

void add_caller(audit::RecordInput& input, const identity::Token& token) {
  input.entity_id = token.entity_id;
  input.token_accessor = token.accessor;
  input.display_name = token.display_name;
  input.auth_mount = token.path;
  input.role = token.login_role.empty() ? token.role : token.login_role;
  input.token_type = token.type == logical::TokenType::kBatch ? "batch" : "service";
}

// A login without a token is recorded as done by whom it let in; the token is in the answer's part.
void add_who(audit::RecordInput& input, const Authenticated& who, const identity::Token* granted) {
  if (who.token != nullptr) {
    add_caller(input, *who.token);
    input.policies = who.rights->policies;
  } else if (granted != nullptr) {
    add_caller(input, *granted);
    input.policies = granted->policies;
  }
}

}  // namespace

uint64_t Chain::microseconds_since(base::WallTime then) const {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(parts_.clock.wall() - then).count());
}

// Who asks for what, from where: the same before an outside effect and after it.
struct Chain::Described {
  audit::RecordInput input;
  std::string fingerprint;
  std::vector<auditdev::HeaderFact> headers;
  std::vector<audit::RecordInput::Header> header_views;
};

void Chain::describe(const Call& call, const State* state, Described& described) {
  const logical::Request& request = call.request;
  audit::RecordInput& input = described.input;
  input.time = request.received;
  input.request_id = request.id;
  input.operation = logical::operation_name(call.operation);
  if (call.mount != nullptr) {
    input.mount_path = call.mount->path;
    input.mount_type = call.mount->type;
    input.mount_accessor = call.mount->accessor;
  }
  input.path = request.path;
  if (call.who.token != nullptr) input.token = request.token;
  add_who(input, call.who, call.granted.get());
  input.deciding_rule = call.deciding_rule;
  if (state != nullptr && state->audited_headers != nullptr) {
    described.headers = audited_headers(request, state->audited_headers.get());
    described.header_views = views_of(described.headers);
    input.headers = described.header_views;
  }
  input.remote_address = request.origin.address;
  input.remote_port = request.origin.port;
  input.forwarded_address = request.origin.forwarded_for;
  input.user_agent = request.origin.user_agent;
  if (!request.origin.client_certificate_der.empty()) {
    described.fingerprint =
        base::hex_encode(crypto::as_bytes(crypto::sha256(request.origin.client_certificate_der)));
    input.client_certificate = described.fingerprint;
  }
  if (!request.data.is_null()) input.request.json = &request.data;
  input.request_bytes = request.body_bytes;
}

// 3a. Before an outside effect, durable before it happens. On a thread that may block.
Result<void> Chain::record_intent(Lane& lane, const Call& call) {
  Described described;
  describe(call, call.state.get(), described);
  described.input.type = "intent";
  described.input.store_revision = barrier::store_age(call.state->epoch, lane.revision());
  std::string& entry = lane.scratch();
  audit::append_record(described.input, call.state->hasher.get(), entry);
  auto index = parts_.record.append(entry, described.input.store_revision);
  if (!index) return forward(index);
  parts_.record.flush();
  return parts_.record.wait_durable(*index + 1);
}

// 8. What happened, as one entry of the record: never a value, only keyed hashes.
Result<uint64_t> Chain::append_record(Lane& lane, const Call& call,
                                      const Result<Response>& answer) {
  const auto state = call.state != nullptr ? call.state : lane.state();
  Described described;
  describe(call, state.get(), described);
  audit::RecordInput& input = described.input;
  if (answer) {
    // Names aren't secrets, and there may be thousands: one hash over all of a list's answer.
    if (call.operation == logical::Operation::kList)
      input.response.raw = answer->data;
    else if (answer->raw_content_type.empty())
      input.response.json_text = answer->data;
    input.response_bytes = answer->data.size();
    if (answer->auth && !answer->auth->mfa_requirement.empty()) {
      // Its id ties the codes that are sent for it to this login.
      input.response.json_text = answer->auth->mfa_requirement;
    } else if (answer->auth) {
      input.response_token = answer->auth->client_token;
      input.response_accessor = answer->auth->accessor;
    }
    if (answer->wrap) {
      input.response_token = answer->wrap->token;
      input.response_accessor = answer->wrap->accessor;
      input.wrapped = true;
    }
    input.lease_id = answer->lease_id;
  } else {
    input.error = answer.error().message();
  }
  input.status = static_cast<uint16_t>(logical::status_of(answer));
  // While sealed nobody can tell whether the store is what it says: such an entry vouches for
  // nothing.
  const storage::Revision seen = call.committed != 0 ? call.committed : lane.revision();
  if (state != nullptr) input.store_revision = barrier::store_age(state->epoch, seen);
  input.duration_us = microseconds_since(call.request.received);
  std::string& entry = lane.scratch();
  audit::append_record(input, state == nullptr ? nullptr : state->hasher.get(), entry);
  return parts_.record.append(entry, input.store_revision);
}

void Chain::record_refused(Lane& lane, const logical::Request& request, const base::Error& error) {
  Call call(request);
  call.operation = request.operation;
  call.state = lane.state();
  const Result<Response> answer = std::unexpected(error);
  auto index = append_record(lane, call, answer);
  if (!index) {
    parts_.log.error("pipeline", "a refused request could not be recorded",
                     {{"error", index.error().describe()}});
  }
  // Bytes that made no request at all (no path) are nothing that Vault's devices know a line for.
  if (request.path.empty() || call.state == nullptr || call.state->devices == nullptr) return;
  tell_request(call, std::unexpected(error));
  if (call.devices != nullptr) tell_response(call, answer);
}

}  // namespace rekey::pipeline
