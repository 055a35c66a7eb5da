// A rule's path as a pattern, and which of two patterns comes first. Pure; any thread.
//
// `*` at the end stands for any rest; `+` as a whole segment stands for one segment, also an empty
// one. Anywhere else both are ordinary characters.
#pragma once

#include <string>
#include <string_view>

namespace rekey::policy {

struct Pattern {
  std::string text;     // without the `*` at the end
  bool prefix = false;  // had a `*` at the end
  size_t segments = 0;  // number of `+` segments
  size_t wildcard_at =
      0;  // where the first `+` or the final `*` stands; text.size() if there is none

  static Pattern read(std::string_view path);
  bool exact() const { return !prefix && segments == 0; }
  std::string written() const { return prefix ? text + '*' : text; }

  // By the definition, segment by segment: slow, for explanations. Acl has the fast way.
  bool matches(std::string_view path) const;
  // Could it match any path that begins with `start`?
  bool reaches(std::string_view start) const;
};

// What decided between two patterns, in the order of the documented rules.
enum class Criterion { kSame, kExact, kWildcardAt, kPrefix, kSegments, kLength, kText };

struct Precedence {
  int order = 0;  // negative: `a` comes after (is weaker than) `b`
  Criterion by = Criterion::kSame;
};

// Does not depend on the path that is asked for, so patterns can be ranked when they are compiled.
Precedence compare(const Pattern& a, const Pattern& b);

}  // namespace rekey::policy
