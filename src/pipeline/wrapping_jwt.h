// The JWT form of a wrapping token (X-Vault-Wrap-Format: jwt): the token inside a signed statement
// of what it is and until when it holds, so that whoever passes it on can look at that without
// asking the server. RFC 7519, signed with Ed25519 (RFC 8037) by a key that the barrier keeps.
// The form is good wherever the token itself is. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "identity/token.h"
#include "logical/request.h"
#include "pipeline/state.h"

namespace rekey::pipeline {

bool looks_like_jwt(std::string_view text);
base::Result<std::string> to_jwt(const State& state, const logical::WrapInfo& info);
// The token inside; kInvalid for anything that to_jwt() didn't make with this store's key.
base::Result<std::string> from_jwt(const State& state, std::string_view text);

}  // namespace rekey::pipeline
