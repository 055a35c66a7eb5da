// `rekey server`: reads the command line, starts an Instance, waits for signals.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rekey::app {

// `arguments` are those after "server". The process's exit code: 0 after SIGTERM or SIGINT, 1 for
// anything wrong, said on standard error. `version` is Rekey's own.
int run_server(const std::vector<std::string>& arguments, std::string_view version);

}  // namespace rekey::app
