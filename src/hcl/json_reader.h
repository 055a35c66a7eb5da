// The JSON form of HCL (RFC 8259), read into the same tree. Our own small reader, not base/json.h,
// because every item must know its line and keep its place among the others. Pure; any thread.
#pragma once

#include "hcl/hcl.h"

namespace rekey::hcl {

// `text` has passed check_characters() and is within limits.bytes_max. Members that are null are
// left out, as if they weren't written.
base::Result<Object> read_json(std::string_view text, const Limits& limits);

}  // namespace rekey::hcl
