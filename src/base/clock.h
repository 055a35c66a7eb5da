// Time as an argument. Code that needs the time takes a Clock; only SystemClock reads the real one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace rekey::base {

using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;  // since 1970, UTC
using Duration = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;       // may jump in either direction
  virtual Duration monotonic() const = 0;  // never goes back; goes on while suspended
};

class SystemClock final : public Clock {
 public:
  WallTime wall() const override;
  Duration monotonic() const override;
};

// Another clock whose wall time never goes back: what was expired once stays expired, whatever is
// done to the machine's clock. Where that was put back, time goes on from where it was as the
// monotonic clock does, so that what is to expire still does. Any thread.
class NeverBackClock final : public Clock {
 public:
  explicit NeverBackClock(const Clock& clock) : clock_(clock) {}
  WallTime wall() const override;
  Duration monotonic() const override { return clock_.monotonic(); }

 private:
  const Clock& clock_;
  mutable std::atomic<int64_t> ahead_ns_{INT64_MIN};  // of the monotonic clock; only grows
};

// Stands still until told otherwise. One thread moves it; any may read.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(WallTime start = WallTime(std::chrono::seconds(1'790'000'000)))
      : wall_(start) {}
  WallTime wall() const override { return wall_.load(); }
  Duration monotonic() const override { return monotonic_.load(); }
  void advance(Duration by) {
    // In this order: who reads meanwhile sees the wall behind, as after a jump back, never ahead.
    monotonic_.store(monotonic_.load() + by);
    jump_wall(by);
  }
  void jump_wall(Duration by) { wall_.store(wall_.load() + by); }

 private:
  std::atomic<WallTime> wall_;
  std::atomic<Duration> monotonic_{Duration{}};
};

// RFC 3339 with nine decimals and Z: 2026-11-24T01:31:01.123456789Z. `parse` takes any RFC 3339
// form.
std::string format_rfc3339(WallTime time);
void append_rfc3339(std::string& out, WallTime time);
Result<WallTime> parse_rfc3339(std::string_view text);

// "90", "90s", "1h30m", "2d": a duration as Vault's clients write it. A bare number is seconds.
Result<Duration> parse_duration(std::string_view text);
// Go's form: "1h30m0s", "768h0m0s", "0s".
std::string format_duration(Duration duration);

}  // namespace rekey::base
