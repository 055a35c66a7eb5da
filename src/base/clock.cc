#include "base/clock.h"

#include <time.h>

#include <cmath>

namespace rekey::base {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::nanoseconds;
using std::chrono::seconds;

void append_number(std::string& out, int64_t value, int width) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  for (int i = count; i < width; i++) out += '0';
  while (count > 0) out += digits[--count];
}

bool take_number(std::string_view& text, size_t width, int& out) {
  if (text.size() < width) return false;
  out = 0;
  for (size_t i = 0; i < width; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    out = out * 10 + (text[i] - '0');
  }
  text.remove_prefix(width);
  return true;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

bool take_fraction(std::string_view& text, int64_t& out_ns) {
  out_ns = 0;
  if (!take(text, '.')) return true;
  int64_t scale = 100'000'000;
  size_t digits = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    out_ns += (text[0] - '0') * scale;
    scale /= 10;
    digits++;
    text.remove_prefix(1);
  }
  return digits > 0;
}

bool take_zone(std::string_view& text, seconds& out) {
  if (take(text, 'Z') || take(text, 'z')) {
    out = seconds(0);
    return true;
  }
  const bool east = !text.empty() && text[0] == '+';
  if (!east && (text.empty() || text[0] != '-')) return false;
  text.remove_prefix(1);
  int hour, minute;
  if (!take_number(text, 2, hour) || !take(text, ':') || !take_number(text, 2, minute))
    return false;
  if (hour > 23 || minute > 59) return false;
  out = seconds((hour * 60 + minute) * 60 * (east ? 1 : -1));
  return true;
}

}  // namespace

WallTime SystemClock::wall() const {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return WallTime(seconds(now.tv_sec) + nanoseconds(now.tv_nsec));
}

