#include "pipeline/second_factor.h"

#include <algorithm>

namespace rekey::pipeline {

void SecondFactors::drop(Entries::iterator at) {
  if (const auto ids = of_entity_.find(at->login->entity_id); ids != of_entity_.end()) {
    ids->second.remove(at->id);
    if (ids->second.empty()) of_entity_.erase(ids);
  }
  by_id_.erase(at->id);
  entries_.erase(at);
}

void SecondFactors::drop_old(base::WallTime now) {
  while (!entries_.empty() && now - entries_.front().since >= kPendingLoginAgeMax) {
    drop(entries_.begin());
  }
}

base::Result<void> SecondFactors::put(std::string_view id, PendingLogin login, base::WallTime now) {
  std::lock_guard lock(mutex_);
  drop_old(now);
  if (const auto known = by_id_.find(std::string(id)); known != by_id_.end()) drop(known->second);
  if (const auto ids = of_entity_.find(login.entity_id);
      ids != of_entity_.end() && ids->second.size() >= kPendingOfEntityMax) {
    drop(by_id_.at(ids->second.front()));
  }
  if (entries_.size() >= kPendingLoginsMax) {
    return base::fail(base::ErrorKind::kLimited,
                      "too many logins wait for their second factor: try again in a few minutes");
  }
  auto shared = std::make_shared<const PendingLogin>(std::move(login));
  of_entity_[shared->entity_id].emplace_back(id);
  entries_.push_back({std::string(id), std::move(shared), now, {}});
  by_id_.emplace(id, std::prev(entries_.end()));
  return {};
}

std::shared_ptr<const PendingLogin> SecondFactors::claim(std::string_view id, std::string_view by,
                                                         base::WallTime now) {
  std::lock_guard lock(mutex_);
  drop_old(now);
  const auto known = by_id_.find(std::string(id));
  if (known == by_id_.end()) return nullptr;
  Entry& entry = *known->second;
  if (!entry.claimed_by.empty() && entry.claimed_by != by) return nullptr;
  entry.claimed_by = by;
  return entry.login;
}

void SecondFactors::let_go(std::string_view id) {
  std::lock_guard lock(mutex_);
  const auto known = by_id_.find(std::string(id));
  if (known != by_id_.end()) known->second->claimed_by.clear();
}

void SecondFactors::finish(std::string_view id) {
  std::lock_guard lock(mutex_);
  const auto known = by_id_.find(std::string(id));
  if (known != by_id_.end()) drop(known->second);
}

size_t SecondFactors::waiting() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

std::string factor_key(std::string_view method_id, std::string_view entity_id) {
  return std::string(method_id).append("/").append(entity_id);
}

// Counts are kept while there is room, so that slow guessing adds up and the next wait is longer.
bool SecondFactors::make_room(base::WallTime now) {
  if (tries_.size() < kFactorCountersMax) return true;
  std::erase_if(tries_, [&](const auto& entry) { return entry.second.until <= now; });
  return tries_.size() < kFactorCountersMax;
}

std::optional<base::Duration> SecondFactors::count_try(std::string_view key, int64_t tries_max,
                                                       base::Duration period, base::WallTime now) {
  std::lock_guard lock(mutex_);
  auto at = tries_.find(std::string(key));
  if (at == tries_.end()) {
    // All of them are counting: nobody may try rather than somebody without being counted.
    if (!make_room(now)) return period;
    at = tries_.emplace(key, Tries{0, now + period, period}).first;
  }
  Tries& tries = at->second;
  if (now >= tries.until) {
    if (now - tries.until >= kFactorForgetAfter) {
      tries = Tries{0, {}, period};
    } else if (tries.count >= tries_max) {
      tries.count = 0;
      tries.window = std::min(tries.window * 2, std::max(kFactorWaitMax, period));
    }  // fewer than that go on counting: a try less in each period would never end in a wait
    tries.until = now + tries.window;
  }
  if (tries.count >= tries_max) return tries.until - now;
  tries.count++;
  return std::nullopt;
}

void SecondFactors::right(std::string_view key) {
  std::lock_guard lock(mutex_);
  tries_.erase(std::string(key));
}

}  // namespace rekey::pipeline
