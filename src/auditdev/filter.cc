#include "auditdev/filter.h"

#include <optional>

namespace rekey::auditdev {

using base::ErrorKind;
using base::Result;
using Field = std::string_view FilterInput::*;

struct Filter::Node {
  enum class Kind { kAnd, kOr, kNot, kEquals, kHas, kEmpty };
  Kind kind;
  Field field = nullptr;
  std::string value;
  std::shared_ptr<const Node> left, right;
};

namespace {

using Node = Filter::Node;
using NodePointer = std::shared_ptr<const Node>;

enum class TokenKind { kWord, kText, kOpen, kClose, kEquals, kDiffers, kEnd };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  size_t at = 0;
};

std::unexpected<base::Error> wrong(size_t at, std::string what) {
  return base::fail(ErrorKind::kInvalid, "invalid filter: at character " + std::to_string(at + 1) +
                                             ": " + std::move(what));
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '/' || c == '.';
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Result<Token> next() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) at_++;
    Token token{TokenKind::kEnd, {}, at_};
    if (at_ == text_.size()) return token;
    const char c = text_[at_];
    const std::string_view two = text_.substr(at_, 2);
    if (c == '(' || c == ')') {
      at_++;
      token.kind = c == '(' ? TokenKind::kOpen : TokenKind::kClose;
    } else if (two == "==" || two == "!=") {
      at_ += 2;
      token.kind = c == '=' ? TokenKind::kEquals : TokenKind::kDiffers;
    } else if (c == '"' || c == '`') {
      return quoted(token, c);
    } else if (is_word(c)) {
      token.kind = TokenKind::kWord;
      while (at_ < text_.size() && is_word(text_[at_])) token.text += text_[at_++];
    } else {
      return wrong(at_, "this character has no meaning here");
    }
    return token;
  }

 private:
  // "..." with \" and \\, or `...` as it stands.
  Result<Token> quoted(Token token, char quote) {
    token.kind = TokenKind::kText;
    for (at_++; at_ < text_.size(); at_++) {
      char c = text_[at_];
      if (c == quote) {
        at_++;
        return token;
      }
      if (c == '\\' && quote == '"') {
        if (++at_ == text_.size()) break;
        c = text_[at_];
        if (c != '"' && c != '\\') return wrong(at_, "only \\\" and \\\\ are known");
      }
      token.text += c;
    }
    return wrong(token.at, "the quoted text has no end");
  }

  const std::string_view text_;
  size_t at_ = 0;
};

Field field_named(std::string_view name) {
  if (name.starts_with('/')) name.remove_prefix(1);  // the other way of writing a selector
  if (name == "mount_point") return &FilterInput::mount_point;
  if (name == "mount_type") return &FilterInput::mount_type;
  if (name == "namespace") return &FilterInput::name_space;
  if (name == "operation") return &FilterInput::operation;
  if (name == "path") return &FilterInput::path;
  return nullptr;
}

NodePointer make(Node node) { return std::make_shared<const Node>(std::move(node)); }

NodePointer negated(NodePointer node) {
  return make({.kind = Node::Kind::kNot, .left = std::move(node)});
}

// or < and < not < comparison
class Parser {
 public:
  explicit Parser(std::string_view text) : scanner_(text) {}

  Result<NodePointer> whole() {
    if (auto first = advance(); !first) return forward(first);
    auto node = either(0);
    if (!node) return node;
    if (token_.kind != TokenKind::kEnd) return wrong(token_.at, "expected `and`, `or` or the end");
    return node;
  }

 private:
  Result<void> advance() {
    auto next = scanner_.next();
    if (!next) return forward(next);
    token_ = std::move(*next);
    return {};
  }
  bool at_word(std::string_view word) const {
    return token_.kind == TokenKind::kWord && token_.text == word;
  }
  // Goes past `word` if it is next.
  Result<bool> take_word(std::string_view word) {
    if (!at_word(word)) return false;
    if (auto next = advance(); !next) return forward(next);
    return true;
  }

  Result<NodePointer> either(size_t depth) { return chain(depth, "or", Node::Kind::kOr); }

  Result<NodePointer> chain(size_t depth, std::string_view word, Node::Kind kind) {
    const auto operand = [&] {
      return kind == Node::Kind::kOr ? chain(depth, "and", Node::Kind::kAnd) : inverted(depth);
    };
    auto left = operand();
    while (left && at_word(word)) {
      if (auto next = advance(); !next) return forward(next);
      auto right = operand();
      if (!right) return right;
      left = make({.kind = kind, .left = std::move(*left), .right = std::move(*right)});
    }
    return left;
  }

