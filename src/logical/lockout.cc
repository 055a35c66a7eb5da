#include "logical/lockout.h"

#include <algorithm>
#include <vector>

#include "logical/context.h"
#include "logical/row.h"

namespace rekey::logical {
namespace {

base::Duration duration_at(const base::Json& config, std::string_view name,
                           base::Duration otherwise) {
  const base::Json* value = config.find(name);
  if (value == nullptr) return otherwise;
  if (const auto seconds = value->as_int()) return std::chrono::seconds(*seconds);
  if (const std::string* text = value->as_string()) {
    if (const auto parsed = base::parse_duration(*text)) return *parsed;
  }
  return otherwise;
}

int64_t count_at(const base::Json& config, std::string_view name, int64_t otherwise) {
  const base::Json* value = config.find(name);
  if (value == nullptr) return otherwise;
  if (const auto number = value->as_int()) return *number;
  const std::string* text = value->as_string();
  const auto parsed = text == nullptr ? std::nullopt : std::optional(base::Json::parse(*text));
  return parsed && *parsed ? (*parsed)->as_int().value_or(otherwise) : otherwise;
}

}  // namespace

LockoutRules lockout_rules(const Mount& mount) {
  LockoutRules rules;
  const base::Json* config = mount.config.find("user_lockout_config");
  if (config == nullptr || !config->is_object()) return rules;
  rules.threshold = std::max<int64_t>(1, count_at(*config, "lockout_threshold", rules.threshold));
  rules.duration = duration_at(*config, "lockout_duration", rules.duration);
  rules.counter_reset = duration_at(*config, "lockout_counter_reset_duration", rules.counter_reset);
  rules.disabled = flag_at(*config, "lockout_disable");
  return rules;
}

std::string Lockout::key_of(const Mount& mount, std::string_view name) {
  return mount.accessor + "/" + std::string(name);
}

Lockout::Failures* Lockout::find(const std::string& key, const LockoutRules& rules,
                                 base::WallTime now) {
  const auto at = failures_.find(key);
  if (at == failures_.end()) return nullptr;
  const bool full = at->second.count >= rules.threshold;
  if (now - at->second.last < (full ? rules.duration : rules.counter_reset)) return &at->second;
  failures_.erase(at);
  return nullptr;
}

bool Lockout::locked(const Mount& mount, std::string_view name, base::WallTime now) {
  const LockoutRules rules = lockout_rules(mount);
  if (rules.disabled) return false;
  const std::string key = key_of(mount, name);
  std::lock_guard lock(mutex_);
  const Failures* failures = find(key, rules, now);
  return failures != nullptr && failures->count >= rules.threshold;
}

bool Lockout::finish(const Mount& mount, std::string_view name, bool right, base::WallTime now) {
  const LockoutRules rules = lockout_rules(mount);
  if (rules.disabled) return right;
  const std::string key = key_of(mount, name);
  std::lock_guard lock(mutex_);
  Failures* failures = find(key, rules, now);
  if (failures != nullptr && failures->count >= rules.threshold) return false;
  if (right) {
    if (failures != nullptr) failures_.erase(key);
    return true;
  }
  if (failures == nullptr) {
    make_room();
    failures = &failures_[key];
  }
  failures->count++;
  failures->last = now;
  return false;
}

// The half that failed longest ago goes: to push out one name costs an attacker more tries than
// the name would have given.
void Lockout::make_room() {
  if (failures_.size() < kLockoutNamesMax) return;
  std::vector<base::WallTime> times;
  times.reserve(failures_.size());
  for (const auto& [key, failures] : failures_) times.push_back(failures.last);
  const auto middle = times.begin() + static_cast<ptrdiff_t>(times.size() / 2);
  std::ranges::nth_element(times, middle);
  const base::WallTime oldest_kept = *middle;
  std::erase_if(failures_, [&](const auto& entry) { return entry.second.last <= oldest_kept; });
}

}  // namespace rekey::logical
