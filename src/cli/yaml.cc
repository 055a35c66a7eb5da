// YAML in the form that the vault command writes: block style, members by name, text bare where a
// reader can't take it for anything else. Readers of YAML 1.1 count, which see numbers in "1:30"
// and truth in "off".
#include <algorithm>
#include <array>

#include "cli/text.h"

namespace rekey::cli {

using base::Json;
using base::JsonArray;
using base::JsonObject;

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Words and numbers that a reader would not take for text.
bool means_something(std::string_view text) {
  constexpr std::array kWords = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "~"};
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  if (std::ranges::find(kWords, lower) != kWords.end()) return true;
  if (!is_digit(lower[0]) && !std::string_view("+-.").contains(lower[0])) return false;
  // Decimal, with an exponent, base 60, hexadecimal, a date or time: text only if a character
  // stands in it that none of these has, or the dots and dashes are too many for any.
  const auto in_number = [](char c) {
    return is_digit(c) || std::string_view("+-._:eE").contains(c);
  };
  if (lower.starts_with("0x") || lower.starts_with("0o") || lower.starts_with("0b")) return true;
  if (lower.ends_with(".inf") || lower.ends_with(".nan")) return true;
  if (std::ranges::all_of(lower, in_number)) {
    return std::ranges::count(lower, '.') < 2;
  }
  const bool dated = lower.size() >= 8 && is_digit(lower[3]) && lower[4] == '-';
  return dated && std::ranges::all_of(lower, [&](char c) {
           return in_number(c) || c == 't' || c == 'z' || c == ' ';
         });
}

bool is_plain(std::string_view text) {
  if (text.empty() || means_something(text)) return false;
  const char first = text.front();
  const bool starts = is_letter(first) || is_digit(first) ||
                      std::string_view("/_.+<(^$;").contains(first) ||
                      (first == '-' && text.size() > 1 && text[1] != ' ');
  if (!starts || text == "---" || text == "..." || text.back() == ' ' || text.back() == ':') {
    return false;
  }
  if (text.contains(": ") || text.contains(" #") || text == "<<") return false;
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c < '\x7f'; });
}

// Lines that a literal block keeps as they are.
bool fits_block(std::string_view text) {
  if (!text.contains('\n') || text.front() == ' ' || text.front() == '\n') return false;
  return std::ranges::all_of(text, [](char c) {
    return c == '\n' || (static_cast<unsigned char>(c) >= ' ' && c != '\x7f');
  });
}

void append_block(std::string& out, std::string_view text, size_t indent) {
  out += '|';
  if (!text.ends_with('\n')) {
    out += '-';
  } else if (text.ends_with("\n\n")) {
    out += '+';
  }
  if (text.ends_with('\n')) text.remove_suffix(1);
  while (true) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    out += '\n';
    if (!line.empty()) out.append(indent, ' ').append(line);
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

// JSON's escapes are YAML's; what stands outside ASCII may stand as it is.
void append_text(std::string& out, const std::string& text, size_t indent) {
  if (is_plain(text)) {
    out += text;
  } else if (fits_block(text)) {
    append_block(out, text, indent);
  } else {
    base::append_json_string(out, text);
  }
}

void append_key(std::string& out, const std::string& key) {
  if (is_plain(key)) {
    out += key;
  } else {
    base::append_json_string(out, key);
  }
  out += ':';
}

std::string number_text(const Json& value) {
  std::string text = value.dump();
  if (text.contains('.') && !text.contains('e') && !text.contains('E')) {
    while (text.ends_with('0')) text.pop_back();
    if (text.ends_with('.')) text.pop_back();
  }
  return text;
}

void append(std::string& out, const Json& value, size_t indent);

void append_items(std::string& out, const JsonArray& array, size_t indent) {
  bool first = true;
  for (const Json& item : array) {
    if (!first) out.append("\n").append(indent, ' ');
    first = false;
    out += "- ";
    append(out, item, indent + 2);
  }
}

void append_members(std::string& out, const JsonObject& object, size_t indent) {
  bool first = true;
  for (const auto& [name, item] : object) {
    if (!first) out.append("\n").append(indent, ' ');
    first = false;
    append_key(out, name);
    const JsonArray* array = item.as_array();
    const JsonObject* inner = item.as_object();
    if (array != nullptr && !array->empty()) {
      out.append("\n").append(indent, ' ');  // a list stands under its name, not to the right of it
      append_items(out, *array, indent);
    } else if (inner != nullptr && !inner->empty()) {
      out.append("\n").append(indent + 2, ' ');
      append_members(out, *inner, indent + 2);
    } else {
      out += ' ';
      append(out, item, indent + 2);
    }
  }
}

void append(std::string& out, const Json& value, size_t indent) {
  if (const JsonObject* object = value.as_object()) {
    if (object->empty()) out += "{}";
    append_members(out, *object, indent);
  } else if (const JsonArray* array = value.as_array()) {
    if (array->empty()) out += "[]";
    append_items(out, *array, indent);
  } else if (const std::string* text = value.as_string()) {
    append_text(out, *text, indent);
  } else if (value.is_null() || value.as_bool() != nullptr) {
    out += value.dump();
  } else {
    out += number_text(value);
  }
}

}  // namespace

std::string format_yaml(const Json& value) {
  std::string out;
  append(out, value, 0);
  return out + "\n";
}

}  // namespace rekey::cli
