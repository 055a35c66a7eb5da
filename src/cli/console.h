// The outside of a command: its streams, its environment, its terminal. One object for a run of the
// program, given to everything that needs any of it, so that a test runs a whole command in memory.
//
// Knows no command and no server. One thread.
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"

namespace rekey::cli {

struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  std::string program = "rekey";  // as called, without folders: "rekey", "vault"
  std::string version;            // Rekey's own: "0.1.0"
  std::string built;              // RFC 3339
  std::function<std::optional<std::string>(const std::string&)> environment;
  // Asks on the terminal; the answer isn't shown. Fails where there is no terminal.
  std::function<base::Result<std::string>(std::string_view prompt)> ask_secret;
  base::Random& random;
  std::function<void(base::Duration)> wait;

  bool as_vault() const { return program == "vault"; }
  // What the program calls the server and itself in messages.
  std::string_view product() const { return as_vault() ? "Vault" : "Rekey"; }
  // REKEY_<name> or, if that isn't set, VAULT_<name>. An empty variable counts as not set.
  std::optional<std::string> setting(std::string_view name) const;
  // What comes on standard input, to its end.
  std::string read_all() const;
};

// For main: prompts on stderr, reads without echo from standard input's terminal.
base::Result<std::string> ask_secret_on_terminal(std::string_view prompt);

}  // namespace rekey::cli
