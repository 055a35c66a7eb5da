// What a command is, and what it gets to work with. Each group of commands (kv.cc, token.cc, ...)
// is one constant table; commands.cc lists the tables.
//
// A command function returns the program's exit code: 0, 1 for a wrong command line, 2 for what the
// server refused (status has its own meaning).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/api.h"
#include "cli/console.h"
#include "cli/flags.h"
#include "cli/text.h"

namespace rekey::cli {

class Context;

// Sets of flags that many commands share.
enum FlagSets : unsigned {
  kNoFlags = 0,
  kHttp = 1,    // address, TLS, token's namespace ...
  kField = 2,   // -field
  kFormat = 4,  // -format
};

inline constexpr int kAnyNumber = -1;

struct Command {
  std::string_view name;     // "kv metadata get"
  std::string_view summary;  // one line
  std::string_view usage;    // what follows the name: "[options] KEY"
  std::string_view help;     // paragraphs; "$ rekey" becomes "$ vault" under that name
  int (*run)(Context&) = nullptr;
  std::span<const FlagSpec> flags = {};
  unsigned sets = kHttp;
  int arguments_min = 0;
  int arguments_max = 0;  // or kAnyNumber
  bool takes_data = false;
};

// A name that only has commands below it: "kv metadata".
struct Group {
  std::string_view name;
  std::string_view summary;
  std::string_view help;
};

class Context {
 public:
  Context(Console& console, const Command& command, CommandLine line);

  Console& console() const { return console_; }
  const Flags& flags() const { return line_.flags; }
  const std::vector<std::string>& arguments() const { return line_.arguments; }
  const std::string& argument(size_t at) const { return line_.arguments[at]; }
  std::string_view product() const { return console_.product(); }
  const std::string& program() const { return console_.program; }
  std::string format() const;  // "table" where the command has no -format
  bool is_table() const { return format() == "table" || format() == "pretty"; }
  Api& api();

  // Prints a line to standard output; returns 0.
  int say(std::string_view text) const;
  // Prints a line to standard error.
  void warn(std::string_view text) const;
  // The same, and returns `code`; after a call that -output-curl-string kept from being made,
  // prints that to standard output instead and returns 0.
  int fail(int code, std::string_view text);
  int fail(int code, std::string_view before, const base::Error& error) {
    return fail(code, std::string(before) + error.message());
  }

  // An answer's secret, auth or wrapping, in the format asked for, or the one field.
  int show_secret(const Reply& reply);
  // A plain object: JSON and YAML as it is, a table of `rows`.
  int show_data(const base::Json& data, std::span<const Row> rows, const Layout& layout = {});
  // One field; exit code 1 where `value` is null. `of` is what it would have been in.
  int show_field(const base::Json* value, std::string_view of);
  int show_list(const base::Json& keys);
  // JSON, YAML: true. Otherwise nothing is printed.
  bool show_structured(const base::Json& value, const Layout& layout = {});
  void show_warnings(const base::Json& answer);

 private:
  ApiOptions api_options() const;

  Console& console_;
  const Command& command_;
  CommandLine line_;
  std::unique_ptr<Api> api_;
};

// The token that requests carry: -/REKEY_TOKEN, VAULT_TOKEN, or the file that login wrote.
std::string find_token(const Console& console);
std::string token_file_path(const Console& console);

// The tables, in the order of help.
std::span<const std::span<const Command>> all_commands();
std::span<const Group> all_groups();
std::span<const FlagSpec> http_flags();
std::span<const FlagSpec> output_flags();
// Every flag of a command: its own, then the shared ones.
std::vector<const FlagSpec*> flags_of(const Command& command);

// Trimmed of blanks and slashes at both ends.
std::string clean_path(std::string_view path);
// The same with one slash at the end.
std::string mount_path(std::string_view path);

}  // namespace rekey::cli
