// From Vault's HTTP to a logical::Request: methods, paths, queries, bodies, headers
// (shared/reference/vault-api.md 1.1). Pure; every byte of it comes from outside.
#pragma once

#include "base/error.h"
#include "logical/request.h"
#include "net/http_message.h"

namespace rekey::api::vault {

constexpr size_t kPathBytesMax = 4 * 1024;  // decoded, without /v1/
constexpr size_t kQueryParametersMax = 256;
constexpr size_t kJsonDepthMax = 300;        // as Vault's max_json_depth
constexpr size_t kJsonMembersMax = 200'000;  // object members and array elements of a body

// Fills `out` as far as it gets, so that a refused request can be recorded too. Views in it point
// into `http`. Failure: kInvalid (400), kUnsupported (405), kMediaType (415).
base::Result<void> translate(const net::Request& http, logical::Request& out);

// Percent-decoding of a path or (with `plus_is_space`) of a query. Fails on a bad escape, NUL or
// invalid UTF-8.
base::Result<std::string> percent_decode(std::string_view text, bool plus_is_space);

}  // namespace rekey::api::vault
