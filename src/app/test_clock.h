// A clock that tests move: the system's time plus an offset in seconds, read from a file at each
// SIGUSR2 (`rekey server -test-clock=FILE`). Only for tests/api and tests/clients; never set it in
// production. Must never know: what the time is used for. Any thread may read it.
#pragma once

#include <atomic>
#include <string>
#include <utility>

#include "base/clock.h"

namespace rekey::app {

class TestClock final : public base::Clock {
 public:
  // An empty file name makes it the system's clock for good.
  TestClock(const base::Clock& real, std::string file) : real_(real), file_(std::move(file)) {}

  base::WallTime wall() const override { return real_.wall() + offset(); }
  base::Duration monotonic() const override { return real_.monotonic() + offset(); }

  // Reads the file again; a missing or unreadable one, or an offset below the present one, is an
  // error and changes nothing.
  base::Result<void> read();
  bool in_use() const { return !file_.empty(); }

 private:
  base::Duration offset() const {
    return base::Duration(offset_ns_.load(std::memory_order_relaxed));
  }

  const base::Clock& real_;
  const std::string file_;
  std::atomic<int64_t> offset_ns_{0};
};

}  // namespace rekey::app
