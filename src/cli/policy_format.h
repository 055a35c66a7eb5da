// The usual form of a policy file: two blanks for each level, one blank around "=" and in lists,
// comments kept. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace rekey::cli {

// `text` in the usual form; JSON comes back as it is. Fails with kInvalid where `text` is no HCL,
// with the line.
base::Result<std::string> format_policy(std::string_view text);

}  // namespace rekey::cli
