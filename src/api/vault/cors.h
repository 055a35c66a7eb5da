// CORS: whether a page of a browser may ask, and the headers by which the browser learns it
// (https://fetch.spec.whatwg.org/#http-cors-protocol), as Vault answers. Pure.
#pragma once

#include <string>

#include "net/http_message.h"
#include "pipeline/settings.h"

namespace rekey::api::vault {

struct CorsVerdict {
  bool refused = false;    // the page's origin isn't on the list
  bool preflight = false;  // a browser's question before the request; `headers` is the answer
  std::string headers;     // complete lines for the answer; empty for what comes from no page
};

// `cors` is null where CORS is off.
CorsVerdict judge_origin(const pipeline::Cors* cors, const net::Request& http);

}  // namespace rekey::api::vault
