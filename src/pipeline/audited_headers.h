// The headers that sys/config/auditing/request-headers lists, as one request has them. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "auditdev/line.h"
#include "logical/request.h"
#include "pipeline/device_table.h"

namespace rekey::pipeline {

// Headers that carry a credential: hashed, whatever is configured for them.
bool carries_credential(std::string_view name);

// At most auditdev::kLineHeadersMax values; null `configured`: none.
std::vector<auditdev::HeaderFact> audited_headers(const logical::Request& request,
                                                  const AuditedHeaders* configured);

}  // namespace rekey::pipeline
