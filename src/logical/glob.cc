#include "logical/glob.h"

namespace rekey::logical {

bool glob_matches(std::string_view pattern, std::string_view text) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  std::string_view rest = text.substr(star);
  pattern.remove_prefix(star + 1);
  while (true) {
    const size_t next = pattern.find('*');
    if (next == std::string_view::npos) return rest.ends_with(pattern);
    const size_t found = rest.find(pattern.substr(0, next));
    if (found == std::string_view::npos) return false;
    rest.remove_prefix(found + next);
    pattern.remove_prefix(next + 1);
  }
}

}  // namespace rekey::logical
