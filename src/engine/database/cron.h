// Rotation schedules in the five fields of cron(5): minute, hour, day of month, month, day of week,
// in UTC. Lists, ranges, steps, names of months and days, and @hourly, @daily, @weekly, @monthly,
// @yearly. As in cron, a day matches by either of its two fields where both are restricted. Pure.
#pragma once

#include <bitset>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace rekey::engine::database {

constexpr size_t kScheduleBytesMax = 256;

class Schedule {
 public:
  static base::Result<Schedule> parse(std::string_view text);  // kInvalid
  // The first matching minute after `time`; nothing where there is none in the next eight years
  // (30 February).
  std::optional<base::WallTime> next(base::WallTime time) const;

 private:
  bool day_matches(std::chrono::sys_days day) const;
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<7> weekdays_;  // 0 is Sunday
  bool any_day_ = false, any_weekday_ = false;
};

}  // namespace rekey::engine::database
