#include "hcl/format.h"

#include <algorithm>
#include <vector>

#include "hcl/scanner.h"

namespace rekey::hcl {

using base::ErrorKind;
using base::fail;
using base::forward;
using base::Result;

namespace {

struct Comment {
  std::string_view text;
  int line = 0;
  int line_end = 0;
};

// An item of a block, or an element of a list (then without head). What is inside a block or a list
// is in `inner`; the comments before its closing bracket are in `last`.
struct Piece {
  enum class Shape { kScalar, kBlock, kList } shape = Shape::kScalar;
  std::vector<Comment> lead;  // on lines of their own before it, or within its head
  std::string head;           // keys as written: path "a"
  bool assigned = false;      // head = value
  std::string scalar;         // as written
  std::vector<Piece> inner;
  std::vector<Comment> last;
  std::vector<Comment> trailing;  // on the line where it ends
  int line = 0;
  int line_end = 0;
  bool spread = false;  // a list that was written over several lines

  int first_line() const { return lead.empty() ? line : std::min(line, lead.front().line); }
};

// Reads tokens, which are known to be well-formed, into pieces.
class Layout {
 public:
  explicit Layout(const std::vector<Token>& tokens) : tokens_(tokens) {}

  std::vector<Piece> items(TokenKind end, std::vector<Comment>& last) {
    std::vector<Piece> out;
    while (true) {
      std::vector<Comment> lead = comments();
      if (at().kind == end) {
        last = std::move(lead);
        return out;
      }
      out.push_back(item(std::move(lead)));
      if (at().kind == TokenKind::kComma) next_++;
      take_trailing(out.back());
    }
  }

 private:
  const Token& at() const { return tokens_[next_]; }

  std::vector<Comment> comments() {
    std::vector<Comment> out;
    for (; at().kind == TokenKind::kComment; ++next_) out.push_back(comment(at()));
    return out;
  }
  static Comment comment(const Token& token) {
    const size_t end = token.raw.find_last_not_of(" \t\r") + 1;
    return {token.raw.substr(0, end), token.place.line, token.line_end};
  }
  void take_comments(std::vector<Comment>& into) {
    for (Comment& one : comments()) into.push_back(one);
  }
  void take_trailing(Piece& piece) {
    for (; at().kind == TokenKind::kComment && at().place.line == piece.line_end; ++next_) {
      piece.trailing.push_back(comment(at()));
      piece.line_end = at().line_end;
    }
  }

  Piece item(std::vector<Comment> lead) {
    Piece piece;
    piece.lead = std::move(lead);
    piece.line = at().place.line;
    while (at().kind == TokenKind::kIdent || at().kind == TokenKind::kString) {
      piece.head += (piece.head.empty() ? "" : " ") + std::string(at().raw);
      next_++;
      take_comments(piece.lead);
    }
    if (at().kind == TokenKind::kAssign) {
      piece.assigned = true;
      next_++;
      take_comments(piece.lead);
    }
    value(piece);
    return piece;
  }

  void value(Piece& piece) {
    const Token& token = tokens_[next_++];
    piece.line_end = token.line_end;
    if (token.kind == TokenKind::kLeftBrace) {
      piece.shape = Piece::Shape::kBlock;
      piece.inner = items(TokenKind::kRightBrace, piece.last);
      piece.line_end = tokens_[next_++].line_end;
    } else if (token.kind == TokenKind::kLeftBracket) {
      piece.shape = Piece::Shape::kList;
      elements(piece);
      piece.line_end = at().line_end;
      piece.spread |= piece.line_end != token.place.line;
      next_++;
    } else {
      piece.scalar = token.raw;
    }
  }

  void elements(Piece& list) {
    std::vector<Comment> lead;
    while (true) {
      take_comments(lead);
      if (at().kind == TokenKind::kRightBracket) {
        list.last = std::move(lead);
        return;
      }
      Piece element;
      element.lead = std::move(lead);
      element.line = at().place.line;
      value(element);
      take_trailing(element);
      lead = comments();  // on other lines, before the comma: they go to what follows
      if (at().kind == TokenKind::kComma) next_++;
      if (lead.empty()) take_trailing(element);
      list.inner.push_back(std::move(element));
    }
  }

  const std::vector<Token>& tokens_;
  size_t next_ = 0;
};

class Printer {
 public:
  std::string print(const std::vector<Piece>& items, const std::vector<Comment>& last) {
    body(items, last, 0);
    return std::move(out_);
  }

 private:
  static bool has_comment(const Piece& piece) {
    return !piece.lead.empty() || !piece.trailing.empty() || !piece.last.empty();
  }
  static bool is_heredoc(const Piece& piece) { return piece.scalar.starts_with("<<"); }

  // Does it take more than one line when printed?
  static bool spans_lines(const Piece& piece) {
    switch (piece.shape) {
      case Piece::Shape::kScalar:
        return piece.scalar.find('\n') != std::string::npos;
      case Piece::Shape::kBlock:
        return !piece.inner.empty() || !piece.last.empty();
      case Piece::Shape::kList:
        break;
    }
    if (piece.inner.empty() && piece.last.empty()) return false;
    return piece.spread || !piece.last.empty() ||
           std::any_of(piece.inner.begin(), piece.inner.end(), [](const Piece& element) {
             return has_comment(element) || spans_lines(element);
           });
  }

  void indent(int depth) { out_.append(static_cast<size_t>(depth) * 2, ' '); }

  void comment_lines(const std::vector<Comment>& comments, int depth, int next_line) {
    for (size_t i = 0; i < comments.size(); ++i) {
      indent(depth);
      out_ += comments[i].text;
      out_ += '\n';
      const int following = i + 1 < comments.size() ? comments[i + 1].line : next_line;
      if (following > comments[i].line_end + 1) out_ += '\n';
    }
  }

