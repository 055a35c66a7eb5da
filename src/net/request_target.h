// The target of a request line (RFC 9112 section 3.2). Pure; any thread.
#pragma once

#include <string_view>

namespace rekey::net {

// Splits a request target into path and query: origin form, absolute form, or "*" for OPTIONS.
// False for anything else, and for characters that no target has.
bool split_request_target(std::string_view method, std::string_view target, std::string_view& path,
                          std::string_view& query);

}  // namespace rekey::net
