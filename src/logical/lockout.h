// Failed logins counted by (mount, name): so many wrong passwords lock a name for a while, as
// Vault's user_lockout. Names that don't exist count the same, so that a lock says nothing.
//
// In memory and bounded; a restart forgets it. Takes a lock of its own for a moment: any thread.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"

namespace rekey::logical {

struct Mount;

constexpr size_t kLockoutNamesMax = 100'000;  // names that failed lately, of all mounts

struct LockoutRules {
  int64_t threshold = 5;  // wrong ones in a row
  base::Duration duration = std::chrono::minutes(15);
  base::Duration counter_reset = std::chrono::minutes(15);
  bool disabled = false;
};
// As the mount is tuned: user_lockout_config.
LockoutRules lockout_rules(const Mount& mount);

class Lockout {
 public:
  // Whether the name may try at all.
  bool locked(const Mount& mount, std::string_view name, base::WallTime now);
  // What came of a try. False: the name was locked meanwhile by others that ran beside it, so that
  // even a right one is refused: a hundred guesses at once are no more than a few in a row.
  [[nodiscard]] bool finish(const Mount& mount, std::string_view name, bool right,
                            base::WallTime now);

 private:
  struct Failures {
    int64_t count = 0;
    base::WallTime last{};
  };
  static std::string key_of(const Mount& mount, std::string_view name);
  // Null where there are none that still count.
  Failures* find(const std::string& key, const LockoutRules& rules, base::WallTime now);
  void make_room();

  std::mutex mutex_;
  std::unordered_map<std::string, Failures> failures_;
};

}  // namespace rekey::logical
