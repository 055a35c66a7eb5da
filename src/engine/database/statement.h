// The statements of a role: how they are given, taken apart and filled in. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace rekey::engine::database {

constexpr size_t kStatementBytesMax = 64 * 1024;  // of all statements of one kind of a role
constexpr size_t kStatementsMax = 200;

// A list of strings, one string, or a string that holds a JSON list or base64 of statements, as
// Vault takes them. Failure: kInvalid.
base::Result<std::vector<std::string>> read_statements(const base::Json& sent);

// One piece for each statement: split at semicolons that are not within quotes, dollar quotes or
// comments, so that the body of a function or a DO block stays whole. Empty ones are left out.
std::vector<std::string> split_statements(std::string_view text);

using Values = std::vector<std::pair<std::string_view, std::string_view>>;
// Puts the values in place of {{name}}. Values aren't looked at again, so that one can't bring in
// another. What stands between single quotes must not end them: quotes are doubled, and with
// `backslashes` (MySQL) those too. Names of users are safe by themselves (safe_username).
std::string fill_in(std::string_view text, const Values& values, bool backslashes);

// "2027-01-31 13:45:00+0000", for VALID UNTIL.
std::string expiration_text(int64_t seconds);

// An identifier or a string as SQL writes it.
std::string quoted_identifier(std::string_view name, char quote);

}  // namespace rekey::engine::database
