// `rekey server`: reads the command line, starts an Instance, waits for signals.
#pragma once

#include <string>
#include <vector>

namespace rekey::app {

// `arguments` are those after "server". The process's exit code: 0 after SIGTERM or SIGINT, 1 for
// anything wrong, said on standard error.
int run_server(const std::vector<std::string>& arguments);

}  // namespace rekey::app
