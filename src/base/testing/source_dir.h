// Where the checkout stands that a test was built from, for tests that read files of it.
#pragma once

#include <string>

namespace rekey::base::testing {

// Without a slash at its end.
std::string source_dir();

}  // namespace rekey::base::testing
