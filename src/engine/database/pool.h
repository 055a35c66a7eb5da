// Pools: the open connections of each configuration of each mount, at most so many at once.
//
// A connection is lent to one piece of work. Work waits a bounded time for one; a database that is
// down holds up nobody but those who ask for it. What a configuration said when a connection was
// opened is compared when it is lent again. Any thread that may block.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/database/plugin.h"
#include "engine/database/settings.h"

namespace rekey::engine::database {

constexpr base::Duration kPoolWait = std::chrono::seconds(5);   // for a connection to become free
constexpr size_t kPoolWaitersMax = 32;                          // of one configuration
constexpr base::Duration kIdleTrust = std::chrono::seconds(1);  // unused so long: checked first

class Pools {
 public:
  using Work = std::function<base::Result<void>(Session&)>;
  // Runs `work` with a connection as `config` says. `key` names the mount and the configuration.
  // kUnavailable: none can be made, or none is free in time.
  base::Result<void> with_session(const std::string& key, const Config& config,
                                  const Plugin& plugin, const base::Clock& clock, const Work& work);
  void drop(const std::string& key);  // what is lent is closed when it comes back
  void drop_all();

 private:
  struct Idle {
    std::unique_ptr<Session> session;
    base::Duration opened{}, used{};  // monotonic
  };
  struct Pool {
    std::string fingerprint;  // of the configuration that its connections were opened for
    uint64_t generation = 0;
    std::vector<Idle> idle;
    int64_t open = 0;  // lent and idle
    size_t waiting = 0;
  };
  base::Result<Idle> take(const std::string& key, const Config& config, const base::Clock& clock,
                          uint64_t& generation);
  void give_back(const std::string& key, Idle idle, uint64_t generation, const Config& config);
  void forget_one(const std::string& key, uint64_t generation);

  std::mutex mutex_;
  std::condition_variable freed_;
  std::map<std::string, Pool> pools_;
  uint64_t generations_ = 0;
};

}  // namespace rekey::engine::database
