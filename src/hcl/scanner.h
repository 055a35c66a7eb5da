// The words of HCL 1: cuts a text into tokens for the reader (hcl.cc) and the formatter
// (format.cc). Knows no grammar. The text has passed check_characters(). Holds a view of the text,
// which must outlive it. One thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "hcl/hcl.h"

namespace rekey::hcl {

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

enum class TokenKind {
  kEnd,
  kComment,  // with its markers, without the line's end
  kIdent,
  kString,
  kHeredoc,
  kNumber,
  kLeftBrace,
  kRightBrace,
  kLeftBracket,
  kRightBracket,
  kComma,
  kAssign,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view raw;  // as written
  std::string value;     // of a string or heredoc: what it means
  Place place;           // where it begins
  int line_end = 0;      // where it ends: a heredoc or block comment spans lines
};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  // The next token; kEnd for ever after the last. Fails with kInvalid, "line 3: ...", for strings,
  // comments and heredocs that don't end, bad escapes, and characters that begin no token.
  base::Result<Token> next();

 private:
  base::Result<Token> comment();
  base::Result<Token> quoted();
  base::Result<Token> heredoc();
  base::Result<Token> number();
  Token ident();
  base::Result<void> escape(std::string& out);
  bool interpolation(std::string& out);
  Token finish(TokenKind kind) const;

  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool done() const { return at_ >= text_.size(); }
  void step(size_t count = 1);
  Place here() const { return {line_, static_cast<int>(at_ - line_start_) + 1}; }

  std::string_view text_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  int line_ = 1;
  size_t token_at_ = 0;  // where the token being read begins
  Place token_place_;
};

// Fails unless the text is UTF-8 without NUL: what comes after need not look at bytes.
base::Result<void> check_characters(std::string_view text);

// "line 3: expected a value, not '}'"
std::unexpected<base::Error> fail_at(Place place, std::string_view what);
// A token for a message: "'}'", "a string", "the end". Never the value of a string: it may be
// secret.
std::string describe(const Token& token);

}  // namespace rekey::hcl
