// Structured operator logs, one line an event, to a file descriptor.
//
// Made once in app and passed down. A line is written with one write(2), so threads need no lock.
// Never given a secret: SecretBytes doesn't convert to a field's value.
#pragma once

#include <atomic>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace rekey::base {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError };
enum class LogFormat { kStandard, kJson };

Result<LogLevel> parse_log_level(std::string_view name);  // trace debug info warn|warning error|err

class Log {
 public:
  using Field = std::pair<std::string_view, std::string>;
  using Fields = std::initializer_list<Field>;

  // `fd` stays open and the caller's; -1 drops everything.
  Log(const Clock& clock, int fd, LogLevel level = LogLevel::kInfo,
      LogFormat format = LogFormat::kStandard)
      : clock_(clock), fd_(fd), level_(level), format_(format) {}

  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  bool enabled(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }

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
  std::atomic<LogLevel> level_;
  LogFormat format_;
};

}  // namespace rekey::base
