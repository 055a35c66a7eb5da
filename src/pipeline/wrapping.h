// Response wrapping: an answer is put into the cubbyhole of a new token that can be used once, and
// that token is given instead. Within one request's Txn; the pipeline commits.
#pragma once

#include "pipeline/call_context.h"

namespace rekey::pipeline {

// Rows of tokens' cubbyholes; a wrapped answer is the only row of its token's.
constexpr std::string_view kCubbyholePrefix = "token/cubbyhole/";
// Whether this is the row of a wrapped answer. One that somebody keeps under that name in a
// cubbyhole counts too.
bool is_wrapped_answer(std::string_view key);

constexpr base::Duration kWrapTtlMax = std::chrono::hours(768);

// Replaces `response` by its wrapping token.
base::Result<void> wrap_response(CallContext& context, base::Duration ttl,
                                 logical::Response& response);

struct Wrapped {
  identity::Token token;  // the wrapping token
  std::string creation_path;
  int64_t ttl_s = 0;
};
// The wrapping token `text`, not yet used or expired. Failure: kInvalid, as Vault says it.
base::Result<Wrapped> find_wrapping_token(CallContext& context, std::string_view text);

// The answer inside; the token is used up by it.
base::Result<logical::Response> unwrap_response(CallContext& context, std::string_view text);
// The same answer under a new token with the same time to live.
base::Result<logical::Response> rewrap_response(CallContext& context, std::string_view text);

}  // namespace rekey::pipeline
