#include "engine/database/statement.h"

#include "base/clock.h"
#include "base/codec.h"

namespace rekey::engine::database {
namespace {

using base::ErrorKind;
using base::Json;
using base::Result;

// The end of what begins at `at` and is closed by `quote`, which is escaped by being doubled.
size_t end_of_quoted(std::string_view text, size_t at, char quote) {
  for (size_t i = at + 1; i < text.size(); i++) {
    if (text[i] == '\\' && quote != '`') {
      i++;
    } else if (text[i] == quote) {
      return i + 1;
    }
  }
  return text.size();
}

// "$body$": the tag that begins at `at`, or nothing.
std::string_view dollar_tag(std::string_view text, size_t at) {
  size_t i = at + 1;
  while (i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_')) {
    i++;
  }
  if (i >= text.size() || text[i] != '$') return {};
  return text.substr(at, i + 1 - at);
}

// Where the piece that begins at `at` ends: after a quoted text or a comment, else one character.
size_t step(std::string_view text, size_t at) {
  const char c = text[at];
  if (c == '\'' || c == '"' || c == '`') return end_of_quoted(text, at, c);
  const auto after = [&](std::string_view closing, size_t from) {
    const size_t end = text.find(closing, from);
    return end == std::string_view::npos ? text.size() : end + closing.size();
  };
  if (text.substr(at).starts_with("--")) return after("\n", at);
  if (text.substr(at).starts_with("/*")) return after("*/", at + 2);
  if (c == '$') {
    const std::string_view tag = dollar_tag(text, at);
    if (!tag.empty()) return after(tag, at + tag.size());
  }
  return at + 1;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

Result<std::vector<std::string>> checked(std::vector<std::string> statements) {
  size_t bytes = 0;
  for (const std::string& one : statements) {
    bytes += one.size();
    if (one.find('\0') != std::string::npos) {
      return base::fail(ErrorKind::kInvalid, "a statement holds a zero byte");
    }
  }
  if (bytes > kStatementBytesMax || statements.size() > kStatementsMax) {
    return base::fail(ErrorKind::kInvalid, "the statements are too long");
  }
  return statements;
}

std::vector<std::string> strings_of(const base::JsonArray& items) {
  std::vector<std::string> out;
  for (const Json& item : items) {
    if (const std::string* text = item.as_string(); text != nullptr && !text->empty()) {
      out.push_back(*text);
    }
  }
  return out;
}

}  // namespace

Result<std::vector<std::string>> read_statements(const Json& sent) {
  if (sent.is_null()) return std::vector<std::string>();
  if (const base::JsonArray* items = sent.as_array()) return checked(strings_of(*items));
  const std::string* text = sent.as_string();
  if (text == nullptr) {
    return base::fail(ErrorKind::kInvalid, "statements must be a string or a list of strings");
  }
  if (text->empty()) return std::vector<std::string>();
  if (text->starts_with('[')) {
    const auto list = Json::parse(*text);
    if (list && list->as_array() != nullptr) return checked(strings_of(*list->as_array()));
  }
  // Vault takes base64 as well; SQL is never valid base64, because it has blanks.
  if (text->find(' ') == std::string::npos) {
    auto decoded = base::base64_decode(*text);
    if (decoded && decoded->find(' ') != std::string::npos) {
      return checked({std::move(*decoded)});
    }
  }
  return checked({*text});
}

std::vector<std::string> split_statements(std::string_view text) {
  std::vector<std::string> pieces;
  size_t from = 0, at = 0;
  const auto take = [&](size_t end) {
    const std::string_view piece = trimmed(text.substr(from, end - from));
    if (!piece.empty()) pieces.emplace_back(piece);
  };
  while (at < text.size()) {
    if (text[at] == ';') {
      take(at);
      from = ++at;
    } else {
      at = step(text, at);
    }
  }
  take(text.size());
  return pieces;
}

std::string fill_in(std::string_view text, const Values& values, bool backslashes) {
  std::string out;
  size_t from = 0;
  while (true) {
    const size_t open = text.find("{{", from);
    out += text.substr(from, open - from);
    if (open == std::string_view::npos) return out;
    bool found = false;
    for (const auto& [name, value] : values) {
      const std::string_view rest = text.substr(open + 2);
      if (!rest.starts_with(name) || !rest.substr(name.size()).starts_with("}}")) continue;
      for (const char c : value) {
        if (c == '\'' || (backslashes && c == '\\')) out += c;
        out += c;
      }
      from = open + 2 + name.size() + 2;
      found = true;
      break;
    }
    if (!found) {
      out += "{{";
      from = open + 2;
    }
  }
}

std::string expiration_text(int64_t seconds) {
  std::string text = base::format_rfc3339(base::WallTime(std::chrono::seconds(seconds)));
  text.resize(19);
  text[10] = ' ';
  return text + "+0000";
}

std::string quoted_identifier(std::string_view name, char quote) {
  std::string out(1, quote);
  for (const char c : name) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}

}  // namespace rekey::engine::database
