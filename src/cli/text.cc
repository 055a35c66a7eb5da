#include "cli/text.h"

#include <algorithm>
#include <array>

namespace rekey::cli {

using base::Json;
using base::JsonArray;
using base::JsonObject;

namespace {

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

void wrap_line(std::string& out, std::string_view line, size_t indent) {
  out.append(indent, ' ');
  size_t column = indent;
  bool first = true;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    const size_t width = count_characters(word);
    if (!first && column + 1 + width > kLineColumnsMax) {
      out.append("\n").append(indent, ' ');
      column = indent;
    } else if (!first) {
      out += ' ';
      column++;
    }
    out += word;
    column += width;
    first = false;
  }
}

}  // namespace

std::string wrap_text(std::string_view text, size_t indent) {
  std::string out;
  while (true) {
    const size_t end = text.find('\n');
    wrap_line(out, text.substr(0, end), indent);
    if (end == std::string_view::npos) return out;
    out += '\n';
    text.remove_prefix(end + 1);
  }
}

std::string under_program_name(std::string text, std::string_view program) {
  constexpr std::string_view kWritten = "$ rekey ";
  for (size_t at = text.find(kWritten); at != std::string::npos; at = text.find(kWritten, at + 1)) {
    text.replace(at + 2, kWritten.size() - 3, program);
  }
  return text;
}

std::string format_columns(std::span<const Row> rows, std::string_view empty) {
  std::vector<size_t> widths;
  const auto cell = [&](const Row& row, size_t column) {
    const std::string_view text = trim(row[column]);
    return text.empty() ? empty : text;
  };
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); i++) {
      widths[i] = std::max(widths[i], count_characters(cell(row, i)));
    }
  }
  std::string out;
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); i++) {
      const std::string_view text = cell(row, i);
      out += text;
      if (i + 1 < row.size()) out.append(widths[i] - count_characters(text) + 4, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string format_table(const Row& header, std::span<const Row> rows) {
  std::vector<Row> all = {header, {}};
  for (const std::string& name : header) all[1].emplace_back(name.size(), '-');
  all.insert(all.end(), rows.begin(), rows.end());
  return format_columns(all);
}

std::string format_pairs(std::span<const Row> rows) { return format_table({"Key", "Value"}, rows); }

std::string format_cell(const Json& value) {
  if (value.is_null()) return "<nil>";
  if (const std::string* text = value.as_string()) return *text;
  std::string out;
  const char* separator = "";
  if (const JsonArray* array = value.as_array()) {
    for (const Json& item : *array)
      out.append(separator).append(format_cell(item)), separator = " ";
    return "[" + out + "]";
  }
  if (const JsonObject* object = value.as_object()) {
    for (const auto& [name, item] : *object) {
      out.append(separator).append(name).append(":").append(format_cell(item));
      separator = " ";
    }
    return "map[" + out + "]";
  }
  return value.dump();
}

std::string format_quoted_list(const Json* list) {
  std::string out = "[";
  if (list != nullptr && list->is_array()) {
    for (const Json& item : *list->as_array()) {
      if (out.size() > 1) out += ' ';
      base::append_json_string(out, format_cell(item));
    }
  }
  return out + "]";
}

std::string format_short_duration(base::Duration duration) {
  std::string text = base::format_duration(duration);
  if (text.ends_with("m0s")) text.resize(text.size() - 2);
  if (text.ends_with("h0m")) text.resize(text.size() - 2);
  return text;
}

bool is_duration_name(std::string_view name) {
  constexpr std::array kNames = {"period", "ttl", "duration", "lease_max", "ttl_max"};
  return std::ranges::find(kNames, name) != kNames.end() || name.ends_with("_period") ||
         name.ends_with("_ttl") || name.ends_with("_duration");
}

namespace {

void append_go_string(std::string& out, std::string_view text) {
  std::string plain;
  base::append_json_string(plain, text);
  for (size_t i = 0; i < plain.size(); i++) {
    const char c = plain[i];
    if (c == '<') {
      out += "\\u003c";
    } else if (c == '>') {
      out += "\\u003e";
    } else if (c == '&') {
      out += "\\u0026";
    } else {
      out += c;
    }
  }
}

void append_go_json(std::string& out, const Json& value, const Layout& layout, size_t depth);

void append_member(std::string& out, const JsonObject::Member& member, const Layout& layout,
                   size_t depth) {
  static const Layout kByName;
  if (out.back() != '{') out += ',';
  out.append("\n").append(2 * (depth + 1), ' ');
  append_go_string(out, member.first);
  out += ": ";
  auto inside = layout.inside.find(member.first);
  if (inside == layout.inside.end()) inside = layout.inside.find("*");
  append_go_json(out, member.second, inside == layout.inside.end() ? kByName : inside->second,
                 depth + 1);
}

void append_object(std::string& out, const JsonObject& object, const Layout& layout, size_t depth) {
  out += '{';
  for (const std::string_view name : layout.first) {
    if (const Json* value = object.find(name)) {
      append_member(out, {std::string(name), *value}, layout, depth);
    }
  }
  for (const JsonObject::Member& member : object) {
    if (std::ranges::find(layout.first, member.first) != layout.first.end()) continue;
    append_member(out, member, layout, depth);
  }
  out.append("\n").append(2 * depth, ' ') += '}';
}

void append_go_json(std::string& out, const Json& value, const Layout& layout, size_t depth) {
  const JsonArray* array = value.as_array();
  const JsonObject* object = value.as_object();
  if (object != nullptr && !object->empty()) {
    append_object(out, *object, layout, depth);
  } else if (array != nullptr && !array->empty()) {
    const char* separator = "[";
    for (const Json& item : *array) {
      out.append(separator).append("\n").append(2 * (depth + 1), ' ');
      append_go_json(out, item, layout, depth + 1);
      separator = ",";
    }
    out.append("\n").append(2 * depth, ' ') += ']';
  } else if (const std::string* text = value.as_string()) {
    append_go_string(out, *text);
  } else {
    value.append_to(out);
  }
}

}  // namespace

std::string format_json(const Json& value, const Layout& layout) {
  std::string out;
  append_go_json(out, value, layout, 0);
  return out;
}

}  // namespace rekey::cli
