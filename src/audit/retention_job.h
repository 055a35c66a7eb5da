// RetentionJob: what `audit_log { retention = "2160h" archive = "/path" }` asks for, done by a
// thread of its own every hour. There is none where nothing is configured.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "audit/log.h"
#include "base/clock.h"
#include "base/log.h"

namespace rekey::audit {

inline constexpr std::chrono::minutes kRetentionInterval{60};

class RetentionJob {
 public:
  struct Options {
    base::Duration keep{};  // entries older than this go
    std::string archive;    // a folder for them; empty: they are gone
    base::Duration interval = kRetentionInterval;
  };
  // All outlive it. The first turn is at once.
  RetentionJob(Log& log, Options options, const base::Clock& clock, const base::Log& operator_log);
  ~RetentionJob();  // after the turn that runs

 private:
  void run();
  void turn();

  Log& log_;
  const Options options_;
  const base::Clock& clock_;
  const base::Log& operator_log_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace rekey::audit
