#include "policy/path_index.h"

#include <algorithm>
#include <map>

namespace rekey::policy {

// Nodes with their children in maps, before they are flattened.
class PathIndex::Builder {
 public:
  explicit Builder(std::vector<Node>& nodes) : nodes_(nodes) { add_node(); }

  void insert(const Pattern& pattern, int rank) {
    uint32_t at = 0;
    std::string_view rest = pattern.text;
    while (true) {
      nodes_[at].strongest = std::max(nodes_[at].strongest, rank);
      const size_t slash = rest.find('/');
      if (slash == rest.npos && pattern.prefix) {
        nodes_[at].prefixes.push_back({rest, rank, kNone});
        return;
      }
      at = child(at, rest.substr(0, slash));
      if (slash == rest.npos) {
        nodes_[at].strongest = std::max(nodes_[at].strongest, rank);
        nodes_[at].ends = rank;
        return;
      }
      rest.remove_prefix(slash + 1);
    }
  }

  void flatten() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      nodes_[i].literals.assign(children_[i].begin(), children_[i].end());
      link(nodes_[i].prefixes);
    }
  }

 private:
  uint32_t add_node() {
    nodes_.emplace_back();
    children_.emplace_back();
    return static_cast<uint32_t>(nodes_.size() - 1);
  }

  uint32_t child(uint32_t parent, std::string_view segment) {
    const bool any = segment == "+";
    const auto known = children_[parent].find(segment);
    if (any && nodes_[parent].any != 0) return nodes_[parent].any;
    if (!any && known != children_[parent].end()) return known->second;
    const uint32_t made = add_node();
    if (any) {
      nodes_[parent].any = made;
    } else {
      children_[parent].emplace(segment, made);
    }
    return made;
  }

  // Sorts, and links each to the longest other that it begins with: a stack of open beginnings.
  static void link(std::vector<Prefix>& prefixes) {
    std::sort(prefixes.begin(), prefixes.end(),
              [](const Prefix& a, const Prefix& b) { return a.text < b.text; });
    std::vector<int> open;
    for (size_t i = 0; i < prefixes.size(); ++i) {
      while (!open.empty() &&
             !prefixes[i].text.starts_with(prefixes[static_cast<size_t>(open.back())].text)) {
        open.pop_back();
      }
      prefixes[i].shorter = open.empty() ? kNone : open.back();
      open.push_back(static_cast<int>(i));
    }
  }

  std::vector<Node>& nodes_;
  std::vector<std::map<std::string_view, uint32_t>> children_;
};

void PathIndex::build(const std::vector<const Pattern*>& patterns) {
  nodes_.clear();
  Builder builder(nodes_);
  for (size_t i = 0; i < patterns.size(); ++i) builder.insert(*patterns[i], static_cast<int>(i));
  builder.flatten();
}

int PathIndex::find(std::string_view path) const {
  int best = kNone;
  if (!nodes_.empty()) walk(nodes_.front(), path, best);
  return best;
}

// Anything that sorts between a beginning of `rest` and `rest` has that beginning too. So the last
// one not after `rest`, or one of those that it begins with, is the longest beginning.
int PathIndex::longest_prefix(const Node& node, std::string_view rest) {
  const auto after =
      std::upper_bound(node.prefixes.begin(), node.prefixes.end(), rest,
                       [](std::string_view text, const Prefix& p) { return text < p.text; });
  int at = static_cast<int>(after - node.prefixes.begin()) - 1;
  while (at != kNone && !rest.starts_with(node.prefixes[static_cast<size_t>(at)].text)) {
    at = node.prefixes[static_cast<size_t>(at)].shorter;
  }
  return at == kNone ? kNone : node.prefixes[static_cast<size_t>(at)].rank;
}

// `rest` is the path from the segment that this node's children match. As deep as the longest
// pattern has segments, at most (kPolicyPathBytesMax + 1) / 2.
void PathIndex::walk(const Node& node, std::string_view rest, int& best) const {
  if (!node.prefixes.empty()) best = std::max(best, longest_prefix(node, rest));
  if (node.strongest <= best || (node.literals.empty() && node.any == 0)) return;
  const size_t slash = rest.find('/');
  const bool last = slash == rest.npos;
  const std::string_view segment = rest.substr(0, slash);
  if (!last) rest.remove_prefix(slash + 1);
  const auto literal = std::lower_bound(node.literals.begin(), node.literals.end(), segment,
                                        [](const std::pair<std::string_view, uint32_t>& a,
                                           std::string_view b) { return a.first < b; });
  if (literal != node.literals.end() && literal->first == segment) {
    step(literal->second, rest, last, best);
  }
  if (node.any != 0) step(node.any, rest, last, best);
}

void PathIndex::step(uint32_t child, std::string_view rest, bool last, int& best) const {
  const Node& node = nodes_[child];
  if (node.strongest <= best) return;
  if (last) {
    best = std::max(best, node.ends);
  } else {
    walk(node, rest, best);
  }
}

}  // namespace rekey::policy
