// Addresses and blocks of them. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace rekey::logical {

// Whether `address` (v4 or v6) lies in one of `cidrs`; an empty list takes every address.
bool address_allowed(std::string_view address, const std::vector<std::string>& cidrs);
// "10.0.0.0/8", "::1", "10.1.2.3": checked and returned in canonical form.
base::Result<std::string> parse_cidr(std::string_view text);
// Whether the whole of the block `inner` lies in one of `outer`; an empty list takes every block.
bool cidr_within(std::string_view inner, const std::vector<std::string>& outer);

}  // namespace rekey::logical
