#include "cli/cli.h"

#include <unistd.h>

#include <fmt/format.h>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "cli/command.h"
#include "cli/help.h"

namespace rekey::cli {

using base::Result;

namespace {

bool is_help(std::string_view word) { return word == "-h" || word == "-help" || word == "--help"; }

// The command with the longest name that `words` start with; `used` is how many words that is.
const Command* find_command(std::span<const std::string> words, size_t& used) {
  const Command* best = nullptr;
  used = 0;
  std::string name;
  for (size_t i = 0; i < words.size() && !words[i].starts_with('-'); i++) {
    name += (i == 0 ? "" : " ") + words[i];
    for (const std::span<const Command> table : all_commands()) {
      for (const Command& command : table) {
        if (command.name == name) best = &command, used = i + 1;
      }
    }
  }
  return best;
}

const Group* find_group(std::span<const std::string> words) {
  const Group* best = nullptr;
  std::string name;
  for (size_t i = 0; i < words.size() && !words[i].starts_with('-'); i++) {
    name += (i == 0 ? "" : " ") + words[i];
    for (const Group& group : all_groups()) {
      if (group.name == name) best = &group;
    }
  }
  return best;
}

std::string wrong_count(const Command& command, size_t count) {
  const bool too_few = std::cmp_less(count, command.arguments_min);
  std::string expected = std::to_string(command.arguments_min);
  if (command.arguments_max == kAnyNumber) {
    if (!command.takes_data) expected = "at least " + expected;
  } else if (command.arguments_max != command.arguments_min) {
    expected += "-" + std::to_string(command.arguments_max);
  }
  return fmt::format("{} arguments (expected {}, got {})", too_few ? "Not enough" : "Too many",
                     expected, count);
}

int run_command(const Command& command, std::span<const std::string> words, Console& console) {
  for (const std::string& word : words) {
    if (word == "--") break;
    if (is_help(word)) {
      console.out << command_help(command, console);
      return 0;
    }
  }
  const std::vector<const FlagSpec*> specs = flags_of(command);
  Result<CommandLine> line =
      parse_command_line(words, specs, command.takes_data,
                         [&](std::string_view name) { return console.setting(name); });
  if (!line) {
    console.err << line.error().message() << "\n";
    return 1;
  }
  const size_t count = line->arguments.size();
  if (std::cmp_less(count, command.arguments_min) ||
      (command.arguments_max != kAnyNumber && std::cmp_greater(count, command.arguments_max))) {
    console.err << wrong_count(command, count) << "\n";
    return 1;
  }
  Context context(console, command, std::move(*line));
  const std::string format = context.format();
  constexpr std::string_view kFormats[] = {"table", "json", "yaml", "yml", "pretty"};
  if (std::ranges::find(kFormats, format) == std::end(kFormats) &&
      !(format == "raw" && command.name == "read")) {
    console.err << "Invalid output format: " << format << "\n";
    return 1;
  }
  for (const auto& [name, value] : context.flags().pairs("header")) {
    if (name.size() >= 8 &&
        std::ranges::equal(std::string_view(name).substr(0, 8), std::string_view("x-vault-"),
                           [](char a, char b) { return (a | 0x20) == (b | 0x20); })) {
      console.err << "failed to setup Headers[" << name
                  << "]: Header starting by 'X-Vault-' are for internal usage only\n";
      return 2;
    }
  }
  return command.run(context);
}

}  // namespace

int run(std::span<const std::string> words, Console& console) {
  if (!words.empty() && (words[0] == "-v" || words[0] == "-version" || words[0] == "--version")) {
    const std::string version[] = {"version"};
    return run(version, console);
  }
  if (words.empty() || is_help(words[0])) {
    (words.empty() ? console.err : console.out) << program_help(console);
    return words.empty() ? 127 : 0;
  }
  size_t used = 0;
  if (const Command* command = find_command(words, used)) {
    return run_command(*command, words.subspan(used), console);
  }
  if (const Group* group = find_group(words)) {
    const bool asked = std::ranges::any_of(words, is_help);
    (asked ? console.out : console.err) << group_help(*group, console);
    return asked ? 0 : 1;
  }
  if (words[0].starts_with('-')) {
    console.err << "Flags come after the command: " << console.program << " COMMAND " << words[0]
                << " ...\n\n";
  }
  console.err << program_help(console);
  return 127;
}

int run_in_process(std::span<const std::string> words, std::string_view program,
                   std::string_view version, std::string_view built) {
  base::SystemRandom random;
  program.remove_prefix(program.find_last_of('/') + 1);  // npos + 1 is 0
  Console console{.in = std::cin,
                  .out = std::cout,
                  .err = std::cerr,
                  .in_is_terminal = isatty(STDIN_FILENO) == 1,
                  .out_is_terminal = isatty(STDOUT_FILENO) == 1,
                  .program = std::string(program == "vault" ? "vault" : "rekey"),
                  .version = std::string(version),
                  .built = std::string(built),
                  .environment = [](const std::string& name) -> std::optional<std::string> {
                    const char* value = std::getenv(name.c_str());
                    if (value == nullptr) return std::nullopt;
                    return value;
                  },
                  .ask_secret = ask_secret_on_terminal,
                  .random = random,
                  .wait = [](base::Duration time) { std::this_thread::sleep_for(time); }};
  const int code = run(words, console);
  std::cout.flush();
  if (!std::cout) return 1;  // the reader went away, or the disk is full
  return code;
}

}  // namespace rekey::cli
