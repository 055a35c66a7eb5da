// From an answer to Vault's JSON envelope: key for key what Vault's clients read
// (shared/reference/vault-api.md 1.1). Pure.
#pragma once

#include "base/error.h"
#include "logical/request.h"
#include "net/http_message.h"

namespace rekey::api::vault {

net::Response render(const logical::Request& request, logical::Response&& response);
net::Response render_error(const base::Error& error);

// Whether the fields of `data` stand at the top level of the answer too, as old clients read them.
bool duplicates_at_top(std::string_view path);

}  // namespace rekey::api::vault
