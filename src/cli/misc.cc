// print token, version, version-history, completion, install-vault-alias.
#include <fmt/format.h>
#include <filesystem>
#include <ostream>
#include <system_error>

#include "cli/commands.h"
#include "cli/help.h"

namespace rekey::cli {

using base::Json;
using base::Result;

namespace {

// What scripts that ask the vault command for its version are told; the server's API says the same.
constexpr std::string_view kVaultVersion = "1.14.10";

int print_token(Context& context) { return context.say(find_token(context.console())); }

int version(Context& context) {
  const Console& console = context.console();
  if (console.as_vault()) {
    return context.say(fmt::format("Vault v{} (Rekey {}), built {}", kVaultVersion, console.version,
                                   console.built));
  }
  return context.say(fmt::format("Rekey v{}, built {}", console.version, console.built));
}

int version_history(Context& context) {
  Result<Reply> reply =
      context.api().send({.path = "sys/version-history", .query = {{"list", "true"}}});
  if (!reply) return context.fail(2, "Error reading version history: ", reply.error());
  const Json* info = reply->data() == nullptr ? nullptr : reply->data()->find("key_info");
  if (info == nullptr || !info->is_object()) return context.fail(2, "No version history found");
  if (context.show_structured(*reply->data())) return 0;
  std::vector<Row> rows;
  for (const auto& [name, entry] : *info->as_object()) {
    rows.push_back(
        {name, entry.string_or("timestamp_installed", ""), entry.string_or("build_date", "")});
  }
  context.console().out << format_table({"Version", "Installation Time", "Build Date"}, rows);
  return 0;
}

int completion(Context& context) {
  const std::optional<std::string> script =
      completion_script(context.argument(0), context.program());
  if (!script) {
    return context.fail(
        1, fmt::format("No completion for \"{}\". Use bash, zsh or fish.", context.argument(0)));
  }
  context.console().out << *script;
  return 0;
}

int install_vault_alias(Context& context) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path link = std::filesystem::path(context.argument(0)) / "vault";
  if (error) return context.fail(1, "Can't tell where this program is: " + error.message());
  if (std::filesystem::is_symlink(link, error)) {
    if (std::filesystem::read_symlink(link, error) == self) {
      return context.say(fmt::format("{} is there already.", link.string()));
    }
  }
  std::filesystem::create_symlink(self, link, error);
  if (error == std::errc::file_exists) {
    return context.fail(
        1, fmt::format("{} exists and is something else; it was left as it is.", link.string()));
  }
  if (error)
    return context.fail(1, fmt::format("Can't make {}: {}", link.string(), error.message()));
  return context.say(fmt::format("Success! {} is now {}. Put {} into PATH before any other vault.",
                                 link.string(), self.string(), context.argument(0)));
}

constexpr Command kCommands[] = {
    {.name = "print token",
     .summary = "Print the token currently in use",
     .help = "Prints the token that requests are made with.\n\n"
             "    $ rekey print token",
     .run = print_token,
     .sets = kNoFlags},
    {.name = "version",
     .summary = "Print the version of the command line",
     .help = "Prints the version of this program.",
     .run = version,
     .sets = kNoFlags},
    {.name = "version-history",
     .summary = "Print the version history of the server",
     .usage = "[options]",
     .help = "Lists which versions the server has run, and since when.",
     .run = version_history,
     .sets = kHttp | kFormat},
    {.name = "completion",
     .summary = "Print a completion script for a shell",
     .usage = "bash|zsh|fish",
     .help = "Prints what makes a shell complete commands and flags.\n\n"
             "    $ source <(rekey completion bash)\n\n"
             "    $ rekey completion fish > ~/.config/fish/completions/rekey.fish",
     .run = completion,
     .sets = kNoFlags,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "install-vault-alias",
     .summary = "Link this program as \"vault\" into a folder",
     .usage = "DIR",
     .help = "Makes a symbolic link DIR/vault. Scripts written for the vault command then run\n"
             "unchanged, where DIR comes first in PATH.\n\n"
             "    $ rekey install-vault-alias ~/bin",
     .run = install_vault_alias,
     .sets = kNoFlags,
     .arguments_min = 1,
     .arguments_max = 1},
};

}  // namespace

std::span<const Command> misc_commands() { return kCommands; }

}  // namespace rekey::cli
