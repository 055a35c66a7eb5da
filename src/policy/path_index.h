// Finds the strongest wildcard pattern that matches a path, in one walk over the path.
//
// A trie by segment. Because precedence does not depend on the path that is asked for, patterns are
// numbered by strength beforehand; the walk keeps the largest number that it meets and skips every
// branch that holds none larger. Literal segments are tried before `+`, which is also the stronger
// side, so the other branches are mostly skipped. Keeps views of the patterns. Immutable; any
// thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/pattern.h"

namespace rekey::policy {

class PathIndex {
 public:
  static constexpr int kNone = -1;

  // `patterns`, weakest first, none of them exact; they must outlive the index.
  void build(const std::vector<const Pattern*>& patterns);

  // The number of the strongest pattern that matches, or kNone.
  int find(std::string_view path) const;

 private:
  // Patterns like `dir/ab*`: the text after the last slash. Sorted; `shorter` is the longest other
  // one in the same node that this one begins with.
  struct Prefix {
    std::string_view text;
    int rank = kNone;
    int shorter = kNone;
  };
  struct Node {
    std::vector<std::pair<std::string_view, uint32_t>> literals;  // sorted
    std::vector<Prefix> prefixes;
    uint32_t any = 0;       // the child for `+`; 0: none, since no child is the root
    int ends = kNone;       // the pattern that ends with this segment
    int strongest = kNone;  // in this node and below
  };
  class Builder;

  void walk(const Node& node, std::string_view rest, int& best) const;
  void step(uint32_t child, std::string_view rest, bool last, int& best) const;
  static int longest_prefix(const Node& node, std::string_view rest);

  std::vector<Node> nodes_;
};

}  // namespace rekey::policy