  Result<NodePointer> inverted(size_t depth) {
    if (depth == kFilterDepthMax) return wrong(token_.at, "too deeply nested");
    auto inverts = take_word("not");
    if (!inverts) return forward(inverts);
    if (*inverts) {
      auto node = inverted(depth + 1);
      if (!node) return node;
      return negated(std::move(*node));
    }
    if (token_.kind != TokenKind::kOpen) return comparison();
    if (auto next = advance(); !next) return forward(next);
    auto node = either(depth + 1);
    if (!node) return node;
    if (token_.kind != TokenKind::kClose) return wrong(token_.at, "expected `)`");
    if (auto next = advance(); !next) return forward(next);
    return node;
  }

  // field == "text", field is empty, field contains "text", "text" in field
  Result<NodePointer> comparison() {
    const Token first = token_;
    if (first.kind != TokenKind::kText && first.kind != TokenKind::kWord) {
      return wrong(first.at, "expected a field or a quoted text");
    }
    if (auto next = advance(); !next) return forward(next);
    if (first.kind == TokenKind::kText || field_named(first.text) == nullptr) {
      if (first.kind == TokenKind::kWord && !at_word("in") && !at_word("not")) {
        return wrong(first.at,
                     "there is no field \"" + first.text +
                         "\"; there are mount_point, mount_type, namespace, operation and path");
      }
      return contained(first);
    }
    const Field field = field_named(first.text);
    if (token_.kind == TokenKind::kEquals || token_.kind == TokenKind::kDiffers) {
      const bool differs = token_.kind == TokenKind::kDiffers;
      return with_value(field, Node::Kind::kEquals, differs);
    }
    if (at_word("is")) return emptiness(field);
    auto inverts = take_word("not");
    if (!inverts) return forward(inverts);
    if (at_word("matches")) {
      return wrong(token_.at, "matches is not supported: use ==, !=, in and contains");
    }
    if (!at_word("contains")) {
      return wrong(token_.at, "expected ==, !=, contains, not contains, is empty or is not empty");
    }
    return with_value(field, Node::Kind::kHas, *inverts);
  }

  // The operator is next, then a value.
  Result<NodePointer> with_value(Field field, Node::Kind kind, bool inverts) {
    if (auto next = advance(); !next) return forward(next);
    if (token_.kind != TokenKind::kText && token_.kind != TokenKind::kWord) {
      return wrong(token_.at, "expected a text in quotes");
    }
    auto node = make({.kind = kind, .field = field, .value = token_.text});
    if (auto next = advance(); !next) return forward(next);
    return inverts ? negated(std::move(node)) : std::move(node);
  }

  Result<NodePointer> emptiness(Field field) {
    if (auto next = advance(); !next) return forward(next);
    auto inverts = take_word("not");
    if (!inverts) return forward(inverts);
    if (!at_word("empty")) return wrong(token_.at, "expected `empty`");
    if (auto next = advance(); !next) return forward(next);
    auto node = make({.kind = Node::Kind::kEmpty, .field = field});
    return *inverts ? negated(std::move(node)) : std::move(node);
  }

  Result<NodePointer> contained(const Token& value) {
    auto inverts = take_word("not");
    if (!inverts) return forward(inverts);
    if (!at_word("in")) return wrong(token_.at, "expected `in` or `not in`");
    if (auto next = advance(); !next) return forward(next);
    const Field field = token_.kind == TokenKind::kWord ? field_named(token_.text) : nullptr;
    if (field == nullptr) return wrong(token_.at, "expected a field");
    if (auto next = advance(); !next) return forward(next);
    auto node = make({.kind = Node::Kind::kHas, .field = field, .value = value.text});
    return *inverts ? negated(std::move(node)) : std::move(node);
  }

  Scanner scanner_;
  Token token_;
};

bool decides(const Node& node, const FilterInput& input) {
  switch (node.kind) {
    case Node::Kind::kAnd:
      return decides(*node.left, input) && decides(*node.right, input);
    case Node::Kind::kOr:
      return decides(*node.left, input) || decides(*node.right, input);
    case Node::Kind::kNot:
      return !decides(*node.left, input);
    case Node::Kind::kEquals:
      return input.*node.field == node.value;
    case Node::Kind::kHas:
      return (input.*node.field).find(node.value) != std::string_view::npos;
    case Node::Kind::kEmpty:
      return (input.*node.field).empty();
  }
  return true;
}

}  // namespace

Result<Filter> Filter::parse(std::string_view text) {
  Filter filter;
  if (text.find_first_not_of(" \t\r\n") == text.npos) return filter;
  if (text.size() > kFilterBytesMax) {
    return base::fail(ErrorKind::kInvalid,
                      "invalid filter: longer than " + std::to_string(kFilterBytesMax) + " bytes");
  }
  auto root = Parser(text).whole();
  if (!root) return forward(root);
  filter.root_ = std::move(*root);
  return filter;
}

bool Filter::takes(const FilterInput& input) const {
  return root_ == nullptr || decides(*root_, input);
}

}  // namespace rekey::auditdev
