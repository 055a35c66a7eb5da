// Vault's globs: `*` stands for any text, also none and any number of times; everything else for
// itself. Pure; any thread.
#pragma once

#include <string_view>

namespace rekey::logical {

bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace rekey::logical
