// Base32 (RFC 4648 section 6), the form in which authenticator apps take keys. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace rekey::base {

std::string base32_encode(std::string_view bytes);  // upper case, not padded
// Either case, padded or not; no blanks. kInvalid for anything else, and for bits behind the last
// byte.
Result<std::string> base32_decode(std::string_view text);

}  // namespace rekey::base
