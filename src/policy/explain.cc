// Why a decision is what it is, for people: rule by rule and by the definition, not by the index.
#include <algorithm>

#include "policy/acl_impl.h"

namespace rekey::policy {

namespace {

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

// Why `loser` comes after `winner`.
std::string reason_for(const Pattern& loser, const Pattern& winner) {
  const std::string begin = "loses to " + quoted(winner.written()) + ": ";
  switch (compare(loser, winner).by) {
    case Criterion::kExact:
      return begin + "an exact path goes before a pattern";
    case Criterion::kWildcardAt:
      return begin + "its first wildcard comes earlier";
    case Criterion::kPrefix:
      return begin + "it ends with *";
    case Criterion::kSegments:
      return begin + "it has more + segments";
    case Criterion::kLength:
      return begin + "it is shorter";
    case Criterion::kText:
      return begin + "it comes first in the alphabet";
    case Criterion::kSame:
      break;
  }
  return begin + "same path";
}

// All grants that match `path`, strongest first.
std::vector<const Grant*> matching(const Grants& grants, std::string_view path) {
  std::vector<const Grant*> out;
  for (const Grant& grant : grants.exact) {
    if (grant.pattern.text == path) out.push_back(&grant);
  }
  for (auto grant = grants.wild.rbegin(); grant != grants.wild.rend(); ++grant) {
    if (grant->pattern.matches(path)) out.push_back(&*grant);
  }
  return out;
}

void add(Explanation& out, const Grant& grant, bool decides, const std::string& why) {
  for (const Source& source : grant.sources) {
    Explanation::Match match;
    match.policy = source.policy->name;
    match.written = source.rule->path;
    match.pattern = grant.written;
    match.line = source.rule->line;
    match.capabilities = source.rule->capabilities;
    match.decides = decides;
    match.why = why;
    out.matches.push_back(std::move(match));
  }
}

}  // namespace

Explanation Acl::explain(const Query& query) const {
  const Grants& grants = impl_->grants;
  Explanation out;
  out.decision = decide(query);
  out.unresolved = grants.unresolved;
  if (grants.root) {
    out.capabilities = capabilities(query.path);
    return out;
  }
  std::string_view path = query.path;
  while (path.starts_with('/')) path.remove_prefix(1);
  std::vector<const Grant*> found = matching(grants, path);
  if (query.needed == Capability::kList && path.ends_with('/')) {
    // Rules without the slash: an exact one goes before every pattern, a pattern after all.
    for (const Grant* grant : matching(grants, path.substr(0, path.size() - 1))) {
      if (std::find(found.begin(), found.end(), grant) != found.end()) continue;
      const bool first = grant->pattern.exact();
      const auto at = std::find_if(found.begin(), found.end(),
                                   [](const Grant* other) { return !other->pattern.exact(); });
      found.insert(first ? at : found.end(), grant);
    }
  }
  if (found.empty()) return out;
  const Grant& winner = *found.front();
  out.capabilities = winner.capabilities;
  add(out, winner, true,
      winner.pattern.exact() ? "exact match"
      : found.size() == 1    ? "the only match"
                             : "the closest match");
  for (size_t i = 1; i < found.size(); ++i) {
    // Both exact, or a pattern that is stronger by the rules: the loser lacks the slash of a list.
    const bool by_slash = compare(found[i]->pattern, winner.pattern).order > 0 ||
                          (found[i]->pattern.exact() && winner.pattern.exact());
    add(out, *found[i], false,
        by_slash ? "loses to " + quoted(winner.written) + ": it matches without the last / only"
                 : reason_for(found[i]->pattern, winner.pattern));
  }
  return out;
}

}  // namespace rekey::policy
