#include "engine/database/username_template.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "base/codec.h"
#include "crypto/digest.h"

namespace rekey::engine::database {
namespace {

using base::ErrorKind;
using base::Result;

std::unexpected<base::Error> wrong(std::string what) {
  return base::fail(ErrorKind::kInvalid, "invalid username template: " + std::move(what));
}

// A client's text becomes a part of a name: anything unusual is a dash.
std::string tamed(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.' || c == '@' || c == '-';
    out += good ? c : '-';
  }
  return out;
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

enum class TokenKind { kWord, kString, kPipe, kOpen, kClose, kEnd };
struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
};

// The tokens of one {{ action }}.
Result<std::vector<Token>> tokenize(std::string_view text) {
  std::vector<Token> tokens;
  size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      i++;
    } else if (c == '|' || c == '(' || c == ')') {
      tokens.push_back({c == '|'   ? TokenKind::kPipe
                        : c == '(' ? TokenKind::kOpen
                                   : TokenKind::kClose,
                        {}});
      i++;
    } else if (c == '"' || c == '`') {
      std::string value;
      size_t at = i + 1;
      while (at < text.size() && text[at] != c) {
        if (c == '"' && text[at] == '\\' && at + 1 < text.size()) at++;
        value += text[at++];
      }
      if (at >= text.size()) return wrong("a string doesn't end");
      tokens.push_back({TokenKind::kString, std::move(value)});
      i = at + 1;
    } else {
      const size_t end = text.find_first_of(" \t\r\n|()\"`", i);
      tokens.push_back({TokenKind::kWord, std::string(text.substr(i, end - i))});
      i = end == std::string_view::npos ? text.size() : end;
    }
  }
  tokens.push_back({});
  return tokens;
}

std::string sha256_hex(std::string_view text) {
  return base::hex_encode(crypto::as_bytes(crypto::sha256(text)));
}

Result<std::string> printf_text(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return wrong("printf needs a format");
  std::string out;
  size_t next = 1;
  const std::string& format = arguments[0];
  for (size_t i = 0; i < format.size(); i++) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const char verb = i + 1 < format.size() ? format[++i] : '\0';
    if (verb == '%') {
      out += '%';
    } else if (verb == 's' || verb == 'v' || verb == 'd') {
      if (next >= arguments.size()) return wrong("printf has too few arguments");
      out += arguments[next++];
    } else {
      return wrong("printf knows %s, %v, %d and %%");
    }
  }
  return out;
}

// Go's reference time, as far as names of users use it.
std::string timestamp(std::string_view layout, base::WallTime now) {
  const std::string iso = base::format_rfc3339(now);
  struct Part {
    std::string_view reference;
    size_t at, length;  // in RFC 3339
  };
  constexpr Part kParts[] = {{"2006", 0, 4}, {"01", 5, 2},  {"02", 8, 2},
                             {"15", 11, 2},  {"04", 14, 2}, {"05", 17, 2}};
  std::string out;
  while (!layout.empty()) {
    const auto part = std::ranges::find_if(
        kParts, [&](const Part& one) { return layout.starts_with(one.reference); });
    if (part == std::end(kParts)) {
      out += layout[0];
      layout.remove_prefix(1);
    } else {
      out += iso.substr(part->at, part->length);
      layout.remove_prefix(part->reference.size());
    }
  }
  return out;
}

class Evaluator {
 public:
  Evaluator(std::vector<Token> tokens, const NameParts& parts, base::Random& random)
      : tokens_(std::move(tokens)), parts_(parts), random_(random) {}

  Result<std::string> run() {
    auto value = pipeline();
    if (!value) return value;
    if (peek().kind != TokenKind::kEnd) return wrong("something is left over");
    return value;
  }

 private:
  const Token& peek() const { return tokens_[at_]; }

  Result<std::string> pipeline() {
    if (++depth_ > kTemplateDepthMax) return wrong("too many parentheses");
    auto value = command(std::nullopt);
    while (value && peek().kind == TokenKind::kPipe) {
      at_++;
      value = command(std::move(*value));
    }
    depth_--;
    return value;
  }

  // A value, or a function with its arguments; what was piped in is the last one.
  Result<std::string> command(std::optional<std::string> piped) {
    const Token first = peek();
    if (first.kind != TokenKind::kWord || first.text.starts_with('.') || whole_number(first.text)) {
      if (piped) return wrong("a value can't take one");
      return value();
    }
    at_++;
    std::vector<std::string> arguments;
    while (peek().kind == TokenKind::kWord || peek().kind == TokenKind::kString ||
           peek().kind == TokenKind::kOpen) {
      auto argument = value();
      if (!argument) return argument;
      arguments.push_back(std::move(*argument));
    }
    if (piped) arguments.push_back(std::move(*piped));
    auto made = call(first.text, arguments);
    if (made && made->size() > kTemplateTextMax) return wrong("the name is too long");
    return made;
  }

