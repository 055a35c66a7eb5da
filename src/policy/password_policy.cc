#include "policy/password_policy.h"

#include <algorithm>
#include <charconv>

#include "hcl/hcl.h"

namespace rekey::policy {
namespace {

using base::ErrorKind;
using base::Result;

std::unexpected<base::Error> invalid(const std::string& what) {
  return base::fail(ErrorKind::kInvalid, "invalid password policy: " + what);
}

// The characters of UTF-8 text; fails on what isn't UTF-8 or can't be printed.
Result<std::u32string> characters(std::string_view text) {
  std::u32string out;
  for (size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at]);
    const size_t bytes = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (bytes > text.size() - at || (first >= 0x80 && first < 0xc2) || first > 0xf4) {
      return invalid("a charset is not valid UTF-8");
    }
    char32_t code = bytes == 1 ? first : first & (0xffu >> (bytes + 1));
    for (size_t i = 1; i < bytes; i++) {
      const auto next = static_cast<unsigned char>(text[at + i]);
      if ((next & 0xc0) != 0x80) return invalid("a charset is not valid UTF-8");
      code = code << 6 | (next & 0x3f);
    }
    constexpr char32_t kShortest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kShortest[bytes] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      return invalid("a charset is not valid UTF-8");
    }
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
      return invalid("a charset holds a character that can't be printed");
    }
    out += code;
    at += bytes;
  }
  return out;
}

void append_utf8(std::string& out, char32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr unsigned kLead[] = {0, 0xc0, 0xe0, 0xf0};
  out += static_cast<char>(kLead[more] | code >> (6 * more));
  for (int i = more - 1; i >= 0; i--) out += static_cast<char>(0x80 | (code >> (6 * i) & 0x3f));
}

std::u32string sorted_set(std::u32string characters) {
  std::ranges::sort(characters);
  const auto [first, last] = std::ranges::unique(characters);
  characters.erase(first, last);
  return characters;
}

Result<int64_t> whole_number(const hcl::Item& item) {
  std::string_view text;
  if (const hcl::Number* number = item.value.as_number()) text = number->text;
  if (const std::string* quoted = item.value.as_string()) text = *quoted;
  int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size()) {
    return invalid(item.key() + " on line " + std::to_string(item.place.line) +
                   " must be a whole number");
  }
  return value;
}

struct CharsetRule {
  std::u32string charset;
  int64_t chars_min = 0;
};

Result<CharsetRule> read_rule(const hcl::Item& block) {
  const std::string line = " on line " + std::to_string(block.place.line);
  if (block.keys.size() != 2 || block.value.as_object() == nullptr) {
    return invalid("a rule" + line + " must look like rule \"charset\" { ... }");
  }
  if (block.keys[1] != "charset") return invalid("unrecognized rule type " + block.keys[1]);
  CharsetRule rule;
  for (const hcl::Item& member : block.value.as_object()->items) {
    if (member.keys.size() == 1 && member.key() == "charset" && member.value.as_string()) {
      auto charset = characters(*member.value.as_string());
      if (!charset) return forward(charset);
      rule.charset = sorted_set(std::move(*charset));
    } else if (member.keys.size() == 1 && member.key() == "min-chars") {
      auto number = whole_number(member);
      if (!number) return forward(number);
      rule.chars_min = *number;
    } else {
      return invalid("a charset rule has no \"" + member.key() + "\"" + line +
                     ": it has charset, a string, and min-chars");
    }
  }
  if (rule.charset.empty()) return invalid("no charset specified" + line);
  if (rule.chars_min < 0) return invalid("min-chars must not be negative");
  return rule;
}

// A number below `end`, each as likely as the others: bytes that would make some likelier are
// drawn again.
size_t draw_below(size_t end, base::Random& random) {
  constexpr size_t kByteValues = 256;
  const size_t usable = kByteValues - kByteValues % end;
  while (true) {
    unsigned char byte = 0;
    random.fill({&byte, 1});
    if (byte < usable) return byte % end;
  }
}

}  // namespace

Result<PasswordPolicy> PasswordPolicy::parse(std::string_view text) {
  const auto tree = hcl::parse(text, {.bytes_max = kPasswordPolicyBytesMax});
  if (!tree) return invalid(tree.error().message());
  PasswordPolicy policy;
  for (const hcl::Item& item : tree->items) {
    if (item.key() == "rule") continue;
    if (item.keys.size() != 1 || item.key() != "length") {
      return invalid("unknown key \"" + item.key() + "\" on line " +
                     std::to_string(item.place.line));
    }
    auto length = whole_number(item);
    if (!length) return forward(length);
    policy.length_ = *length;
  }
  for (const hcl::Item& item : hcl::labelled(*tree, "rule")) {
    if (item.key() != "rule") continue;
    auto rule = read_rule(item);
    if (!rule) return forward(rule);
    policy.alphabet_ += rule->charset;
    policy.rules_.push_back({std::move(rule->charset), rule->chars_min});
    if (policy.rules_.size() > kPasswordRulesMax) return invalid("too many rules");
  }
  policy.alphabet_ = sorted_set(std::move(policy.alphabet_));
  auto checked = policy.check();
  if (!checked) return forward(checked);
  return policy;
}

Result<void> PasswordPolicy::check() const {
  if (alphabet_.empty()) return invalid("no charset specified");
  if (alphabet_.size() > kPasswordCharsetMax) {
    return invalid("the charsets together have more than " + std::to_string(kPasswordCharsetMax) +
                   " characters");
  }
  if (length_ <= 0) return invalid("length must be > 0");
  if (length_ < kPasswordCharsMin || length_ > kPasswordCharsMax) {
    return invalid("passwords must be between " + std::to_string(kPasswordCharsMin) + " and " +
                   std::to_string(kPasswordCharsMax) + " characters long");
  }
  for (const Rule& rule : rules_) {
    if (rule.chars_min > length_) {
      return invalid("a rule asks for at least " + std::to_string(rule.chars_min) +
                     " characters, more than the length");
    }
  }
  return {};
}

bool PasswordPolicy::fulfilled(std::u32string_view candidate) const {
  return std::ranges::all_of(rules_, [&](const Rule& rule) {
    return std::ranges::count_if(candidate, [&](char32_t c) {
             return std::ranges::binary_search(rule.charset, c);
           }) >= rule.chars_min;
  });
}

Result<std::string> PasswordPolicy::generate(base::Random& random) const {
  std::u32string candidate(static_cast<size_t>(length_), U' ');
  for (int i = 0; i < kPasswordCandidatesMax; i++) {
    for (char32_t& c : candidate) c = alphabet_[draw_below(alphabet_.size(), random)];
    if (!fulfilled(candidate)) continue;
    std::string password;
    for (char32_t c : candidate) append_utf8(password, c);
    std::ranges::fill(candidate, U' ');
    return password;
  }
  return invalid("its rules are too narrow: of " + std::to_string(kPasswordCandidatesMax) +
                 " passwords none fulfilled them");
}

bool PasswordPolicy::fits(std::string_view password) const {
  const auto candidate = characters(password);
  return candidate && candidate->size() == static_cast<size_t>(length_) &&
         std::ranges::all_of(
             *candidate, [&](char32_t c) { return std::ranges::binary_search(alphabet_, c); }) &&
         fulfilled(*candidate);
}

}  // namespace rekey::policy
