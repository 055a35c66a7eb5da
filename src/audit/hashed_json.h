// Copies JSON with every value replaced by its keyed hash; keys and structure stay. For records.
//
// Two forms with one result: of a tree, and of compact JSON text that was written by base::Json
// (the answer that is about to be sent), which needs no tree. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "audit/record.h"
#include "base/json.h"

namespace rekey::audit {

// Appends to `out`. The first kHashedLeavesMax leaves are kept; true if there were more.
bool append_hashed(const base::Json& json, const Hasher& hasher, std::string& out);

enum class TextResult { kWhole, kCut, kNotJson };
// As append_hashed. kNotJson, with `out` as it was, if the text isn't compact JSON; grammar is not
// checked beyond what walking it needs.
TextResult append_hashed_text(std::string_view text, const Hasher& hasher, std::string& out);

}  // namespace rekey::audit
