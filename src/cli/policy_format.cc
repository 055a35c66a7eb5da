#include "cli/policy_format.h"

#include <vector>

#include "hcl/hcl.h"

namespace rekey::cli {

using base::Result;

namespace {

enum class Kind { kWord, kText, kHeredoc, kComment, kSign, kLineBreak };

struct Piece {
  Kind kind;
  std::string_view text;
};

// Cuts HCL that hcl::parse has accepted; nothing is left out but blanks.
class Cutter {
 public:
  explicit Cutter(std::string_view text) : rest_(text) {}

  std::vector<Piece> cut() {
    std::vector<Piece> pieces;
    while (true) {
      skip_blanks();
      if (rest_.empty()) return pieces;
      const Kind kind = kind_here();
      pieces.push_back({kind, take(length_here(kind))});
    }
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\r')) {
      rest_.remove_prefix(1);
    }
  }
  std::string_view take(size_t count) {
    const std::string_view piece = rest_.substr(0, count);
    rest_.remove_prefix(piece.size());
    return piece;
  }
  Kind kind_here() const {
    const char c = rest_[0];
    if (c == '\n') return Kind::kLineBreak;
    if (c == '"') return Kind::kText;
    if (c == '#' || rest_.starts_with("//") || rest_.starts_with("/*")) return Kind::kComment;
    if (rest_.starts_with("<<")) return Kind::kHeredoc;
    if (std::string_view("{}[]=,").contains(c)) return Kind::kSign;
    return Kind::kWord;
  }
  size_t length_here(Kind kind) const {
    switch (kind) {
      case Kind::kText:
        for (size_t i = 1; i < rest_.size(); i++) {
          if (rest_[i] == '\\') {
            i++;
          } else if (rest_[i] == '"') {
            return i + 1;
          }
        }
        return rest_.size();
      case Kind::kHeredoc:
        return heredoc_length();
      case Kind::kComment:
        return rest_.starts_with("/*") ? rest_.find("*/") + 2 : rest_.find('\n');
      case Kind::kWord: {
        const size_t end = rest_.find_first_of(" \t\r\n\"#{}[]=,");
        return end == 0 ? 1 : end;
      }
      default:
        return 1;
    }
  }
  // From "<<EOF" to the line that holds nothing but EOF.
  size_t heredoc_length() const {
    const size_t line = rest_.find('\n');
    std::string_view mark = rest_.substr(2, line - 2);
    if (mark.starts_with('-')) mark.remove_prefix(1);
    while (mark.ends_with('\r') || mark.ends_with(' ')) mark.remove_suffix(1);
    for (size_t at = line; at != std::string_view::npos;) {
      const size_t end = rest_.find('\n', at + 1);
      std::string_view text = rest_.substr(at + 1, end == rest_.npos ? end : end - at - 1);
      while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
      if (text.starts_with(mark) &&
          text.substr(mark.size()).find_first_not_of(" \r\t") == std::string_view::npos) {
        return end == rest_.npos ? rest_.size() : end;
      }
      at = end;
    }
    return rest_.size();
  }

  std::string_view rest_;
};

class Printer {
 public:
  std::string print(const std::vector<Piece>& pieces) {
    for (size_t i = 0; i < pieces.size(); i++) add(pieces, i);
    while (out_.ends_with("\n\n")) out_.pop_back();
    if (!out_.empty() && !out_.ends_with('\n')) out_ += '\n';
    return std::move(out_);
  }

 private:
  bool at_line_start() const { return out_.empty() || out_.ends_with('\n'); }

  void add(const std::vector<Piece>& pieces, size_t i) {
    const Piece& piece = pieces[i];
    if (piece.kind == Kind::kLineBreak) {
      // One empty line at most, and none after an opening brace.
      if (out_.empty() || out_.ends_with("\n\n") || out_.ends_with("{\n")) return;
      out_ += '\n';
      return;
    }
    const bool closes = piece.kind == Kind::kSign && (piece.text == "}" || piece.text == "]");
    const bool opens = piece.kind == Kind::kSign && (piece.text == "{" || piece.text == "[");
    if (closes && depth_ > 0) depth_--;
    if (at_line_start()) {
      if (closes && out_.ends_with("\n\n")) out_.pop_back();
      out_.append(2 * depth_, ' ');
    } else if (wants_blank(piece)) {
      out_ += ' ';
    }
    out_ += piece.text;
    if (opens) depth_++;
    last_ = piece.text;
  }

  bool wants_blank(const Piece& piece) const {
    if (piece.text == "," && piece.kind == Kind::kSign) return false;
    if (last_ == "[" || (piece.kind == Kind::kSign && piece.text == "]")) return false;
    return !(last_ == "{" && piece.text == "}");
  }

  std::string out_;
  std::string_view last_;
  size_t depth_ = 0;
};

}  // namespace

Result<std::string> format_policy(std::string_view text) {
  Result<hcl::Object> parsed = hcl::parse(text);
  if (!parsed) return forward(parsed);
  if (hcl::looks_like_json(text)) return std::string(text);
  std::string formatted = Printer().print(Cutter(text).cut());
  return formatted;
}

}  // namespace rekey::cli
