#include "cli/help.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>

namespace rekey::cli {

namespace {

// Two blanks before each line, and the name under which the program was called.
std::string paragraphs(std::string_view text, const Console& console) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string line = under_program_name(std::string(text.substr(0, end)), console.program);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty()) out += "  " + line;
    out += '\n';
  }
  return out;
}

std::string_view placeholder(FlagKind kind) {
  switch (kind) {
    case FlagKind::kSwitch:
      return "";
    case FlagKind::kInteger:
      return "=<int>";
    case FlagKind::kDuration:
      return "=<duration>";
    case FlagKind::kPairs:
      return "=<key=value>";
    case FlagKind::kText:
    case FlagKind::kTexts:
      return "=<string>";
  }
  return "";
}

std::string flag_help(const FlagSpec& flag, const Console& console) {
  std::string text(flag.help);
  if (flag.kind == FlagKind::kDuration) text += " Like \"30s\", \"5m\" or \"2h30m\".";
  if (flag.kind == FlagKind::kTexts || flag.kind == FlagKind::kPairs) {
    text += " May be given several times.";
  }
  if (!flag.alias.empty()) text += fmt::format(" Short form: \"-{}\".", flag.alias);
  if (!flag.default_text.empty()) text += fmt::format(" The default is {}.", flag.default_text);
  if (!flag.env.empty()) {
    text += console.as_vault()
                ? fmt::format(" Also from the environment: VAULT_{}.", flag.env)
                : fmt::format(" Also from the environment: REKEY_{0} or VAULT_{0}.", flag.env);
  }
  return fmt::format("  -{}{}\n{}\n\n", flag.name, placeholder(flag.kind), wrap_text(text, 6));
}

void append_flags(std::string& out, std::string_view title, std::vector<const FlagSpec*> flags,
                  const Console& console) {
  if (flags.empty()) return;
  std::ranges::sort(flags, {}, [](const FlagSpec* flag) { return flag->name; });
  out.append("\n").append(title).append(":\n\n");
  for (const FlagSpec* flag : flags) out += flag_help(*flag, console);
  out.pop_back();
}

std::vector<const FlagSpec*> pointers(std::span<const FlagSpec> flags) {
  std::vector<const FlagSpec*> list;
  for (const FlagSpec& flag : flags) list.push_back(&flag);
  return list;
}

std::string listing(const std::vector<Row>& rows) {
  std::vector<Row> indented;
  size_t width = 0;
  for (const Row& row : rows) width = std::max(width, row[0].size());
  std::string out;
  for (const Row& row : rows) out += fmt::format("    {:<{}}    {}\n", row[0], width, row[1]);
  return out;
}

}  // namespace

std::vector<Row> subcommands(std::string_view prefix) {
  std::vector<Row> rows;
  const auto add = [&](std::string_view name, std::string_view summary) {
    if (!prefix.empty()) {
      if (!name.starts_with(std::string(prefix) + " ")) return;
      name.remove_prefix(prefix.size() + 1);
    }
    if (!name.contains(' ')) rows.push_back({std::string(name), std::string(summary)});
  };
  for (const std::span<const Command> table : all_commands()) {
    for (const Command& command : table) add(command.name, command.summary);
  }
  for (const Group& group : all_groups()) add(group.name, group.summary);
  if (prefix.empty()) add("server", "Start a server");
  std::ranges::sort(rows);
  rows.erase(std::ranges::unique(rows).begin(), rows.end());
  return rows;
}

std::string program_help(const Console& console) {
  constexpr std::array kCommon = {"read",  "write",  "delete", "list",
                                  "login", "server", "status", "unwrap"};
  std::vector<Row> common, other;
  for (Row& row : subcommands("")) {
    const bool is_common = std::ranges::find(kCommon, row[0]) != kCommon.end();
    (is_common ? common : other).push_back(std::move(row));
  }
  return fmt::format("Usage: {} <command> [args]\n\nCommon commands:\n{}\nOther commands:\n{}",
                     console.program, listing(common), listing(other));
}

std::string group_help(const Group& group, const Console& console) {
  return fmt::format("Usage: {} {} <subcommand> [options] [args]\n\n{}\nSubcommands:\n{}",
                     console.program, group.name, paragraphs(group.help, console),
                     listing(subcommands(group.name)));
}

std::string command_help(const Command& command, const Console& console) {
  std::string out = fmt::format("Usage: {} {}{}{}\n\n", console.program, command.name,
                                command.usage.empty() ? "" : " ", command.usage);
  out += paragraphs(command.help, console);
  if ((command.sets & kHttp) != 0) {
    append_flags(out, "HTTP Options", pointers(http_flags()), console);
  }
  std::vector<const FlagSpec*> output;
  for (const FlagSpec& flag : output_flags()) {
    if ((flag.name == "field" && (command.sets & kField) != 0) ||
        (flag.name == "format" && (command.sets & kFormat) != 0)) {
      output.push_back(&flag);
    }
  }
  append_flags(out, "Output Options", output, console);
  append_flags(out, "Command Options", pointers(command.flags), console);
  return out;
}

}  // namespace rekey::cli
