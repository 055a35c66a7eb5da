// What a role asks of a statement's claims and what it takes from them. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace rekey::auth::jwt {

constexpr size_t kClaimPointerBytesMax = 1024;  // of a claim's name or JSON pointer

// The claim called `name`, or, where the name begins with a slash, what that JSON pointer (RFC
// 6901) leads to. Null where there is nothing, or null.
const base::Json* find_claim(const base::Json& claims, std::string_view name);

// Every claim of `bound` is there and has, or holds, one of the values that it is bound to. With
// `globs` the values are texts in which `*` stands for anything. Failure: kInvalid, naming the
// claim.
base::Result<void> check_bound_claims(const base::Json& claims, const base::JsonObject& bound,
                                      bool globs);

using Pairs = std::vector<std::pair<std::string, std::string>>;
// The claims of `mappings` (claim, name of the metadata) that are there. Failure: kInvalid for one
// that is no text.
base::Result<Pairs> mapped_claims(const base::Json& claims, const Pairs& mappings);

// Who it is about, for this role. Failure: kInvalid where the claim is absent, empty or no text.
base::Result<std::string> user_of(const base::Json& claims, std::string_view claim,
                                  bool is_pointer);
// Groups that the provider says the user is in. Failure: kInvalid where the claim is absent or is
// no list of texts.
base::Result<std::vector<std::string>> groups_of(const base::Json& claims, std::string_view claim);

}  // namespace rekey::auth::jwt
