// Logins that wait for their second factor, and how often one was tried. In memory, as part of the
// State: gone when the server is sealed or stops.
//
// A login that waits holds no token: only what the auth method said, from which one is made when
// the second factor was right (login_mfa.h). Takes a lock of its own for a moment: any thread.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/error.h"
#include "logical/login.h"
#include "storage/store.h"

namespace rekey::pipeline {

constexpr size_t kPendingLoginsMax = 10'000;  // of everybody
constexpr size_t kPendingOfEntityMax = 16;    // of one entity; the oldest makes room
constexpr base::Duration kPendingLoginAgeMax = std::chrono::minutes(5);
constexpr size_t kFactorCountersMax = 100'000;  // (method, entity) that were tried lately
// The wait after too many wrong ones begins with the method's period and doubles up to this.
constexpr base::Duration kFactorWaitMax = std::chrono::minutes(15);
constexpr base::Duration kFactorForgetAfter = std::chrono::hours(24);  // without a try

// What tries are counted by.
std::string factor_key(std::string_view method_id, std::string_view entity_id);

struct PendingLogin {
  std::string mount_accessor, mount_uuid;
  std::string path;  // that it came by
  logical::Login login;
  std::string entity_id;
  storage::Revision seen = 0;  // a cut-off after this ends it, as it would end a token
};

class SecondFactors {
 public:
  // `id` is what the client sends back; the same one again replaces it (a request that lost a race
  // runs again). kLimited when too many wait.
  base::Result<void> put(std::string_view id, PendingLogin login, base::WallTime now);
  // Gives it to the request `by` alone, until that lets go of it or finishes it. Null where there
  // is none, it is too old, or another request is at it.
  std::shared_ptr<const PendingLogin> claim(std::string_view id, std::string_view by,
                                            base::WallTime now);
  void let_go(std::string_view id);
  void finish(std::string_view id);
  size_t waiting() const;

  // Before a code is looked at: counts one try of `key`, a method and an entity. At most
  // `tries_max` until one was right; then a wait, which begins with `period` and doubles each time.
  // Success: nothing, or how long to wait, and the code isn't to be looked at.
  std::optional<base::Duration> count_try(std::string_view key, int64_t tries_max,
                                          base::Duration period, base::WallTime now);
  void right(std::string_view key);

 private:
  struct Entry {
    std::string id;
    std::shared_ptr<const PendingLogin> login;
    base::WallTime since{};
    std::string claimed_by;  // a request's id; empty: free
  };
  using Entries = std::list<Entry>;  // the oldest first
  struct Tries {
    int64_t count = 0;  // since the last right one or the last wait
    base::WallTime until{};
    base::Duration window{};
  };
  void drop(Entries::iterator at);
  void drop_old(base::WallTime now);
  bool make_room(base::WallTime now);

  mutable std::mutex mutex_;
  Entries entries_;
  std::unordered_map<std::string, Entries::iterator> by_id_;
  std::unordered_map<std::string, std::list<std::string>> of_entity_;  // ids, the oldest first
  std::unordered_map<std::string, Tries> tries_;
};

}  // namespace rekey::pipeline
