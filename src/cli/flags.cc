#include "cli/flags.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <charconv>

namespace rekey::cli {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<base::Duration> parse_flag_duration(std::string_view text) {
  if (!text.starts_with('-')) return base::parse_duration(text);
  Result<base::Duration> positive = base::parse_duration(text.substr(1));
  if (positive) return -*positive;
  return positive;
}

// Why `value` can't be a value of this flag; empty if it can.
std::string reject(const FlagSpec& spec, std::string_view value) {
  switch (spec.kind) {
    case FlagKind::kSwitch:
      return parse_bool(value) ? "" : "must be true or false";
    case FlagKind::kInteger:
      return parse_integer(value) ? "" : "must be a whole number";
    case FlagKind::kDuration:
      return parse_flag_duration(value) ? "" : "must be a duration like \"30s\", \"5m\" or \"1h\"";
    case FlagKind::kPairs:
      return value.contains('=') ? "" : "must be key=value";
    case FlagKind::kText:
    case FlagKind::kTexts:
      return "";
  }
  return "";
}

bool looks_like_flag(std::string_view word) {
  return word.size() > 1 && word[0] == '-' && word != "--" &&
         !(word[1] >= '0' && word[1] <= '9');  // -1 is an argument
}

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  constexpr std::array kTrue = {"1", "t", "T", "TRUE", "true", "True"};
  constexpr std::array kFalse = {"0", "f", "F", "FALSE", "false", "False"};
  if (std::ranges::find(kTrue, text) != kTrue.end()) return true;
  if (std::ranges::find(kFalse, text) != kFalse.end()) return false;
  return std::nullopt;
}

bool Flags::on(std::string_view name) const { return parse_bool(text(name)).value_or(false); }

std::string Flags::text(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() || found->second.empty() ? "" : found->second.back();
}

std::optional<int64_t> Flags::integer(std::string_view name) const {
  return parse_integer(text(name));
}

std::optional<base::Duration> Flags::duration(std::string_view name) const {
  if (!given(name)) return std::nullopt;
  Result<base::Duration> parsed = parse_flag_duration(text(name));
  if (!parsed) return std::nullopt;
  return *parsed;
}

std::vector<std::string> Flags::texts(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

std::vector<std::pair<std::string, std::string>> Flags::pairs(std::string_view name) const {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& value : texts(name)) {
    const size_t equals = value.find('=');
    pairs.emplace_back(value.substr(0, equals), value.substr(equals + 1));
  }
  return pairs;
}

class FlagReader {
 public:
  FlagReader(std::span<const FlagSpec* const> specs, bool takes_data)
      : specs_(specs), takes_data_(takes_data) {}

  Result<void> read(std::span<const std::string> words);
  Result<void> fill_in(const Setting& setting);
  CommandLine take() { return std::move(line_); }

 private:
  const FlagSpec* find(std::string_view name) const {
    const auto found = std::ranges::find_if(specs_, [&](const FlagSpec* spec) {
      return spec->name == name || (!spec->alias.empty() && spec->alias == name);
    });
    return found == specs_.end() ? nullptr : *found;
  }
  Result<void> set(const FlagSpec& spec, std::string_view value) {
    if (const std::string why = reject(spec, value); !why.empty()) {
      return fail(ErrorKind::kInvalid,
                  fmt::format("invalid value \"{}\" for flag -{}: {}", value, spec.name, why));
    }
    line_.flags.values_[std::string(spec.name)].emplace_back(value);
    return {};
  }
  // Reads the flag at words[at] and moves `at` to its last word.
  Result<void> read_flag(std::span<const std::string> words, size_t& at);

  std::span<const FlagSpec* const> specs_;
  bool takes_data_;
  CommandLine line_;
};

Result<void> FlagReader::read_flag(std::span<const std::string> words, size_t& at) {
  std::string_view word = words[at];
  word.remove_prefix(word.starts_with("--") ? 2 : 1);
  const size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  const FlagSpec* spec = find(name);
  if (spec == nullptr) {
    if (takes_data_ && !line_.arguments.empty()) {
      line_.arguments.push_back(words[at]);
      return {};
    }
    return fail(ErrorKind::kInvalid, fmt::format("flag provided but not defined: -{}", name));
  }
  if (equals != std::string_view::npos) return set(*spec, word.substr(equals + 1));
  if (spec->kind == FlagKind::kSwitch) return set(*spec, "true");
  if (at + 1 == words.size()) {
    return fail(ErrorKind::kInvalid, fmt::format("flag needs an argument: -{}", name));
  }
  return set(*spec, words[++at]);
}

Result<void> FlagReader::read(std::span<const std::string> words) {
  for (size_t at = 0; at < words.size(); at++) {
    if (words[at] == "--") {
      line_.arguments.insert(line_.arguments.end(), words.begin() + at + 1, words.end());
      return {};
    }
    if (!looks_like_flag(words[at])) {
      line_.arguments.push_back(words[at]);
    } else if (Result<void> one = read_flag(words, at); !one) {
      return one;
    }
  }
  return {};
}

Result<void> FlagReader::fill_in(const Setting& setting) {
  for (const FlagSpec* spec : specs_) {
    if (line_.flags.given(spec->name)) continue;
    if (!spec->env.empty()) {
      if (const std::optional<std::string> value = setting(spec->env)) {
        if (Result<void> one = set(*spec, *value); !one) return one;
        continue;
      }
    }
    // A switch's default is no value, so that given() says whether somebody asked.
    if (!spec->default_text.empty() && spec->kind == FlagKind::kText) {
      if (Result<void> one = set(*spec, spec->default_text); !one) return one;
    }
  }
  return {};
}

Result<CommandLine> parse_command_line(std::span<const std::string> words,
                                       std::span<const FlagSpec* const> specs, bool takes_data,
                                       const Setting& setting) {
  FlagReader reader(specs, takes_data);
  if (Result<void> read = reader.read(words); !read) return forward(read);
  if (Result<void> filled = reader.fill_in(setting); !filled) return forward(filled);
  return reader.take();
}

}  // namespace rekey::cli
