#include "base/testing/source_dir.h"

namespace rekey::base::testing {

std::string source_dir() { return REKEY_SOURCE_DIR; }

}  // namespace rekey::base::testing
