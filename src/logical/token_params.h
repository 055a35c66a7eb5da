// The token_* fields that roles, users and groups of every auth method share: as a route declares
// them, as a request sends them, as they are stored, as they are shown. Pure; any thread.
//
//   Route fields:    for (const Field& f : token_fields()) fields.push_back(f);  +
//   older_fields(...) A write:         read_token_params(context.fields, kOlder, role.token) Row
//   and answer:  describe_token_params(role.token, row); parse_token_params(row)
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "logical/login.h"
#include "logical/route.h"

namespace rekey::logical {

// A field's older name, which a method still takes: {"ttl", "token_ttl"}. Whoever used it reads it
// back beside the present one, as in Vault.
struct OlderName {
  std::string_view older, present;
};

// token_bound_cidrs, token_explicit_max_ttl, token_max_ttl, token_no_default_policy,
// token_num_uses, token_period, token_policies, token_ttl, token_type.
const std::vector<Field>& token_fields();
// The same under their older names, for the route's declaration.
std::vector<Field> older_fields(std::span<const OlderName> older);
// `own`, then token_fields() and older_fields(): what most routes declare.
std::vector<Field> with_token_fields(std::vector<Field> own, std::span<const OlderName> older = {});

// Changes in `params` what was sent. Failure: kInvalid in Vault's words; `params` is then half
// changed and must not be kept.
base::Result<void> read_token_params(const Fields& fields, std::span<const OlderName> older,
                                     TokenParams& params);
// Adds the members of a read's answer, which are those of the row too, but for "older_names".
void describe_token_params(const TokenParams& params, base::JsonObject& into);
// What describe_token_params leaves out and parse_token_params needs.
void store_token_params(const TokenParams& params, base::JsonObject& row);
TokenParams parse_token_params(const base::Json& row);

// A duration in seconds where it was sent. Failure: kInvalid where it is negative.
base::Result<std::optional<int64_t>> seconds_of(const Fields& fields, std::string_view name);

std::string_view token_kind_name(TokenKind kind);  // "default", "default-service", ...
// As token_type's text; false where it is none of them.
bool parse_token_kind(std::string_view text, TokenKind& kind);

// Lower case, trimmed, sorted, without duplicates and empty ones.
std::vector<std::string> clean_policies(std::vector<std::string> names);

}  // namespace rekey::logical
