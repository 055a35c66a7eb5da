#include "base/log.h"

#include <unistd.h>

#include <algorithm>

#include "base/json.h"

namespace rekey::base {
namespace {

constexpr std::array<std::string_view, kLogRooms> kRooms = {
    "api", "app",      "audit", "auth",  "barrier",  "config",  "engine",
    "net", "identity", "lease", "quota", "pipeline", "storage", "system"};

// The place of a room in the table; of "engine" for "engine/kv". kLogRooms where it isn't there.
size_t place_of(std::string_view room) {
  room = room.substr(0, room.find('/'));
  for (size_t i = 0; i < kLogRooms; i++) {
    if (kRooms[i] == room) return i;
  }
  return kLogRooms;
}

std::string_view level_tag(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return "[TRACE]";
    case LogLevel::kDebug:
      return "[DEBUG]";
    case LogLevel::kInfo:
      return "[INFO] ";
    case LogLevel::kWarn:
      return "[WARN] ";
    case LogLevel::kError:
      return "[ERROR]";
  }
  return "[INFO] ";
}

bool needs_quotes(std::string_view value) {
  for (unsigned char c : value) {
    if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c >= 0x7f) return true;
  }
  return value.empty();
}

}  // namespace

std::string_view log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return "trace";
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

Log::Log(const Clock& clock, int fd, LogLevel level, LogFormat format)
    : clock_(clock), fd_(fd), configured_(level), lowest_(level), format_(format) {
  set_level(level);
}

std::span<const std::string_view> Log::rooms() { return kRooms; }
bool Log::knows(std::string_view room) { return place_of(room) < kLogRooms; }

LogLevel Log::level(std::string_view room) const {
  const size_t place = place_of(room);
  return place < kLogRooms ? levels_[place].load(std::memory_order_relaxed) : configured_level();
}

void Log::configure_level(LogLevel level) {
  configured_.store(level, std::memory_order_relaxed);
  set_level(level);
}

void Log::set_level(LogLevel level) {
  for (auto& own : levels_) own.store(level, std::memory_order_relaxed);
  lowest_.store(level, std::memory_order_relaxed);
}

void Log::set_level(std::string_view room, LogLevel level) {
  const size_t place = place_of(room);
  if (place == kLogRooms) return;
  levels_[place].store(level, std::memory_order_relaxed);
  LogLevel lowest = LogLevel::kError;
  for (const auto& own : levels_) lowest = std::min(lowest, own.load(std::memory_order_relaxed));
  lowest_.store(lowest, std::memory_order_relaxed);
}

Result<LogLevel> parse_log_level(std::string_view name) {
  if (name == "trace") return LogLevel::kTrace;
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info" || name == "notice" || name.empty()) return LogLevel::kInfo;
  if (name == "warn" || name == "warning") return LogLevel::kWarn;
  if (name == "error" || name == "err") return LogLevel::kError;
  return fail(ErrorKind::kInvalid, "unknown log level: use trace, debug, info, warn or error");
}

void Log::write(LogLevel level, std::string_view room, std::string_view message,
                Fields fields) const {
  if (fd_ < 0 || !enabled(level) || level < this->level(room)) return;
  std::string line;
  if (format_ == LogFormat::kJson) {
    JsonWriter json(line);
    json.begin_object();
    json.member("@timestamp", format_rfc3339(clock_.wall()));
    json.member("@level", log_level_name(level));
    json.member("@module", room);
    json.member("@message", message);
    for (const auto& [key, value] : fields) {
      json.dynamic_key(key);
      json.value(value);
    }
    json.end_object();
  } else {
    append_rfc3339(line, clock_.wall());
    line.append(" ").append(level_tag(level)).append(" ").append(room).append(": ").append(message);
    bool first = true;
    for (const auto& [key, value] : fields) {
      line.append(first ? ": " : " ").append(key).append("=");
      first = false;
      if (needs_quotes(value))
        append_json_string(line, value);
      else
        line += value;
    }
  }
  line += '\n';
  // A log that can't be written must not stop the server; the record (audit) is what must.
  (void)!::write(fd_, line.data(), line.size());
}

}  // namespace rekey::base
