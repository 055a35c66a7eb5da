// Failed logins counted by (mount, name): so many wrong passwords lock a name for a while, as
// Vault's user_lockout. Names that don't exist count the same, so that a lock says nothing.
//
// In memory and bounded; a restart forgets it. Takes a lock of its own for a moment: any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"

namespace rekey::logical {

struct Mount;

constexpr size_t kLockoutNamesMax = 100'000;  // names that failed lately, of all mounts
// Of one mount: a flood of made-up names there pushes out no lock of another.
constexpr size_t kLockoutMountNamesMax = 25'000;
// An attempt at what isn't known to exist only counts where its name is at most this long.
constexpr size_t kLockoutNameBytesMax = 128;

struct LockoutRules {
  int64_t threshold = 5;  // wrong ones in a row
  base::Duration duration = std::chrono::minutes(15);
  base::Duration counter_reset = std::chrono::minutes(15);
  bool disabled = false;
};

// What was said of them, by the server's configuration or a mount's tuning; the rest is open.
struct LockoutSettings {
  std::optional<int64_t> threshold;  // 0, as Vault has it: as if it weren't said
  std::optional<base::Duration> duration, counter_reset;
  std::optional<bool> disabled;
};
// The server's, by type of auth method; "all" goes before them, and "*" over them and the mounts'.
using LockoutByType = std::map<std::string, LockoutSettings, std::less<>>;

// Whether this type of auth method counts failures at all.
bool locks_names(std::string_view auth_type);
// A mount's user_lockout_config as it was sent: lockout_threshold, lockout_duration,
// lockout_counter_reset_duration, lockout_disable. Failure: kInvalid, in Vault's words where it has
// some.
base::Result<LockoutSettings> parse_lockout_settings(const base::JsonObject& sent);
// The mount's own, what it leaves open is the server's.
LockoutRules lockout_rules(const Mount& mount, const LockoutByType& server = {});

class Lockout {
 public:
  explicit Lockout(LockoutByType server = {}) : server_(std::move(server)) {}

  // Whether the name may try at all.
  bool locked(const Mount& mount, std::string_view name, base::WallTime now);
  // What came of a try. False: the name was locked meanwhile by others that ran beside it, so that
  // even a right one is refused: a hundred guesses at once are no more than a few in a row.
  [[nodiscard]] bool finish(const Mount& mount, std::string_view name, bool right,
                            base::WallTime now);

  // The locked names by accessor of their mount, sorted. `mount_of` gives null for those that are
  // gone.
  using MountOf = std::function<std::shared_ptr<const Mount>(std::string_view accessor)>;
  std::map<std::string, std::vector<std::string>> locked_names(const MountOf& mount_of,
                                                               base::WallTime now);
  // Forgets what the name did; nothing where it did nothing.
  void unlock(std::string_view mount_accessor, std::string_view name);

 private:
  struct Failures {
    int64_t count = 0;
    base::WallTime last{};
  };
  using Names = std::unordered_map<std::string, Failures>;
  // Null where there are none that still count.
  static Failures* find(Names& names, const std::string& name, const LockoutRules& rules,
                        base::WallTime now);
  void make_room(Names& names);
  static void drop_older_half(Names& names);

  const LockoutByType server_;
  std::mutex mutex_;
  std::unordered_map<std::string, Names> failures_;  // by accessor of the mount
};

}  // namespace rekey::logical
