// Flags of commands: the table they are declared in, and reading them from a command line.
//
// The table is the only place that knows a flag: parsing, help and completion all come from it. The
// rules are those of Vault's commands (Go's flag package): one or two dashes alike, `-x=value` or
// `-x value`, a switch is `-x` or `-x=false`. Unlike there, flags may also follow the first
// argument, and `--` ends them. No library in Debian reads long options with one dash that way.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace rekey::cli {

enum class FlagKind : uint8_t { kSwitch, kText, kInteger, kDuration, kTexts, kPairs };

struct FlagSpec {
  std::string_view name;  // without dashes
  FlagKind kind = FlagKind::kText;
  std::string_view help;
  std::string_view default_text = {};  // as in the help; also the value where nothing is given
  std::string_view env = {};           // "ADDR": REKEY_ADDR, then VAULT_ADDR
  std::string_view alias = {};
  std::string_view choices = {};  // "table json yaml": for completion only
};

// What was given. Values have been checked against their kind.
class Flags {
 public:
  bool given(std::string_view name) const { return values_.contains(name); }
  bool on(std::string_view name) const;  // a switch
  // The last value, the environment's or the default's; empty if there is none.
  std::string text(std::string_view name) const;
  std::optional<int64_t> integer(std::string_view name) const;
  std::optional<base::Duration> duration(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;
  std::vector<std::pair<std::string, std::string>> pairs(std::string_view name) const;

 private:
  friend class FlagReader;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

struct CommandLine {
  Flags flags;
  std::vector<std::string> arguments;
};

using Setting = std::function<std::optional<std::string>(std::string_view name)>;

// Reads `words` (what follows the command's name). Flags come from `specs`; what isn't given is
// looked up in the environment by `setting`. Where `takes_data` is true, an unknown flag after the
// first argument is an argument: data may start with a dash. Fails with kInvalid and a message as
// Vault's.
base::Result<CommandLine> parse_command_line(std::span<const std::string> words,
                                             std::span<const FlagSpec* const> specs,
                                             bool takes_data, const Setting& setting);

// Go's rule: 1 t T TRUE true True, 0 f F FALSE false False.
std::optional<bool> parse_bool(std::string_view text);

}  // namespace rekey::cli
