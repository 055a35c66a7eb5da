#include "cli/console.h"

#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <istream>
#include <iterator>

namespace rekey::cli {

using base::ErrorKind;
using base::fail;
using base::Result;

std::optional<std::string> Console::setting(std::string_view name) const {
  for (const char* prefix : {"REKEY_", "VAULT_"}) {
    std::optional<std::string> value = environment(prefix + std::string(name));
    if (value && !value->empty()) return value;
  }
  return std::nullopt;
}

std::string Console::read_all() const {
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

Result<std::string> ask_secret_on_terminal(std::string_view prompt) {
  std::fprintf(stderr, "%.*s", static_cast<int>(prompt.size()), prompt.data());
  termios shown{};
  if (tcgetattr(STDIN_FILENO, &shown) != 0) {
    std::fputs("\n", stderr);
    return fail(ErrorKind::kInvalid, "file descriptor 0 is not a terminal");
  }
  termios hidden = shown;
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  std::string answer;
  char c = 0;
  while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n') answer += c;
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
  std::fputs("\n", stderr);
  return answer;
}

}  // namespace rekey::cli
