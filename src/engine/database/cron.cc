#include "engine/database/cron.h"
#include "base/codec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string>
#include <vector>

namespace rekey::engine::database {
namespace {

using base::ErrorKind;
using base::Result;

constexpr int kYearsAhead = 8;  // a leap day comes at the latest after eight

std::unexpected<base::Error> wrong(std::string_view what) {
  return base::fail(ErrorKind::kInvalid, "could not parse rotation_schedule: " + std::string(what));
}

constexpr std::array<std::string_view, 12> kMonthNames = {"jan", "feb", "mar", "apr", "may", "jun",
                                                          "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kDayNames = {"sun", "mon", "tue", "wed",
                                                       "thu", "fri", "sat"};

std::optional<int> number_of(std::string_view text, std::span<const std::string_view> names,
                             int first_name) {
  const std::string name = base::to_lower(text);
  const auto named = std::ranges::find(names, std::string_view(name));
  if (named != names.end()) return static_cast<int>(named - names.begin()) + first_name;
  int number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct Range {
  int least, most;
  std::span<const std::string_view> names;
};

// "*/5", "1-10/2", "mon-fri", "7": into `set`, which takes the numbers least to most.
template <size_t N>
bool read_part(std::string_view part, const Range& range, std::bitset<N>& set) {
  int step = 1;
  if (const size_t slash = part.find('/'); slash != std::string_view::npos) {
    const auto given = number_of(part.substr(slash + 1), {}, 0);
    if (!given || *given < 1) return false;
    step = *given;
    part = part.substr(0, slash);
  }
  int from = range.least, to = range.most;
  if (part != "*") {
    const size_t dash = part.find('-');
    const auto first = number_of(part.substr(0, dash), range.names, range.least);
    if (!first) return false;
    from = *first;
    if (dash != std::string_view::npos) {
      const auto last = number_of(part.substr(dash + 1), range.names, range.least);
      if (!last) return false;
      to = *last;
    } else if (step == 1) {
      to = from;
    }
  }
  if (from < range.least || to > range.most || from > to) return false;
  for (int i = from; i <= to; i += step) set.set(static_cast<size_t>(i) % N);
  return true;
}

template <size_t N>
bool read_field(std::string_view field, const Range& range, std::bitset<N>& set) {
  size_t from = 0;
  while (true) {
    const size_t comma = field.find(',', from);
    if (!read_part(field.substr(from, comma - from), range, set)) return false;
    if (comma == std::string_view::npos) return true;
    from = comma + 1;
  }
}

std::string_view macro_of(std::string_view text) {
  if (text == "@hourly") return "0 * * * *";
  if (text == "@daily" || text == "@midnight") return "0 0 * * *";
  if (text == "@weekly") return "0 0 * * 0";
  if (text == "@monthly") return "0 0 1 * *";
  if (text == "@yearly" || text == "@annually") return "0 0 1 1 *";
  return text;
}

}  // namespace

Result<Schedule> Schedule::parse(std::string_view given) {
  if (given.size() > kScheduleBytesMax) return wrong("it is too long");
  const std::string_view text = macro_of(given);
  std::vector<std::string_view> fields;
  size_t at = 0;
  while ((at = text.find_first_not_of(" \t", at)) != std::string_view::npos) {
    const size_t end = text.find_first_of(" \t", at);
    fields.push_back(text.substr(at, end - at));
    if (end == std::string_view::npos) break;
    at = end;
  }
  if (fields.size() != 5) return wrong("expected exactly 5 fields");
  Schedule schedule;
  if (!read_field(fields[0], {0, 59, {}}, schedule.minutes_)) return wrong("minute");
  if (!read_field(fields[1], {0, 23, {}}, schedule.hours_)) return wrong("hour");
  if (!read_field(fields[2], {1, 31, {}}, schedule.days_)) return wrong("day of month");
  if (!read_field(fields[3], {1, 12, kMonthNames}, schedule.months_)) return wrong("month");
  if (!read_field(fields[4], {0, 7, kDayNames}, schedule.weekdays_)) return wrong("day of week");
  schedule.any_day_ = fields[2].starts_with('*');
  schedule.any_weekday_ = fields[4].starts_with('*');
  if (!schedule.next(base::WallTime())) return wrong("there is no such day");  // 30 February
  return schedule;
}

bool Schedule::day_matches(std::chrono::sys_days day) const {
  const std::chrono::year_month_day date(day);
  if (!months_.test(static_cast<unsigned>(date.month()))) return false;
  const bool by_day = days_.test(static_cast<unsigned>(date.day()));
  const bool by_weekday = weekdays_.test(std::chrono::weekday(day).c_encoding());
  return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<base::WallTime> Schedule::next(base::WallTime time) const {
  using std::chrono::days, std::chrono::hours, std::chrono::minutes;
  const auto start = std::chrono::floor<minutes>(time) + minutes(1);
  auto day = std::chrono::floor<days>(start);
  const auto end = day + days(kYearsAhead * 366 + 1);
  for (; day < end; day += days(1)) {
    if (!day_matches(day)) continue;
    for (int hour = 0; hour < 24; hour++) {
      if (!hours_.test(static_cast<size_t>(hour))) continue;
      for (int minute = 0; minute < 60; minute++) {
        if (!minutes_.test(static_cast<size_t>(minute))) continue;
        const auto found = day + hours(hour) + minutes(minute);
        if (found >= start) return base::WallTime(found);
      }
    }
  }
  return std::nullopt;
}

}  // namespace rekey::engine::database
