// Prints HCL in one canonical form: `policy fmt`. Two spaces, `=` aligned among neighbours, a blank
// line around what spans lines, comments kept where they were. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace rekey::hcl {

// Fails as parse() does, and for JSON, which has no comments to keep and tools of its own. What
// comes out reads as the same tree and is left as it is by a second call.
base::Result<std::string> format(std::string_view text);

}  // namespace rekey::hcl
