#include "hcl/json_reader.h"

#include <optional>

#include "base/json.h"
#include "hcl/scanner.h"

namespace rekey::hcl {

using base::forward;
using base::Result;

namespace {

class JsonReader {
 public:
  JsonReader(std::string_view text, const Limits& limits) : text_(text), limits_(limits) {}

  Result<Object> document() {
    skip_blanks();
    auto object = this->object(1);
    if (!object) return object;
    skip_blanks();
    if (at_ < text_.size()) return fail_here("expected the end after the closing }");
    return object;
  }

 private:
  std::unexpected<base::Error> fail_here(std::string_view what) { return fail_at(here(), what); }
  Place here() const { return {line_, static_cast<int>(at_ - line_start_) + 1}; }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    at_++;
    return true;
  }
  void skip_blanks() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') line_++, line_start_ = at_ + 1;
      if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
    }
  }

  // Counts one more item and one more level; what is wrong, or nothing.
  const char* over_limit(size_t depth) {
    if (++items_ > limits_.items_max) return "too many items";
    if (depth > limits_.depth_max) return "nested too deeply";
    return nullptr;
  }

  Result<Object> object(size_t depth) {
    if (const char* problem = over_limit(depth)) return fail_here(problem);
    if (!take('{')) return fail_here("expected {");
    Object object;
    skip_blanks();
    if (take('}')) return object;
    while (true) {
      skip_blanks();
      const Place place = here();
      if (peek() != '"') return fail_here("expected a key in quotes");
      auto key = string();
      if (!key) return forward(key);
      skip_blanks();
      if (!take(':')) return fail_here("expected : after the key");
      auto value = this->value(depth + 1);
      if (!value) return forward(value);
      if (value->has_value()) {
        object.items.push_back({{std::move(*key)}, std::move(**value), place});
      }
      skip_blanks();
      if (take('}')) return object;
      if (!take(',')) return fail_here("expected , or } after a member");
    }
  }

  Result<List> list(size_t depth) {
    at_++;
    List list;
    skip_blanks();
    if (take(']')) return list;
    while (true) {
      skip_blanks();
      const Place place = here();
      auto value = this->value(depth + 1);
      if (!value) return forward(value);
      if (!value->has_value()) return fail_at(place, "null can't be an element of a list");
      list.push_back(std::move(**value));
      skip_blanks();
      if (take(']')) return list;
      if (!take(',')) return fail_here("expected , or ] after an element");
    }
  }

  // Nothing for null.
  Result<std::optional<Value>> value(size_t depth) {
    if (const char* problem = over_limit(depth)) return fail_here(problem);
    skip_blanks();
    const Place place = here();
    const auto wrap = [&](auto read) -> Result<std::optional<Value>> {
      if (!read) return forward(read);
      return Value{std::move(*read), place};
    };
    switch (peek()) {
      case '{':
        return wrap(object(depth));
      case '[':
        return wrap(list(depth));
      case '"':
        return wrap(string());
      default:
        break;
    }
    const size_t end = text_.find_first_of(" \t\r\n,]}:\"{[", at_);
    const std::string_view word = text_.substr(at_, end == text_.npos ? end : end - at_);
    at_ += word.size();
    if (word == "null") return std::nullopt;
    if (word == "true" || word == "false") return Value{word == "true", place};
    const auto number = base::Json::parse(word);
    if (!number || !number->is_number()) return fail_at(place, "expected a value");
    return Value{Number{std::string(word)}, place};
  }

  // The escapes are base/json.h's business; here only the string's end is found.
  Result<std::string> string() {
    const Place place = here();
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\n') {
      end += text_[end] == '\\' ? 2 : 1;
    }
    if (end >= text_.size() || text_[end] != '"') {
      return fail_at(place, "this string has no closing \"");
    }
    auto parsed = base::Json::parse(text_.substr(at_, end + 1 - at_));
    if (!parsed) return fail_at(place, "unknown escape or control character in a string");
    at_ = end + 1;
    return std::move(*parsed->as_string());
  }

  std::string_view text_;
  const Limits& limits_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  int line_ = 1;
  size_t items_ = 0;
};

}  // namespace

Result<Object> read_json(std::string_view text, const Limits& limits) {
  return JsonReader(text, limits).document();
}

}  // namespace rekey::hcl
