#include "hcl/scanner.h"

#include <algorithm>

#include "base/codec.h"

namespace rekey::hcl {

using base::ErrorKind;
using base::fail;
using base::forward;
using base::Result;

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_beyond_ascii(char c) { return static_cast<unsigned char>(c) >= 0x80; }
bool begins_ident(char c) { return is_letter(c) || c == '_' || is_beyond_ascii(c); }
bool continues_ident(char c) { return begins_ident(c) || is_digit(c) || c == '-' || c == '.'; }

int digit_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

// Appends `code` as UTF-8; false for surrogates and beyond U+10FFFF.
bool append_utf8(std::string& out, uint32_t code) {
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
  return true;
}

// The meaning of a heredoc's lines: `<<-` takes off the indentation that its last line has.
std::string heredoc_text(std::string_view lines, std::string_view last_line_blanks, bool indented) {
  if (!indented || last_line_blanks.empty()) return std::string(lines);
  std::string out;
  for (size_t at = 0; at < lines.size();) {
    const size_t end = lines.find('\n', at);
    const std::string_view line = lines.substr(at, end - at + 1);
    // One line that is less indented than the end mark: the text is kept as it is.
    if (!line.starts_with(last_line_blanks)) return std::string(lines);
    out += line.substr(last_line_blanks.size());
    at = end + 1;
  }
  return out;
}

}  // namespace

std::unexpected<base::Error> fail_at(Place place, std::string_view what) {
  return fail(ErrorKind::kInvalid, "line " + std::to_string(place.line) + ": " + std::string(what));
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end";
    case TokenKind::kString:
    case TokenKind::kHeredoc:
      return "a string";
    case TokenKind::kNumber:
      return "a number";
    case TokenKind::kIdent:
      return "a word";
    default:
      return "'" + std::string(token.raw) + "'";
  }
}

Result<void> check_characters(std::string_view text) {
  Place place{1, 1};
  for (size_t at = 0; at < text.size(); ++place.line) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1);
    const std::string_view line = text.substr(at, end - at + 1);
    if (!base::is_valid_utf8(line)) return fail_at(place, "not valid UTF-8");
    if (line.find('\0') != line.npos) return fail_at(place, "a NUL character");
    at = end + 1;
  }
  return {};
}

void Scanner::step(size_t count) {
  for (size_t i = 0; i < count && at_ < text_.size(); ++i, ++at_) {
    if (text_[at_] == '\n') line_++, line_start_ = at_ + 1;
  }
}

Token Scanner::finish(TokenKind kind) const {
  Token token;
  token.kind = kind;
  token.raw = text_.substr(token_at_, at_ - token_at_);
  token.place = token_place_;
  token.line_end = line_;
  return token;
}

Result<Token> Scanner::next() {
  while (peek() == ' ' || peek() == '\t' || peek() == '\n' || (peek() == '\r' && peek(1) == '\n')) {
    step();
  }
  token_at_ = at_;
  token_place_ = here();
  if (done()) return finish(TokenKind::kEnd);
  const char c = peek();
  const auto single = [&](TokenKind kind) {
    step();
    return finish(kind);
  };
  switch (c) {
    case '{':
      return single(TokenKind::kLeftBrace);
    case '}':
      return single(TokenKind::kRightBrace);
    case '[':
      return single(TokenKind::kLeftBracket);
    case ']':
      return single(TokenKind::kRightBracket);
    case ',':
      return single(TokenKind::kComma);
    case '=':
      return single(TokenKind::kAssign);
    case '"':
      return quoted();
    case '<':
      return heredoc();
    case '#':
    case '/':
      return comment();
    default:
      break;
  }
  if (is_digit(c) || (c == '-' && is_digit(peek(1)))) return number();
  if (text_.substr(at_).starts_with(kByteOrderMark)) {
    return fail_at(token_place_, "a byte order mark that isn't at the beginning");
  }
  if (begins_ident(c)) return ident();
  if (c == '\'') return fail_at(token_place_, "expected \" around a string, not '");
  return fail_at(token_place_, std::string("unexpected character '") + c + "'");
}

Token Scanner::ident() {
  while (continues_ident(peek())) step();
  return finish(TokenKind::kIdent);
}

Result<Token> Scanner::comment() {
  if (peek() == '#' || peek(1) == '/') {
    while (!done() && peek() != '\n' && !(peek() == '\r' && peek(1) == '\n')) step();
    return finish(TokenKind::kComment);
  }
  if (peek(1) != '*') return fail_at(token_place_, "expected // or /* after '/'");
  step(2);
  while (!done() && !(peek() == '*' && peek(1) == '/')) step();
  if (done()) return fail_at(token_place_, "this comment has no */");
  step(2);
  return finish(TokenKind::kComment);
}

