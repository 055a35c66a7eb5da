#include "audit/entry_scan.h"

#include <chrono>
#include <cstring>

#include "base/json.h"

namespace rekey::audit {

namespace {

// 2026-11-24T01:31:01.123456789Z and nothing else; false for any other text.
bool parse_time(std::string_view text, int64_t& out_ns) {
  static constexpr std::string_view kShape = "0000-00-00T00:00:00.000000000Z";
  if (text.size() != kShape.size()) return false;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const bool fits = kShape[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == kShape[i];
    if (!fits) return false;
  }
  const auto digits = [&](size_t from, size_t count) {
    int64_t value = 0;
    for (size_t i = from; i < from + count; ++i) value = 10 * value + (text[i] - '0');
    return value;
  };
  const std::chrono::year_month_day day(std::chrono::year(static_cast<int>(digits(0, 4))),
                                        std::chrono::month(static_cast<unsigned>(digits(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(digits(8, 2))));
  // What fits into 64 bits of nanoseconds.
  if (!day.ok() || digits(0, 4) < 1700 || digits(0, 4) > 2200) return false;
  const int64_t days = std::chrono::sys_days(day).time_since_epoch().count();
  const int64_t seconds =
      days * 86'400 + digits(11, 2) * 3'600 + digits(14, 2) * 60 + digits(17, 2);
  out_ns = seconds * 1'000'000'000 + digits(20, 9);
  return true;
}

}  // namespace

bool EntryScanner::scan(std::string_view entry) {
  entry_ = entry;
  at_ = 0;
  unescaped_.clear();
  std::vector<std::string_view> values = std::move(found_.values);
  values.clear();
  found_ = {};
  found_.values = std::move(values);
  bool has_time = false;
  const bool whole = object([&](std::string_view name) {
    if (name != "time") return top_member(name);
    std::string_view raw;
    has_time = string(raw) && parse_time(raw, found_.time_ns);
    return has_time;
  });
  return whole && has_time && at_ == entry_.size();
}

bool EntryScanner::top_member(std::string_view name) {
  if (name == "path") return text(found_.path);
  if (name == "auth") return auth();
  if (name == "remote") return remote();
  if (name == "request") return body(false);
  if (name == "response") return body(true);
  if (name == "status") return number(found_.status);
  if (name == "operation") return text(found_.operation);
  if (name == "type") return text(found_.type);
  if (name == "error") return text(found_.error);
  return skip(false);
}

bool EntryScanner::auth() {
  return object([&](std::string_view name) {
    if (name == "entity_id") return text(found_.entity_id);
    if (name == "token") return keep_value();
    if (name == "accessor") return text(found_.accessor);
    if (name == "display_name") return text(found_.display_name);
    if (name == "mount") return text(found_.auth_mount);
    if (name == "token_type") return text(found_.token_type);
    if (name == "policies") {
      const size_t start = at_;
      if (!skip(false)) return false;
      found_.policies = entry_.substr(start, at_ - start);
      return true;
    }
    return skip(false);
  });
}

bool EntryScanner::remote() {
  return object([&](std::string_view name) {
    if (name == "address") return text(found_.address);
    if (name == "forwarded") return text(found_.forwarded);
    return skip(false);
  });
}

bool EntryScanner::body(bool is_response) {
  return object([&](std::string_view name) {
    if (name == "data") return skip(true);
    if (name == "whole" || name == "token") return keep_value();
    if (is_response && name == "accessor") return text(found_.response_accessor);
    return skip(false);
  });
}

// `member(name)` reads the value after each name.
template <class Member>
bool EntryScanner::object(Member member) {
  if (!eat('{')) return false;
  if (eat('}')) return true;
  do {
    std::string_view name;
    if (!string(name) || !eat(':') || !member(name)) return false;
  } while (eat(','));
  return eat('}');
}

bool EntryScanner::eat(char c) {
  if (peek() != c) return false;
  ++at_;
  return true;
}

// What stands between the quotes, with its escapes.
bool EntryScanner::string(std::string_view& raw) {
  if (!eat('"')) return false;
  const size_t start = at_;
  while (true) {
    const void* quote = std::memchr(entry_.data() + at_, '"', entry_.size() - at_);
    if (quote == nullptr) return false;
    const size_t end = static_cast<size_t>(static_cast<const char*>(quote) - entry_.data());
    at_ = end + 1;
    size_t backslashes = 0;
    while (end > start + backslashes && entry_[end - 1 - backslashes] == '\\') ++backslashes;
    if (backslashes % 2 != 0) continue;
    raw = entry_.substr(start, end - start);
    return true;
  }
}

bool EntryScanner::text(std::string_view& out) {
  const size_t start = at_;
  if (!string(out)) return false;
  if (out.find('\\') == out.npos) return true;
  const auto parsed = base::Json::parse(entry_.substr(start, at_ - start));
  if (!parsed || !parsed->is_string()) return false;
  out = unescaped_.emplace_back(*parsed->as_string());
  return true;
}

bool EntryScanner::number(uint32_t& out) {
  constexpr uint32_t kDigitsMax = 9;
  out = 0;
  const size_t start = at_;
  while (peek() >= '0' && peek() <= '9' && at_ - start < kDigitsMax) {
    out = out * 10 + static_cast<uint32_t>(entry_[at_++] - '0');
  }
  return at_ > start;
}

bool EntryScanner::keep_value() { return skip(true); }

// One value of any kind. With `keep_values`, the keyed hashes in it; names of members are not
// looked at, they are the client's.
bool EntryScanner::skip(bool keep_values) {
  size_t depth = 0;
  do {
    const char c = peek();
    if (c == '{' || c == '[') {
      if (++depth > kScanDepthMax) return false;
      ++at_;
      continue;
    }
    if (c == '}' || c == ']') {
      if (depth == 0) return false;
      --depth;
      ++at_;
      if (depth > 0) (void)eat(',');
      continue;
    }
    if (c == '"') {
      std::string_view raw;
      if (!string(raw)) return false;
      if (peek() == ':') {
        if (depth == 0) return true;
        ++at_;
        continue;
      }
      if (keep_values && raw.size() == kValueHashPrefix.size() + kValueHexDigits &&
          raw.starts_with(kValueHashPrefix)) {
        found_.values.push_back(raw.substr(kValueHashPrefix.size()));
      }
    } else {
      const size_t start = at_;
      while (at_ < entry_.size() && std::strchr(",]}\"{[:", entry_[at_]) == nullptr) ++at_;
      if (at_ == start) return false;
    }
    if (depth > 0) (void)eat(',');
  } while (depth > 0);
  return true;
}

}  // namespace rekey::audit