Duration SystemClock::monotonic() const {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

WallTime NeverBackClock::wall() const {
  // In this order: a thread that is held up in between takes it for less ahead, never for more.
  const int64_t wall = clock_.wall().time_since_epoch().count();
  const int64_t passed = clock_.monotonic().count();
  const int64_t ahead = wall - passed;
  int64_t most = ahead_ns_.load(std::memory_order_relaxed);
  while (ahead > most) {
    if (ahead_ns_.compare_exchange_weak(most, ahead, std::memory_order_relaxed)) {
      return WallTime(Duration(ahead + passed));
    }
  }
  return WallTime(Duration(most + passed));
}

void append_rfc3339(std::string& out, WallTime time) {
  const auto day = floor<days>(time);
  const std::chrono::year_month_day date(day);
  const int64_t in_day = (time - day).count();
  const int64_t second = in_day / 1'000'000'000;
  append_number(out, static_cast<int>(date.year()), 4);
  // The rest has a fixed length: written once for each request, several times for some.
  char text[] = "-00-00T00:00:00.000000000Z";
  const auto put = [&text](size_t end, uint64_t value, size_t width) {
    for (size_t at = end; at > end - width; value /= 10) {
      text[--at] = static_cast<char>('0' + value % 10);
    }
  };
  put(3, static_cast<unsigned>(date.month()), 2);
  put(6, static_cast<unsigned>(date.day()), 2);
  put(9, static_cast<uint64_t>(second / 3600), 2);
  put(12, static_cast<uint64_t>(second / 60 % 60), 2);
  put(15, static_cast<uint64_t>(second % 60), 2);
  put(25, static_cast<uint64_t>(in_day % 1'000'000'000), 9);
  out.append(text, sizeof(text) - 1);
}

std::string format_rfc3339(WallTime time) {
  std::string out;
  out.reserve(30);
  append_rfc3339(out, time);
  return out;
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  const auto wrong = [&] {
    return fail(ErrorKind::kInvalid, "not an RFC 3339 time, such as 2026-01-31T12:00:00Z");
  };
  int year, month, day, hour, minute, second;
  if (!take_number(text, 4, year) || !take(text, '-') || !take_number(text, 2, month) ||
      !take(text, '-') || !take_number(text, 2, day)) {
    return wrong();
  }
  if (!take(text, 'T') && !take(text, 't') && !take(text, ' ')) return wrong();
  if (!take_number(text, 2, hour) || !take(text, ':') || !take_number(text, 2, minute) ||
      !take(text, ':') || !take_number(text, 2, second)) {
    return wrong();
  }
  int64_t fraction_ns;
  seconds zone;
  if (!take_fraction(text, fraction_ns) || !take_zone(text, zone) || !text.empty()) return wrong();
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  // Nanoseconds since 1970 in 64 bits reach from 1678 to 2261.
  if (!date.ok() || hour > 23 || minute > 59 || second > 60 || year < 1678 || year > 2261) {
    return wrong();
  }
  return WallTime(std::chrono::sys_days(date).time_since_epoch() +
                  seconds((hour * 60 + minute) * 60 + second) - zone + nanoseconds(fraction_ns));
}

Result<Duration> parse_duration(std::string_view text) {
  const auto wrong = [&] {
    return fail(ErrorKind::kInvalid, "not a duration, such as 90, 90s, 1h30m or 2d");
  };
  const std::string_view whole = text;
  bool negative = false;
  if (take(text, '-'))
    negative = true;
  else
    (void)take(text, '+');
  if (text.empty()) return wrong();
  long double total_ns = 0;
  while (!text.empty()) {
    long double value = 0, scale = 1;
    bool digits = false, fraction = false;
    while (!text.empty() && ((text[0] >= '0' && text[0] <= '9') || (text[0] == '.' && !fraction))) {
      if (text[0] == '.') {
        fraction = true;
      } else {
        digits = true;
        if (fraction)
          value += (text[0] - '0') * (scale /= 10);
        else
          value = value * 10 + (text[0] - '0');
      }
      text.remove_prefix(1);
    }
    if (!digits) return wrong();
    size_t unit_size = 0;
    while (unit_size < text.size() && text[unit_size] != '.' &&
           !(text[unit_size] >= '0' && text[unit_size] <= '9')) {
      unit_size++;
    }
    const std::string_view unit = text.substr(0, unit_size);
    text.remove_prefix(unit_size);
    long double unit_ns;
    if (unit.empty() && text.empty() && total_ns == 0)
      unit_ns = 1e9L;
    else if (unit == "ns")
      unit_ns = 1;
    else if (unit == "us" || unit == "µs")
      unit_ns = 1e3L;
    else if (unit == "ms")
      unit_ns = 1e6L;
    else if (unit == "s")
      unit_ns = 1e9L;
    else if (unit == "m")
      unit_ns = 60e9L;
    else if (unit == "h")
      unit_ns = 3600e9L;
    else if (unit == "d")
      unit_ns = 86400e9L;
    else
      return wrong();
    total_ns += value * unit_ns;
  }
  if (total_ns > 9.2e18L) {
    return fail(ErrorKind::kInvalid, "duration is over 292 years", std::string(whole));
  }
  const auto rounded = static_cast<int64_t>(std::llroundl(total_ns));
  return Duration(negative ? -rounded : rounded);
}

std::string format_duration(Duration duration) {
  int64_t left_ns = duration.count();
  if (left_ns == 0) return "0s";
  std::string out;
  if (left_ns < 0) {
    out += '-';
    left_ns = -left_ns;
  }
  if (left_ns < 1'000'000'000) {
    const bool micro = left_ns % 1'000'000 != 0;
    append_number(out, micro ? left_ns / 1000 : left_ns / 1'000'000, 1);
    return out + (micro ? "µs" : "ms");
  }
  const int64_t total_seconds = left_ns / 1'000'000'000;
  const int64_t fraction_ns = left_ns % 1'000'000'000;
  if (total_seconds >= 3600) append_number(out, total_seconds / 3600, 1), out += 'h';
  if (total_seconds >= 60) append_number(out, total_seconds / 60 % 60, 1), out += 'm';
  append_number(out, total_seconds % 60, 1);
  if (fraction_ns > 0) {
    out += '.';
    append_number(out, fraction_ns, 9);
    while (out.back() == '0') out.pop_back();
  }
  return out + "s";
}

}  // namespace rekey::base
