// Help and completion, made from the tables of commands and flags. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/command.h"

namespace rekey::cli {

std::string program_help(const Console& console);
std::string group_help(const Group& group, const Console& console);
std::string command_help(const Command& command, const Console& console);

// A script for bash, zsh or fish; nothing for another shell.
std::optional<std::string> completion_script(std::string_view shell, const std::string& program);

// Words that may follow `prefix` ("" or "kv"): pairs of name and summary, by name.
std::vector<Row> subcommands(std::string_view prefix);

}  // namespace rekey::cli
