#include "pipeline/audited_headers.h"

namespace rekey::pipeline {

bool carries_credential(std::string_view name) {
  for (std::string_view one : {"x-vault-token", "authorization", "proxy-authorization", "cookie",
                               "x-amz-security-token"}) {
    if (name == one) return true;
  }
  return false;
}

std::vector<auditdev::HeaderFact> audited_headers(const logical::Request& request,
                                                  const AuditedHeaders* configured) {
  std::vector<auditdev::HeaderFact> facts;
  if (configured == nullptr || !request.values_named) return facts;
  size_t room = auditdev::kLineHeadersMax;
  for (const AuditedHeader& header : *configured) {
    const auto values = request.values_named(header.name);
    if (values.empty() || room == 0) continue;
    auditdev::HeaderFact fact{header.name, {}, header.hmac || carries_credential(header.name)};
    for (const std::string_view value : values) {
      if (room == 0) break;
      room--;
      fact.values.emplace_back(value);
    }
    facts.push_back(std::move(fact));
  }
  return facts;
}

}  // namespace rekey::pipeline
