#include "base/log.h"

#include <unistd.h>

#include "base/json.h"

namespace rekey::base {
namespace {

std::string_view level_name(LogLevel level) {
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
  if (fd_ < 0 || !enabled(level)) return;
  std::string line;
  if (format_ == LogFormat::kJson) {
    JsonWriter json(line);
    json.begin_object();
    json.member("@timestamp", format_rfc3339(clock_.wall()));
    json.member("@level", level_name(level));
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
