#include "config/block.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace rekey::config {

using base::Result;

namespace {

// What Go's strconv.ParseBool takes.
std::optional<bool> parse_flag(std::string_view text) {
  constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "true", "TRUE", "True"};
  constexpr std::array<std::string_view, 6> kFalse = {"0", "f", "F", "false", "FALSE", "False"};
  if (std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end()) return true;
  if (std::find(kFalse.begin(), kFalse.end(), text) != kFalse.end()) return false;
  return std::nullopt;
}

// The text of a string or a number, which Vault takes for one another.
const std::string* scalar_text(const hcl::Value& value) {
  if (const hcl::Number* number = value.as_number()) return &number->text;
  return value.as_string();
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string shown(const hcl::Value& value) {
  constexpr size_t kValueBytesShown = 80;
  if (const bool* flag = value.as_bool()) return *flag ? "true" : "false";
  if (const hcl::Number* number = value.as_number()) return number->text;
  if (const std::string* text = value.as_string()) {
    return '"' + text->substr(0, kValueBytesShown) +
           (text->size() > kValueBytesShown ? "...\"" : "\"");
  }
  return std::string(value.type_name());
}

std::vector<Section> sections_of(const hcl::Value& value) {
  std::vector<Section> out;
  if (value.as_object()) return {{value.as_object(), value.place}};
  if (!value.as_list()) return {};
  for (const hcl::Value& element : *value.as_list()) {
    if (!element.as_object()) return {};
    out.push_back({element.as_object(), element.place});
  }
  return out;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view part = trim(text.substr(0, comma));
    if (!part.empty()) out.emplace_back(part);
    text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
  }
  return out;
}

std::string Block::label(std::string_view key) const {
  return (name_.empty() ? "" : name_ + ": ") + std::string(key);
}

void Block::fail_first(hcl::Place place, const std::string& what) {
  if (!error_) error_.emplace(base::ErrorKind::kInvalid, file_.at(place) + what);
}

void Block::wrong(const hcl::Item& item, std::string_view expected) {
  fail_first(item.value.place, label(item.key()) + ": expected " + std::string(expected) +
                                   ", not " + shown(item.value));
}

void Block::wrong_here(std::string_view what) {
  fail_first(place_, (name_.empty() ? "" : name_ + ": ") + std::string(what));
}

void Block::warn(const hcl::Item& item, std::string_view what) {
  file_.warn(item.place, label(item.key()) + ": " + std::string(what));
}

const hcl::Item* Block::take(std::string_view key) {
  known_.emplace(key);
  const hcl::Item* found = nullptr;
  for (const hcl::Item& item : object_.items) {
    if (item.key() == key) found = &item;
  }
  return found;
}

bool Block::text(std::string_view key, std::string& out) {
  const hcl::Item* item = take(key);
  if (!item) return false;
  const std::string* text = scalar_text(item->value);
  if (!text) return wrong(*item, "a string"), false;
  out = *text;
  return true;
}

bool Block::flag(std::string_view key, bool& out) {
  const hcl::Item* item = take(key);
  if (!item) return false;
  std::optional<bool> value;
  if (item->value.as_bool()) value = *item->value.as_bool();
  if (const std::string* text = scalar_text(item->value)) value = parse_flag(*text);
  if (!value) return wrong(*item, "true or false"), false;
  out = *value;
  return true;
}

bool Block::integer(std::string_view key, int64_t& out) {
  const hcl::Item* item = take(key);
  if (!item) return false;
  const std::string* text = scalar_text(item->value);
  int64_t value = 0;
  const char* end = text ? text->data() + text->size() : nullptr;
  if (!text || text->empty() || std::from_chars(text->data(), end, value).ptr != end ||
      std::from_chars(text->data(), end, value).ec != std::errc()) {
    return wrong(*item, "a whole number"), false;
  }
  out = value;
  return true;
}

bool Block::texts(std::string_view key, std::vector<std::string>& out) {
  const hcl::Item* item = take(key);
  if (!item) return false;
  std::vector<std::string> values;
  if (const std::string* text = item->value.as_string()) {
    values = split_list(*text);
  } else if (const hcl::List* list = item->value.as_list()) {
    for (const hcl::Value& element : *list) {
      if (!element.as_string()) return wrong(*item, "strings in the list"), false;
      values.push_back(*element.as_string());
    }
  } else {
    return wrong(*item, "a list of strings"), false;
  }
  out = std::move(values);
  return true;
}

bool Block::duration(std::string_view key, base::Duration& out) {
  const hcl::Item* item = take(key);
  if (!item) return false;
  const std::string* text = scalar_text(item->value);
  const auto parsed = text ? base::parse_duration(*text) : base::parse_duration("");
  if (!parsed || parsed->count() < 0) {
    return wrong(*item, "a duration such as \"90s\", \"768h\" or a number of seconds"), false;
  }
  if (parsed->count() == 0) {
    warn(*item, "there is always a limit here; " + base::format_duration(out) + " is used for 0");
    return false;
  }
  out = *parsed;
  return true;
}

std::vector<Section> Block::blocks(std::string_view key) {
  known_.emplace(key);
  std::vector<Section> out;
  for (const hcl::Item& item : object_.items) {
    if (item.key() != key) continue;
    const auto found = sections_of(item.value);
    if (found.empty()) wrong(item, "a block { ... }");
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

void Block::ignore(std::initializer_list<std::string_view> keys, std::string_view why) {
  for (std::string_view key : keys) {
    if (const hcl::Item* item = take(key)) warn(*item, why);
  }
}

void Block::ignore_silently(std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys) known_.emplace(key);
}

Result<void> Block::finish() {
  for (const hcl::Item& item : object_.items) {
    if (!known_.contains(item.key())) {
      file_.warn(item.place, "unknown key \"" + item.key() + "\"" +
                                 (name_.empty() ? "" : " in " + name_) + "; it has no effect");
    }
  }
  if (error_) return std::unexpected(std::move(*error_));
  return {};
}

}  // namespace rekey::config
