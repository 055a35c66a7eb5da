// From configuration files to Settings.
#pragma once

#include <string>
#include <vector>

#include "app/settings.h"

namespace rekey::app {

// Reads the files (or folders of files) in order. Warnings go to standard error with file and line.
base::Result<Settings> configure(const std::vector<std::string>& paths);

}  // namespace rekey::app
