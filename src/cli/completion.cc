// The scripts that make a shell complete commands and flags.
#include <fmt/format.h>

#include "cli/help.h"

namespace rekey::cli {

namespace {

struct Entry {
  std::string path;  // "kv metadata", "" for the program
  std::vector<Row> below;
  std::vector<const FlagSpec*> flags;
};

std::vector<Entry> entries() {
  std::vector<Entry> list = {{"", subcommands(""), {}}};
  for (const Group& group : all_groups()) {
    list.push_back({std::string(group.name), subcommands(group.name), {}});
  }
  for (const std::span<const Command> table : all_commands()) {
    for (const Command& command : table) {
      list.push_back({std::string(command.name), {}, flags_of(command)});
    }
  }
  return list;
}

// For bash and zsh: two functions that answer for a path, and one that finds the longest known
// path.
std::string tables(const std::string& program) {
  std::string words = fmt::format("_{}_words() {{\n  case \"$1\" in\n", program);
  std::string flags = fmt::format("_{}_flags() {{\n  case \"$1\" in\n", program);
  for (const Entry& entry : entries()) {
    std::string line;
    for (const Row& row : entry.below) line += (line.empty() ? "" : " ") + row[0];
    words += fmt::format("    \"{}\") echo \"{}\" ;;\n", entry.path, line);
    line.clear();
    for (const FlagSpec* flag : entry.flags) {
      line += fmt::format("{}-{}{}", line.empty() ? "" : " ", flag->name,
                          flag->kind == FlagKind::kSwitch ? "" : "=");
    }
    if (!line.empty()) flags += fmt::format("    \"{}\") echo \"{}\" ;;\n", entry.path, line);
  }
  return words + "    *) return 1 ;;\n  esac\n}\n" + flags + "  esac\n}\n";
}

std::string bash_script(const std::string& program) {
  constexpr std::string_view kBody = R"sh(_NAME_complete() {
  local cur="${COMP_WORDS[COMP_CWORD]}" at="" word next i
  [[ $cur == "=" ]] && cur=""
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    [[ $word == -* ]] && continue
    next="${at:+$at }$word"
    _NAME_words "$next" > /dev/null || break
    at="$next"
  done
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$(_NAME_flags "$at")" -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$(_NAME_words "$at")" -- "$cur"))
  fi
  if [[ ${COMPREPLY[0]} == *= ]] && type compopt > /dev/null 2>&1; then
    compopt -o nospace
  fi
}
complete -o default -F _NAME_complete NAME
)sh";
  std::string body(kBody);
  for (size_t at = body.find("NAME"); at != std::string::npos; at = body.find("NAME", at)) {
    body.replace(at, 4, program);
    at += program.size();
  }
  return tables(program) + body;
}

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_script(const std::string& program) {
  std::string out = fmt::format(
      "# Whether the command words before the cursor are exactly these.\n"
      "function __{0}_at\n"
      "  set -l words (commandline -opc)\n"
      "  set -l at\n"
      "  for word in $words[2..-1]\n"
      "    string match -q -- '-*' $word; or set -a at $word\n"
      "  end\n"
      "  test \"$at\" = \"$argv[1]\"\n"
      "end\n"
      "function __{0}_in\n"
      "  set -l words (commandline -opc)\n"
      "  set -l at\n"
      "  for word in $words[2..-1]\n"
      "    string match -q -- '-*' $word; or set -a at $word\n"
      "  end\n"
      "  string match -q -- \"$argv[1]*\" \"$at\"\n"
      "end\n",
      program);
  for (const Entry& entry : entries()) {
    for (const Row& row : entry.below) {
      out += fmt::format("complete -c {0} -f -n \"__{0}_at '{1}'\" -a {2} -d {3}\n", program,
                         entry.path, row[0], quoted(row[1]));
    }
    for (const FlagSpec* flag : entry.flags) {
      out += fmt::format("complete -c {0} -n \"__{0}_in '{1}'\" -o {2}{3} -d {4}\n", program,
                         entry.path, flag->name,
                         flag->kind == FlagKind::kSwitch ? ""
                         : flag->choices.empty()         ? std::string(" -r")
                                                 : fmt::format(" -x -a '{}'", flag->choices),
                         quoted(flag->help));
    }
  }
  return out;
}

}  // namespace

std::optional<std::string> completion_script(std::string_view shell, const std::string& program) {
  if (shell == "bash") return bash_script(program);
  // zsh runs bash's functions.
  if (shell == "zsh") {
    return "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u }\n"
           "autoload -Uz bashcompinit && bashcompinit\n" +
           bash_script(program);
  }
  if (shell == "fish") return fish_script(program);
  return std::nullopt;
}

}  // namespace rekey::cli
