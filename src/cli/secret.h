// The one envelope that logical answers come in, turned into what is printed: a table's rows, one
// field, the members that a JSON print has. Knows no flags. Pure; any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/text.h"

namespace rekey::cli {

// Rows of "Key  Value": a lease's or a wrapping's first, then an auth's or the data's.
std::vector<Row> secret_rows(const base::Json& answer);
// "token", "wrapping_token", "lease_id" ... or a member of the data; nothing if there is none.
std::optional<base::Json> secret_field(const base::Json& answer, std::string_view name);
// The answer without the members that Vault's command leaves out when they are empty.
base::Json secret_envelope(const base::Json& answer);
const Layout& secret_layout();

}  // namespace rekey::cli