  // The comments behind a value; one that ends its line can only be the last.
  void trailing(const std::vector<Comment>& comments) {
    for (const Comment& comment : comments) (out_ += ' ') += comment.text;
  }

  // Does a blank line go between these two items?
  static bool blank_between(const Piece& before, const Piece& after) {
    return !after.lead.empty() || spans_lines(before) || spans_lines(after) ||
           after.first_line() > before.line_end + 1;
  }

  // The longest head among the neighbours that `items[at]` is aligned with; they end before `end`.
  static size_t aligned_width(const std::vector<Piece>& items, size_t at, size_t& end) {
    size_t width = items[at].head.size();
    for (end = at + 1; end < items.size(); ++end) {
      if (blank_between(items[end - 1], items[end]) || !items[end].assigned) break;
      width = std::max(width, items[end].head.size());
    }
    return width;
  }

  void body(const std::vector<Piece>& items, const std::vector<Comment>& last, int depth) {
    size_t width = 0, group_end = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      const Piece& item = items[i];
      if (i > 0 && blank_between(items[i - 1], item)) out_ += '\n';
      if (i >= group_end) width = aligned_width(items, i, group_end);
      comment_lines(item.lead, depth,
                    item.lead.empty() || item.lead.back().line_end >= item.line ? 0 : item.line);
      indent(depth);
      out_ += item.head;
      if (item.assigned) {
        if (!spans_lines(item)) out_.append(width - item.head.size(), ' ');
        out_ += " =";
      }
      out_ += ' ';
      value(item, depth);
      after(item, depth);
    }
    if (!items.empty() && !last.empty()) out_ += '\n';
    comment_lines(last, depth, 0);
  }

  // What stands behind an item on its line. Nothing may, behind a heredoc's mark.
  void after(const Piece& item, int depth) {
    if (is_heredoc(item)) {
      out_ += '\n';
      comment_lines(item.trailing, depth, 0);
      return;
    }
    trailing(item.trailing);
    out_ += '\n';
  }

  void value(const Piece& piece, int depth) {
    switch (piece.shape) {
      case Piece::Shape::kScalar:
        out_ += piece.scalar;
        return;
      case Piece::Shape::kBlock:
        if (piece.inner.empty() && piece.last.empty()) {
          out_ += "{}";
          return;
        }
        out_ += "{\n";
        body(piece.inner, piece.last, depth + 1);
        indent(depth);
        out_ += '}';
        return;
      case Piece::Shape::kList:
        list(piece, depth);
        return;
    }
  }

  void list(const Piece& piece, int depth) {
    if (!spans_lines(piece)) {
      out_ += '[';
      for (size_t i = 0; i < piece.inner.size(); ++i) {
        if (i > 0) out_ += ", ";
        value(piece.inner[i], depth);
      }
      out_ += ']';
      return;
    }
    out_ += "[\n";
    for (const Piece& element : piece.inner) {
      comment_lines(element.lead, depth + 1, 0);
      indent(depth + 1);
      value(element, depth + 1);
      // The comma can't follow a heredoc's mark on its line.
      if (is_heredoc(element)) out_ += '\n', indent(depth + 1);
      out_ += ',';
      trailing(element.trailing);
      out_ += '\n';
    }
    comment_lines(piece.last, depth + 1, 0);
    indent(depth);
    out_ += ']';
  }

  std::string out_;
};

// The same values under the same keys in the same order, wherever they stand.
bool same(const Object& a, const Object& b);
bool same(const Value& a, const Value& b) {
  if (a.data.index() != b.data.index()) return false;
  if (a.as_object()) return same(*a.as_object(), *b.as_object());
  if (a.as_bool()) return *a.as_bool() == *b.as_bool();
  if (a.as_number()) return *a.as_number() == *b.as_number();
  if (a.as_string()) return *a.as_string() == *b.as_string();
  return std::equal(a.as_list()->begin(), a.as_list()->end(), b.as_list()->begin(),
                    b.as_list()->end(),
                    [](const Value& one, const Value& other) { return same(one, other); });
}
bool same(const Object& a, const Object& b) {
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(),
                    [](const Item& one, const Item& other) {
                      return one.keys == other.keys && same(one.value, other.value);
                    });
}

Result<std::vector<Token>> scan(std::string_view text) {
  Scanner scanner(text);
  std::vector<Token> tokens;
  do {
    auto token = scanner.next();
    if (!token) return forward(token);
    tokens.push_back(std::move(*token));
  } while (tokens.back().kind != TokenKind::kEnd);
  return tokens;
}

std::string format_once(const std::vector<Token>& tokens) {
  std::vector<Comment> last;
  const std::vector<Piece> items = Layout(tokens).items(TokenKind::kEnd, last);
  return Printer().print(items, last);
}

}  // namespace

Result<std::string> format(std::string_view text) {
  if (looks_like_json(text)) {
    return fail(ErrorKind::kInvalid, "line 1: JSON isn't formatted here, only HCL");
  }
  auto meant = parse(text);
  if (!meant) return forward(meant);
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  auto tokens = scan(text);
  if (!tokens) return forward(tokens);
  std::string out = format_once(*tokens);
  // Nobody's policy may change its meaning here, whatever odd form it has.
  const auto printed = parse(out);
  if (!printed || !same(*meant, *printed)) {
    return fail(ErrorKind::kInternal, "the text has a form that can't be formatted");
  }
  return out;
}

}  // namespace rekey::hcl
