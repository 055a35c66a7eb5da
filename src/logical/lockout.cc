#include "logical/lockout.h"

#include <algorithm>
#include <vector>

#include "logical/answer.h"
#include "logical/context.h"

namespace rekey::logical {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;

std::string text_of(const Json& value) {
  if (const std::string* text = value.as_string()) return *text;
  return value.dump();
}

Result<std::optional<base::Duration>> duration_at(const JsonObject& sent, std::string_view name) {
  const Json* value = sent.find(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  const std::string text = text_of(*value);
  auto parsed = base::parse_duration(text);
  if (!parsed || parsed->count() < 0) {
    return bad_request("time: invalid duration " + Json(text).dump());
  }
  return *parsed;
}

void take(const LockoutSettings& said, LockoutRules& rules) {
  if (said.threshold && *said.threshold > 0) rules.threshold = *said.threshold;
  if (said.duration && said.duration->count() > 0) rules.duration = *said.duration;
  if (said.counter_reset && said.counter_reset->count() > 0) {
    rules.counter_reset = *said.counter_reset;
  }
  if (said.disabled) rules.disabled = *said.disabled;
}

}  // namespace

bool locks_names(std::string_view auth_type) {
  return auth_type == "userpass" || auth_type == "approle" || auth_type == "ldap";
}

Result<LockoutSettings> parse_lockout_settings(const JsonObject& sent) {
  LockoutSettings out;
  if (const Json* value = sent.find("lockout_threshold"); value && !value->is_null()) {
    const std::string text = text_of(*value);
    const auto number = Json::parse(text);
    const auto count = number ? number->as_int() : std::nullopt;
    if (!count || *count < 0) {
      return bad_request("unable to parse user lockout threshold: " + Json(text).dump() +
                         ": invalid syntax");
    }
    out.threshold = *count;
  }
  auto duration = duration_at(sent, "lockout_duration");
  if (!duration) return forward(duration);
  out.duration = *duration;
  auto reset = duration_at(sent, "lockout_counter_reset_duration");
  if (!reset) return forward(reset);
  out.counter_reset = *reset;
  if (const Json* value = sent.find("lockout_disable"); value && !value->is_null()) {
    const std::string text = text_of(*value);
    const bool on = text == "true" || text == "1";
    if (!on && text != "false" && text != "0") {
      return bad_request("unable to convert given user lockout config information");
    }
    out.disabled = on;
  }
  return out;
}

LockoutRules lockout_rules(const Mount& mount, const LockoutByType& server) {
  LockoutRules rules;
  for (const std::string_view name : {std::string_view("all"), std::string_view(mount.type)}) {
    if (const auto said = server.find(name); said != server.end()) take(said->second, rules);
  }
  const Json* config = mount.config.find("user_lockout_config");
  // It was read when it was written; what is older and can't be read changes nothing.
  if (config != nullptr && config->is_object()) {
    if (const auto said = parse_lockout_settings(*config->as_object())) take(*said, rules);
  }
  if (const auto said = server.find("*"); said != server.end()) take(said->second, rules);
  return rules;
}

Lockout::Failures* Lockout::find(Names& names, const std::string& name, const LockoutRules& rules,
                                 base::WallTime now) {
  const auto at = names.find(name);
  if (at == names.end()) return nullptr;
  const bool full = at->second.count >= rules.threshold;
  if (now - at->second.last < (full ? rules.duration : rules.counter_reset)) return &at->second;
  names.erase(at);
  return nullptr;
}

bool Lockout::locked(const Mount& mount, std::string_view name, base::WallTime now) {
  const LockoutRules rules = lockout_rules(mount, server_);
  if (rules.disabled) return false;
  std::lock_guard lock(mutex_);
  const auto names = failures_.find(mount.accessor);
  if (names == failures_.end()) return false;
  const Failures* failures = find(names->second, std::string(name), rules, now);
  return failures != nullptr && failures->count >= rules.threshold;
}

bool Lockout::finish(const Mount& mount, std::string_view name, bool right, base::WallTime now) {
  const LockoutRules rules = lockout_rules(mount, server_);
  if (rules.disabled) return right;
  const std::string key(name);
  std::lock_guard lock(mutex_);
  Names& names = failures_[mount.accessor];
  Failures* failures = find(names, key, rules, now);
  if (failures != nullptr && failures->count >= rules.threshold) return false;
  if (right) {
    if (failures != nullptr) names.erase(key);
    return true;
  }
  if (failures == nullptr) {
    make_room(names);
    failures = &names[key];
  }
  failures->count++;
  failures->last = now;
  return false;
}

std::map<std::string, std::vector<std::string>> Lockout::locked_names(const MountOf& mount_of,
                                                                      base::WallTime now) {
  std::map<std::string, std::vector<std::string>> out;
  std::lock_guard lock(mutex_);
  for (const auto& [accessor, names] : failures_) {
    const auto mount = mount_of(accessor);
    if (mount == nullptr) continue;
    const LockoutRules rules = lockout_rules(*mount, server_);
    if (rules.disabled) continue;
    for (const auto& [name, failures] : names) {
      const bool full = failures.count >= rules.threshold;
      if (full && now - failures.last < rules.duration) out[accessor].push_back(name);
    }
  }
  for (auto& [accessor, names] : out) std::ranges::sort(names);
  return out;
}

void Lockout::unlock(std::string_view mount_accessor, std::string_view name) {
  std::lock_guard lock(mutex_);
  const auto names = failures_.find(std::string(mount_accessor));
  if (names != failures_.end()) names->second.erase(std::string(name));
}

// Room for one more. Where all mounts together hold too many, the largest one pays: floods do.
void Lockout::make_room(Names& names) {
  if (names.size() >= kLockoutMountNamesMax) drop_older_half(names);
  size_t all = 0;
  for (const auto& [accessor, some] : failures_) all += some.size();
  if (all < kLockoutNamesMax) return;
  const auto smaller = [](const auto& a, const auto& b) {
    return a.second.size() < b.second.size();
  };
  drop_older_half(std::ranges::max_element(failures_, smaller)->second);
}

// The half that failed longest ago goes: to push out one name costs an attacker more tries than
// the name would have given.
void Lockout::drop_older_half(Names& names) {
  std::vector<base::WallTime> times;
  times.reserve(names.size());
  for (const auto& [name, failures] : names) times.push_back(failures.last);
  const auto middle = times.begin() + static_cast<ptrdiff_t>(times.size() / 2);
  std::ranges::nth_element(times, middle);
  const base::WallTime oldest_kept = *middle;
  std::erase_if(names, [&](const auto& entry) { return entry.second.last <= oldest_kept; });
}

}  // namespace rekey::logical
