// rekey: a server that keeps secrets, and the command line that talks to it.
#include <cstdio>
#include <string>
#include <vector>

#include "app/command.h"
#include "cli/cli.h"
#include "net/server.h"

int main(int argc, char** argv) {
  if (!rekey::net::use_wiping_openssl_memory()) {
    std::fprintf(stderr, "internal error: OpenSSL was used before main\n");
    return 1;
  }
  if (argc == 0) return 1;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "server") {
    return rekey::app::run_server({arguments.begin() + 1, arguments.end()}, REKEY_VERSION);
  }
  return rekey::cli::run_in_process(arguments, argv[0], REKEY_VERSION, REKEY_BUILT);
}
