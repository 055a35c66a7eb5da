// The command line: finds the command that the words name, reads its flags, runs it. A client of
// the public API and nothing else; it shares no code with the server. One thread.
#pragma once

#include <span>
#include <string>

#include "cli/console.h"

namespace rekey::cli {

// `words` are the program's arguments without its name. Returns the exit code: the command's own,
// 1 for a wrong command line, 127 for a command that doesn't exist.
int run(std::span<const std::string> words, Console& console);

// For main: the process's streams, environment and terminal. `program` is argv[0].
int run_in_process(std::span<const std::string> words, std::string_view program,
                   std::string_view version, std::string_view built);

}  // namespace rekey::cli
