// What Vault's audit devices are told of a request: once when it was let in or refused, once when
// it was answered and its record is durable.
#include "pipeline/audited_headers.h"
#include "pipeline/call.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Result;
using logical::Response;

// As Vault's lines say it.
std::string error_text(const base::Error& error, bool after_policies) {
  switch (error.kind()) {
    case ErrorKind::kInvalid:
    case ErrorKind::kTooLarge:
      return "1 error occurred:\n\t* invalid request\n\n";
    case ErrorKind::kNotFound:
      if (error.message().empty()) return {};
      break;
    case ErrorKind::kUnauthenticated:
      if (!after_policies) return "permission denied";
      break;
    default:
      break;
  }
  return "1 error occurred:\n\t* " + error.message() + "\n\n";
}

}  // namespace

auditdev::RequestFacts Chain::facts_of(const Call& call,
                                       std::span<const auditdev::HeaderFact> headers) {
  const std::string_view rule = call.deciding_rule;
  return {.request = call.request,
          .operation = call.operation,
          .mount = call.mount.get(),
          .token = call.who.token.get(),
          .decided = !rule.empty() || call.allowed,
          .allowed = call.allowed,
          .granting_policy = rule.substr(0, rule.find(' ')),
          .headers = headers};
}

// A request that is tried again after a lost race was told the first time.
void Chain::tell_request(Call& call, const Result<void>& authorised) {
  if (call.devices != nullptr || auditdev::DeviceSet::never_told(call.request.path)) return;
  call.devices = call.state->devices;
  const auto headers = audited_headers(call.request, call.state->audited_headers.get());
  call.told = call.devices->tell_request(facts_of(call, headers),
                                         authorised ? "" : error_text(authorised.error(), false));
}

void Chain::tell_response(const Call& call, const Result<Response>& answer) {
  auditdev::ResponseFacts facts{.time = parts_.clock.wall()};
  std::string error;
  base::Json data;
  if (!answer) {
    error = error_text(answer.error(), true);
    facts.error = error;
  } else {
    facts.response = &*answer;
    if (answer->raw_content_type.empty() && !answer->data.empty()) {
      if (auto parsed = base::Json::parse(answer->data, {.members_max = SIZE_MAX})) {
        data = std::move(*parsed);
        facts.data = &data;
      }
    }
  }
  call.devices->tell_response(call.told, facts_of(call, {}), facts);
}

}  // namespace rekey::pipeline