// Digits, then `.5`, `e-3`; or 0x and hexadecimal digits.
Result<Token> Scanner::number() {
  const auto digits = [&](int base) {
    size_t count = 0;
    for (; digit_value(peek()) < base; ++count) step();
    return count;
  };
  if (peek() == '-') step();
  bool well = true;
  if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'X')) {
    step(2);
    well = digits(16) > 0;
  } else {
    digits(10);
    if (peek() == '.') step(), well = digits(10) > 0;
    if (well && (peek() == 'e' || peek() == 'E')) {
      step();
      if (peek() == '-' || peek() == '+') step();
      well = digits(10) > 0;
    }
  }
  if (!well || continues_ident(peek())) {
    return fail_at(token_place_, "expected a number; put \" around anything else, such as \"10s\"");
  }
  return finish(TokenKind::kNumber);
}

Result<Token> Scanner::quoted() {
  std::string value;
  step();
  while (true) {
    const char c = peek();
    if (done() || c == '\n') return fail_at(token_place_, "this string has no closing \"");
    if (c == '"') break;
    if (c == '\\') {
      if (auto read = escape(value); !read) return forward(read);
    } else if (c == '$' && peek(1) == '{') {
      if (!interpolation(value)) return fail_at(token_place_, "this string has a ${ with no }");
    } else {
      value += c;
      step();
    }
  }
  step();
  Token token = finish(TokenKind::kString);
  token.value = std::move(value);
  return token;
}

// One escape of Go's strings: \n, \", \101, \x41, \u00e9, \U0001F511.
Result<void> Scanner::escape(std::string& out) {
  constexpr std::string_view kNames = "abfnrtv\\\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\\"";
  const Place place = here();
  const auto bad = [&] {
    return fail_at(place, "unknown escape in a string; write \\\\ for a backslash");
  };
  step();
  const char c = peek();
  if (const size_t at = kNames.find(c); !done() && at != kNames.npos) {
    out += kMeanings[at];
    step();
    return {};
  }
  int base = 16;
  size_t count = 0;
  if (c >= '0' && c <= '7') {
    base = 8, count = 3;
  } else if (c == 'x' || c == 'u' || c == 'U') {
    count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
    step();
  } else {
    return bad();
  }
  uint32_t code = 0;
  for (size_t i = 0; i < count; ++i) {
    const int digit = digit_value(peek());
    if (digit >= base) return bad();
    code = code * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit);
    step();
  }
  // \x and \101 are bytes in Go; a lone byte beyond ASCII would be no text, so it is read as a
  // code point, like \u.
  if (code == 0 || !append_utf8(out, code)) return bad();
  return {};
}

// `${...}` is kept as it is, quotes and all: Vault has nothing to put in, but reads it so.
bool Scanner::interpolation(std::string& out) {
  int depth = 0;
  while (!done()) {
    const char c = peek();
    out += c;
    step();
    if (c == '{') depth++;
    if (c == '}' && --depth == 0) return true;
  }
  return false;
}

Result<Token> Scanner::heredoc() {
  if (peek(1) != '<') return fail_at(token_place_, "expected << and a word");
  step(2);
  const bool indented = peek() == '-';
  if (indented) step();
  const size_t mark_at = at_;
  while (continues_ident(peek())) step();
  const std::string_view mark = text_.substr(mark_at, at_ - mark_at);
  if (peek() == '\r') step();
  if (mark.empty() || peek() != '\n') {
    return fail_at(token_place_, "expected a word and the line's end after <<");
  }
  step();
  const size_t lines_at = at_;
  while (!done()) {
    const size_t line_at = at_;
    const size_t end = std::min(text_.find('\n', at_), text_.size());
    const size_t text_at = std::min(text_.find_first_not_of(" \t", at_), end);
    std::string_view line = text_.substr(text_at, end - text_at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line == mark) {
      step(text_at + mark.size() - at_);
      Token token = finish(TokenKind::kHeredoc);
      token.value = heredoc_text(text_.substr(lines_at, line_at - lines_at),
                                 text_.substr(line_at, text_at - line_at), indented);
      return token;
    }
    step(end + 1 - at_);
  }
  return fail_at(token_place_, "this heredoc has no line " + std::string(mark));
}

}  // namespace rekey::hcl