  Result<std::string> value() {
    const Token token = peek();
    at_++;
    if (token.kind == TokenKind::kString) return token.text;
    if (token.kind == TokenKind::kOpen) {
      auto inner = pipeline();
      if (!inner) return inner;
      if (peek().kind != TokenKind::kClose) return wrong("a parenthesis isn't closed");
      at_++;
      return inner;
    }
    if (token.kind == TokenKind::kWord) {
      if (token.text == ".DisplayName") return tamed(parts_.display_name);
      if (token.text == ".RoleName") return tamed(parts_.role_name);
      if (whole_number(token.text)) return token.text;
      if (!token.text.starts_with('.')) return call(token.text, {});
      return wrong("unknown field " + tamed(token.text));
    }
    at_--;  // the end is never passed
    return wrong("a value is missing");
  }

  Result<int64_t> number(const std::vector<std::string>& arguments, size_t index, int64_t most) {
    const auto parsed = index < arguments.size() ? whole_number(arguments[index]) : std::nullopt;
    if (!parsed || *parsed < 0 || *parsed > most) return wrong("a length is missing or too large");
    return *parsed;
  }

  Result<std::string> call(const std::string& name, const std::vector<std::string>& arguments) {
    const int64_t now_ms =
        std::chrono::floor<std::chrono::milliseconds>(parts_.now).time_since_epoch().count();
    if (name == "unix_time") return std::to_string(now_ms / 1000);
    if (name == "unix_time_millis") return std::to_string(now_ms);
    if (name == "uuid") return random_.uuid();
    if (name == "printf") return printf_text(arguments);
    if (name == "timestamp" && arguments.size() == 1) return timestamp(arguments[0], parts_.now);
    if (name == "random") {
      auto length = number(arguments, 0, kTemplateRandomMax);
      if (!length) return forward(length);
      return random_.base62(static_cast<size_t>(*length));
    }
    return change(name, arguments);
  }

  Result<std::string> change(const std::string& name, const std::vector<std::string>& arguments) {
    if (arguments.empty()) return wrong("unknown function " + tamed(name));
    std::string text = arguments.back();
    if (name == "truncate" || name == "truncate_sha256") {
      auto length = number(arguments, 0, kTemplateTextMax);
      if (!length || arguments.size() != 2) return wrong(name + " needs a length and a text");
      const auto most = static_cast<size_t>(*length);
      if (text.size() <= most) return text;
      if (name == "truncate") return text.substr(0, most);
      if (most <= 8) return wrong("truncate_sha256 needs a length over 8");
      return text.substr(0, most - 8) + sha256_hex(text.substr(most - 8)).substr(0, 8);
    }
    if (name == "replace") {
      if (arguments.size() != 3 || arguments[0].empty()) return wrong("replace needs two texts");
      std::string out;
      size_t from = 0;
      for (size_t at; (at = text.find(arguments[0], from)) != std::string::npos;) {
        out += text.substr(from, at - from) + arguments[1];
        from = at + arguments[0].size();
        if (out.size() > kTemplateTextMax) return wrong("the name is too long");
      }
      return out + text.substr(from);
    }
    if (arguments.size() != 1) return wrong(tamed(name) + " takes one text");
    if (name == "uppercase") {
      std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
      return text;
    }
    if (name == "lowercase") {
      text = base::to_lower(text);
      return text;
    }
    if (name == "sha256") return sha256_hex(text);
    if (name == "base64") return base::base64_encode(text);
    return wrong("unknown function " + tamed(name));
  }

  std::vector<Token> tokens_;
  const NameParts& parts_;
  base::Random& random_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

bool safe_username(std::string_view name) {
  if (name.empty() || name.size() > kUsernameBytesMax) return false;
  if (name[0] == '-' || name[0] == '.' || name[0] == '@') return false;
  return tamed(name) == name;
}

Result<std::string> expand_username(std::string_view text, const NameParts& parts,
                                    base::Random& random) {
  if (text.size() > kTemplateBytesMax) return wrong("it is too long");
  std::string name;
  size_t from = 0;
  while (true) {
    const size_t open = text.find("{{", from);
    name += text.substr(from, open - from);
    if (open == std::string_view::npos) break;
    const size_t close = text.find("}}", open);
    if (close == std::string_view::npos) return wrong("{{ without }}");
    std::string_view action = text.substr(open + 2, close - open - 2);
    if (action.starts_with("- ")) action.remove_prefix(1);
    if (action.ends_with(" -")) action.remove_suffix(1);
    auto tokens = tokenize(action);
    if (!tokens) return forward(tokens);
    auto value = Evaluator(std::move(*tokens), parts, random).run();
    if (!value) return value;
    name += *value;
    if (name.size() > kTemplateTextMax) return wrong("the name is too long");
    from = close + 2;
  }
  if (!safe_username(name)) {
    return wrong(
        "it makes a name that is empty, too long or has other characters than letters, "
        "digits and _ . @ -");
  }
  return name;
}

}  // namespace rekey::engine::database
