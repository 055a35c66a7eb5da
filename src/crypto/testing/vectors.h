// Reading test vectors: text files of one case a line, fields separated by blanks, "-" for an empty
// one, '#' before a comment. For tests only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rekey::crypto::testing {

// The lines of src/<path below src>, split into fields. Ends the process if there is no such file:
// a test without its vectors proves nothing.
std::vector<std::vector<std::string>> read_vectors(const std::string& path);

std::string from_hex(std::string_view text);  // ends the process if it isn't hex

}  // namespace rekey::crypto::testing
