#include "policy/pattern.h"

namespace rekey::policy {

namespace {

// Cuts the first segment off `rest`; false where it was the last.
bool next_segment(std::string_view& rest, std::string_view& segment) {
  const size_t slash = rest.find('/');
  segment = rest.substr(0, slash);
  if (slash == rest.npos) return false;
  rest.remove_prefix(slash + 1);
  return true;
}

size_t count_wildcard_segments(std::string_view text) {
  size_t count = 0;
  for (bool more = true; more;) {
    std::string_view segment;
    more = next_segment(text, segment);
    if (segment == "+") count++;
  }
  return count;
}

template <class T>
int order_of(T a, T b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

}  // namespace

Pattern Pattern::read(std::string_view path) {
  Pattern pattern;
  pattern.prefix = path.ends_with('*');
  if (pattern.prefix) path.remove_suffix(1);
  pattern.text = path;
  pattern.segments = count_wildcard_segments(path);
  // As Vault: with a `+` segment anywhere, the first `+` character counts, even one in "a+/+".
  pattern.wildcard_at = pattern.segments > 0 ? path.find('+') : path.size();
  return pattern;
}

bool Pattern::matches(std::string_view path) const {
  std::string_view rest = text;
  while (true) {
    std::string_view wanted, given;
    const bool more_wanted = next_segment(rest, wanted);
    if (!more_wanted && prefix && wanted != "+") return path.starts_with(wanted);
    const bool more_given = next_segment(path, given);
    if (wanted != "+" && wanted != given) return false;
    if (!more_wanted || !more_given) return more_wanted == more_given;
  }
}

bool Pattern::reaches(std::string_view start) const {
  std::string_view rest = text;
  while (true) {
    std::string_view wanted, given;
    const bool more_wanted = next_segment(rest, wanted);
    const bool more_given = next_segment(start, given);
    if (!more_given)
      return wanted == "+" || wanted.starts_with(given) ||
             (!more_wanted && prefix && given.starts_with(wanted));
    if (!more_wanted && prefix) return given.starts_with(wanted);
    if (wanted != "+" && wanted != given) return false;
    if (!more_wanted) return false;
  }
}

Precedence compare(const Pattern& a, const Pattern& b) {
  if (int order = order_of(a.exact(), b.exact())) return {order, Criterion::kExact};
  if (int order = order_of(a.wildcard_at, b.wildcard_at)) return {order, Criterion::kWildcardAt};
  if (int order = order_of(!a.prefix, !b.prefix)) return {order, Criterion::kPrefix};
  if (int order = order_of(b.segments, a.segments)) return {order, Criterion::kSegments};
  if (int order = order_of(a.text.size(), b.text.size())) return {order, Criterion::kLength};
  return {a.text.compare(b.text), a.text == b.text ? Criterion::kSame : Criterion::kText};
}

}  // namespace rekey::policy
