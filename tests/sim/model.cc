#include "sim/model.h"

namespace rekey::sim {
namespace {

constexpr int64_t kRoundingSeconds = 1;

bool saw(const Model::Pending& pending, const Cell& cell, Value value) {
  const auto found = pending.seen.find(&cell);
  return found != pending.seen.end() && found->second.contains(value);
}

bool covers(Value mask, int area) {
  return mask != kAbsent && (area < 0 || ((mask >> area) & 1) != 0);
}

}  // namespace

Model::Model() {
  for (Cell& row : rows_) row.possible = {kAbsent};
  for (Cell& policy : policies_) policy.possible = {kAbsent};
  sealed_.possible = {0};
}

void Model::add(Cell& cell, Value value) {
  cell.possible.insert(value);
  for (Pending& pending : pending_) {
    const auto found = pending.seen.find(&cell);
    if (found != pending.seen.end()) found->second.insert(value);
  }
}

void Model::settle(Cell& cell, Value value) {
  add(cell, value);
  cell.possible = {value};
}

void Model::restore(Cell& cell, std::set<Value> possible) {
  for (Value value : possible) add(cell, value);
  cell.possible = std::move(possible);
}

Model::Handle Model::begin(int64_t now_s) {
  pending_.push_front({{}, now_s});
  return pending_.begin();
}

void Model::depend_on_token(Handle pending, int token) {
  depend(pending, tokens_[static_cast<size_t>(token)].alive);
  for (const Cell& policy : policies_) depend(pending, policy);
}

int Model::add_token(Token token) {
  tokens_.push_back(std::move(token));
  children_.emplace_back();
  const int number = tokens() - 1;
  const int parent = tokens_.back().parent;
  if (parent >= 0) children_[static_cast<size_t>(parent)].push_back(number);
  return number;
}

template <class Visit>
void Model::descend(int token, Visit visit) {
  std::vector<std::pair<int, bool>> next{{token, true}};
  while (!next.empty()) {
    const auto [at, surely] = next.back();
    next.pop_back();
    visit(this->token(at), surely);
    for (int child : children_[static_cast<size_t>(at)]) {
      const Cell& linked = this->token(child).linked;
      if (!linked.may_be(1)) continue;
      next.emplace_back(child, surely && !linked.may_be(0));
    }
  }
}

void Model::may_be_revoked(int token) {
  descend(token, [this](Token& one, bool) { add(one.alive, 0); });
}

void Model::is_revoked(int token) {
  descend(token, [this](Token& one, bool surely) {
    if (surely)
      settle(one.alive, 0);
    else
      add(one.alive, 0);
  });
}

void Model::may_be_detached(int token) {
  add(this->token(token).alive, 0);
  this->token(token).detached = true;
  for (int child : children_[static_cast<size_t>(token)]) {
    add(this->token(child).linked, 0);
    // A batch token has no row of its own to be detached: it needs its parent's.
    if (this->token(child).batch) add(this->token(child).alive, 0);
  }
}

void Model::is_detached(int token) {
  settle(this->token(token).alive, 0);
  for (int child : children_[static_cast<size_t>(token)]) {
    settle(this->token(child).linked, 0);
    if (this->token(child).batch) settle(this->token(child).alive, 0);
  }
}

bool Model::may_live(const Pending& pending, int token) const {
  const Token& one = this->token(token);
  if (one.expires_max_s != 0 && one.renewing == 0 &&
      pending.begun_s > one.expires_max_s + kRoundingSeconds) {
    return false;
  }
  if (one.uses_max != 0 && one.served > one.uses_max) return false;
  return saw(pending, one.alive, 1);
}

bool Model::may_have_expired(int token, int64_t now_s) const {
  for (int at = token; at >= 0; at = this->token(at).parent) {
    const Token& one = this->token(at);
    if (one.expires_min_s != 0 && now_s >= one.expires_min_s - kRoundingSeconds) return true;
  }
  return false;
}

bool Model::may_be_dead(const Pending& pending, int token, int64_t now_s, int life) const {
  const Token& one = this->token(token);
  if (saw(pending, one.alive, 0) || may_have_expired(token, now_s)) return true;
  if (one.expiry_noticed_in >= 0 && one.expiry_noticed_in <= life) return true;
  for (int at = token; at >= 0; at = this->token(at).parent) {
    const Token& above = this->token(at);
    if (above.uses_max != 0 && above.begun > above.uses_max) return true;
  }
  return false;
}

bool Model::may_be_allowed(const Pending& pending, int token, int area) const {
  const Token& one = this->token(token);
  if (one.root) return true;
  for (int number : one.policies) {
    for (Value mask : pending.seen.at(&policy(number))) {
      if (covers(mask, area)) return true;
    }
  }
  return false;
}

bool Model::may_be_denied(const Pending& pending, int token, int area) const {
  const Token& one = this->token(token);
  if (one.root) return false;
  for (int number : one.policies) {
    bool can_lack = false;
    for (Value mask : pending.seen.at(&policy(number))) can_lack |= !covers(mask, area);
    if (!can_lack) return false;
  }
  return true;
}

}  // namespace rekey::sim
