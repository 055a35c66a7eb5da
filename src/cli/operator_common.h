// What the operator commands that take key shares have in common.
#pragma once

#include <string>
#include <string_view>

#include "cli/command.h"

namespace rekey::cli {

// The key share: the argument, standard input for "-", or what the terminal answers to `prompt`.
// Fails with kInvalid and a message that says how to give it.
base::Result<std::string> take_key(Context& context, std::string_view prompt,
                                   std::string_view command);

std::string member_text(const base::Json& object, std::string_view name);
bool member_flag(const base::Json& object, std::string_view name);

}  // namespace rekey::cli
