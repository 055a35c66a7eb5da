// Structured operator logs, one line an event, to a file descriptor.
//
// Made once in app and passed down. A line is written with one write(2), so threads need no lock.
// Never given a secret: SecretBytes doesn't convert to a field's value.
#pragma once

#include <array>
#include <atomic>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace rekey::base {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError };
enum class LogFormat { kStandard, kJson };

constexpr size_t kLogRooms = 15;  // parts of the program that log, see log.cc

std::string_view log_level_name(LogLevel level);          // "info"
Result<LogLevel> parse_log_level(std::string_view name);  // trace debug info warn|warning error|err

class Log {
 public:
  using Field = std::pair<std::string_view, std::string>;
  using Fields = std::initializer_list<Field>;

  // `fd` stays open and the caller's; -1 drops everything.
  Log(const Clock& clock, int fd, LogLevel level = LogLevel::kInfo,
      LogFormat format = LogFormat::kStandard);

  // Levels may be changed while others write, by any thread. Each room has one; all begin with the
  // configured level, which reset goes back to.
  static std::span<const std::string_view> rooms();
  static bool knows(std::string_view room);
  LogLevel configured_level() const { return configured_.load(std::memory_order_relaxed); }
  LogLevel level(std::string_view room) const;
  void configure_level(LogLevel level);  // and resets every room to it
  void set_level(LogLevel level);        // of every room
  void set_level(std::string_view room, LogLevel level);
  void reset_levels() { set_level(configured_level()); }
  void reset_level(std::string_view room) { set_level(room, configured_level()); }
  // Whether any room writes lines of this level.
  bool enabled(LogLevel level) const { return level >= lowest_.load(std::memory_order_relaxed); }

  // `room` is the part that speaks ("storage"); `message` is a constant sentence; values go in
  // fields.
  void write(LogLevel level, std::string_view room, std::string_view message,
             Fields fields = {}) const;
  void debug(std::string_view room, std::string_view message, Fields fields = {}) const {
    write(LogLevel::kDebug, room, message, fields);
  }
  void info(std::string_view room, std::string_view message, Fields fields = {}) const {
    write(LogLevel::kInfo, room, message, fields);
  }
  void warn(std::string_view room, std::string_view message, Fields fields = {}) const {
    write(LogLevel::kWarn, room, message, fields);
  }
  void error(std::string_view room, std::string_view message, Fields fields = {}) const {
    write(LogLevel::kError, room, message, fields);
  }

 private:
  const Clock& clock_;
  int fd_;
  std::atomic<LogLevel> configured_;
  std::atomic<LogLevel> lowest_;  // of all rooms
  std::array<std::atomic<LogLevel>, kLogRooms> levels_;
  LogFormat format_;
};

}  // namespace rekey::base
