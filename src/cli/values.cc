#include "cli/values.h"

#include <fmt/format.h>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

namespace rekey::cli {

using base::ErrorKind;
using base::fail;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;

namespace {

class ValueReader {
 public:
  explicit ValueReader(const std::function<std::string()>& read_input) : read_input_(read_input) {}

  Result<void> add(const std::string& word);
  JsonObject take() { return std::move(values_); }

 private:
  Result<std::string> input() {
    if (input_was_read_) return fail(ErrorKind::kInvalid, "standard input was read already");
    input_was_read_ = true;
    return read_input_();
  }
  Result<std::string> value_of(std::string_view text);
  Result<void> add_object(const std::string& text);

  const std::function<std::string()>& read_input_;
  bool input_was_read_ = false;
  JsonObject values_;
};

Result<std::string> ValueReader::value_of(std::string_view text) {
  if (text == "-") return input();
  if (text.starts_with('@')) {
    Result<std::string> content = read_file(std::string(text.substr(1)));
    if (!content) {
      return fail(ErrorKind::kInvalid, "error reading file: " + content.error().message());
    }
    return content;
  }
  if (text.starts_with("\\@")) text.remove_prefix(1);
  return std::string(text);
}

Result<void> ValueReader::add_object(const std::string& text) {
  Result<Json> parsed = Json::parse(text);
  if (!parsed) return forward(parsed);
  const JsonObject* object = parsed->as_object();
  if (object == nullptr) return fail(ErrorKind::kInvalid, "must be a JSON object");
  for (const auto& [name, value] : *object) values_.set(name, value);
  return {};
}

Result<void> ValueReader::add(const std::string& word) {
  if (word == "-" || word.starts_with('@')) {
    Result<std::string> text = word == "-" ? input() : read_file(word.substr(1));
    if (!text) return forward(text);
    return add_object(*text);
  }
  const size_t equals = word.find('=');
  if (equals == std::string::npos) {
    return fail(ErrorKind::kInvalid, "format must be key=value");
  }
  Result<std::string> value = value_of(std::string_view(word).substr(equals + 1));
  if (!value) return forward(value);
  const std::string key = word.substr(0, equals);
  Json* before = values_.find(key);
  if (before == nullptr) {
    values_.set(key, Json(std::move(*value)));
  } else if (JsonArray* list = before->as_array()) {
    list->emplace_back(std::move(*value));
  } else {
    JsonArray both = {std::move(*before), Json(std::move(*value))};
    *before = Json(std::move(both));
  }
  return {};
}

}  // namespace

Result<JsonObject> parse_values(std::span<const std::string> words,
                                const std::function<std::string()>& read_input) {
  ValueReader reader(read_input);
  for (const std::string& word : words) {
    if (Result<void> added = reader.add(word); !added) {
      return fail(ErrorKind::kInvalid,
                  fmt::format("invalid key/value pair \"{}\": {}", word, added.error().message()));
    }
  }
  return reader.take();
}

Result<std::string> read_file(const std::string& path) {
  const auto why = [&](int error) {
    std::string reason = std::generic_category().message(error);
    if (!reason.empty() && reason[0] >= 'A' && reason[0] <= 'Z') reason[0] |= 0x20;
    return fail(ErrorKind::kInvalid, fmt::format("open {}: {}", path, reason));
  };
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"), close);
  if (file == nullptr) return why(errno);
  std::string content;
  char buffer[1 << 16];
  size_t count = 0;
  while ((count = std::fread(buffer, 1, sizeof buffer, file.get())) > 0) {
    content.append(buffer, count);
    if (content.size() > kValueFileBytesMax) {
      return fail(ErrorKind::kTooLarge, path + " is over 64 MiB");
    }
  }
  if (std::ferror(file.get()) != 0) return why(errno);
  return content;
}

base::Json comma_list(std::string_view text) {
  base::JsonArray out;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    if (comma != 0) out.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
  }
  return base::Json(std::move(out));
}

}  // namespace rekey::cli
