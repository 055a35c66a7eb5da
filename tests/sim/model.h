// What a correct server may answer, told by what it has answered so far.
//
// Everything that can change is a Cell: the values that it may have now. A change that was asked
// for adds its value, one that was acknowledged leaves only its value, one whose outcome nobody
// knows leaves both. A request remembers every value that the cells it depends on may have had
// between its beginning and its end, and its answer must follow from some of them.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace rekey::sim {

using Value = int64_t;
constexpr Value kAbsent = -1;
constexpr int kAreas = 3;
constexpr int kKeys = 4;
constexpr int kPolicies = 3;

struct Cell {
  std::set<Value> possible;
  bool busy = false;  // a change is on its way; one at a time
  bool may_be(Value value) const { return possible.contains(value); }
};

// What one request saw of the cells.
using Seen = std::map<const Cell*, std::set<Value>>;

struct Token {
  std::string text;
  int parent = -1;  // index; -1: an orphan
  std::set<int> policies;
  bool root = false;
  bool batch = false;
  int64_t expires_min_s = 0, expires_max_s = 0;  // 0: never
  int64_t uses_max = 0;                          // 0: any number
  int64_t served = 0, begun = 0;                 // requests with it
  int expiry_noticed_in = -1;                    // life of the server in which it was refused
  uint64_t expiry_noticed_at = 0;                // step
  int renewing = 0;                              // renewals on their way
  Cell alive;                                    // 1 or 0
  Cell linked;                                   // 1: ends with its parent
  bool detached = false;                         // revoke-orphan was asked for, once
};

class Model {
 public:
  Model();

  void add(Cell& cell, Value value);     // may be so from now on, too
  void settle(Cell& cell, Value value);  // is so
  void restore(Cell& cell, std::set<Value> possible);

  // A request that is on its way: `seen` is kept up until end().
  struct Pending {
    Seen seen;
    int64_t begun_s = 0;
  };
  using Handle = std::list<Pending>::iterator;
  Handle begin(int64_t now_s);
  void depend(Handle pending, const Cell& cell) { pending->seen.emplace(&cell, cell.possible); }
  void depend_on_token(Handle pending, int token);
  void end(Handle pending) { pending_.erase(pending); }

  // The token's death reaches all that hang from it.
  void may_be_revoked(int token);
  void is_revoked(int token);
  void may_be_detached(int token);  // its children, by revoke-orphan
  void is_detached(int token);

  // By what the request saw, could the token have been good, and could it have been refused?
  bool may_live(const Pending& pending, int token) const;
  bool may_be_dead(const Pending& pending, int token, int64_t now_s, int life) const;
  bool may_have_expired(int token, int64_t now_s) const;
  // Could its policies have allowed an area (or, for -1, making tokens), could they have not?
  bool may_be_allowed(const Pending& pending, int token, int area) const;
  bool may_be_denied(const Pending& pending, int token, int area) const;

  Cell& row(int area, int key) { return rows_[static_cast<size_t>(area * kKeys + key)]; }
  Cell& policy(int number) { return policies_[static_cast<size_t>(number)]; }
  const Cell& policy(int number) const { return policies_[static_cast<size_t>(number)]; }
  Token& token(int number) { return tokens_[static_cast<size_t>(number)]; }
  const Token& token(int number) const { return tokens_[static_cast<size_t>(number)]; }
  int add_token(Token token);
  int tokens() const { return static_cast<int>(tokens_.size()); }
  Cell& sealed() { return sealed_; }

 private:
  template <class Visit>
  void descend(int token, Visit visit);

  std::array<Cell, kAreas * kKeys> rows_;
  std::array<Cell, kPolicies> policies_;  // a mask of areas, or kAbsent
  std::deque<Token> tokens_;              // 0 is root; stay in place
  std::vector<std::vector<int>> children_;
  Cell sealed_;
  std::list<Pending> pending_;
};

}  // namespace rekey::sim
