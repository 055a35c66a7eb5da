#include "audit/hashed_json.h"

namespace rekey::audit {

using base::Json;
using base::JsonWriter;

namespace {

class TreeWalk {
 public:
  TreeWalk(const Hasher& hasher, std::string& out) : hasher_(hasher), json_(out) {}

  void value(const Json& value, size_t depth) {
    const bool container = (value.is_object() && !value.as_object()->empty()) ||
                           (value.is_array() && !value.as_array()->empty());
    if (!container || depth == kHashedDepthMax) {
      --leaves_left_;
      return leaf(value);
    }
    if (const base::JsonObject* object = value.as_object()) {
      json_.begin_object();
      for (const auto& [name, member] : *object) {
        if (stop()) break;
        json_.dynamic_key(name);
        this->value(member, depth + 1);
      }
      return json_.end_object();
    }
    json_.begin_array();
    for (const Json& item : *value.as_array()) {
      if (stop()) break;
      this->value(item, depth + 1);
    }
    json_.end_array();
  }
  bool cut() const { return cut_; }

 private:
  bool stop() {
    if (leaves_left_ == 0) cut_ = true;
    return leaves_left_ == 0;
  }

  void leaf(const Json& value) {
    if (value.is_null()) return json_.null();
    if (const std::string* text = value.as_string()) return hashed(*text);
    if (const bool* flag = value.as_bool()) return hashed(*flag ? "true" : "false");
    if (const base::JsonNumber* number = value.as_number()) return hashed(number->text);
    hashed(value.dump());
  }

  void hashed(std::string_view value) {
    json_.plain_text([&](std::string& out) { hasher_.append(value, out); });
  }

  const Hasher& hasher_;
  JsonWriter json_;
  size_t leaves_left_ = kHashedLeavesMax;
  bool cut_ = false;
};

class TextWalk {
 public:
  TextWalk(std::string_view text, const Hasher& hasher, std::string& out)
      : text_(text), hasher_(hasher), out_(out) {}

  // False as soon as the text makes no sense; `out` is then half-written.
  bool value(size_t depth) {
    const char first = peek();
    const bool container = (first == '{' || first == '[') && at_ + 1 < text_.size() &&
                           text_[at_ + 1] != '}' && text_[at_ + 1] != ']';
    if (container && depth < kHashedDepthMax) return members(depth);
    --leaves_left_;
    if (first == '"') return string_leaf();
    const size_t start = at_;
    if (first == '{' || first == '[') {
      if (!skip_container()) return false;
    } else {
      while (at_ < text_.size() && std::string_view(",]}").find(text_[at_]) == text_.npos) ++at_;
    }
    const std::string_view raw = text_.substr(start, at_ - start);
    if (raw.empty()) return false;
    if (raw == "null")
      out_ += raw;
    else
      hashed(raw);
    return true;
  }
  bool done() const { return at_ == text_.size() || cut_; }
  bool cut() const { return cut_; }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  // An object or an array that isn't empty.
  bool members(size_t depth) {
    const char open = text_[at_++];
    const char close = open == '{' ? '}' : ']';
    out_ += open;
    for (bool first = true;; first = false) {
      if (leaves_left_ == 0) cut_ = true;
      if (cut_) break;  // what follows is not looked at
      if (!first) out_ += ',';
      if (open == '{' && !key()) return false;
      if (!value(depth + 1)) return false;
      if (cut_) break;
      const char next = peek();
      ++at_;
      if (next == close) break;
      if (next != ',') return false;
    }
    out_ += close;
    return true;
  }

  bool key() {
    const size_t start = at_;
    if (!skip_string() || peek() != ':') return false;
    out_ += text_.substr(start, at_ - start);
    out_ += ':';
    ++at_;
    return true;
  }

  bool string_leaf() {
    const size_t start = at_;
    if (!skip_string()) return false;
    const std::string_view quoted = text_.substr(start, at_ - start);
    if (quoted.find('\\') == quoted.npos) {
      hashed(quoted.substr(1, quoted.size() - 2));
      return true;
    }
    const auto unescaped = Json::parse(quoted);
    if (!unescaped || !unescaped->is_string()) return false;
    hashed(*unescaped->as_string());
    return true;
  }

  bool skip_string() {
    if (peek() != '"') return false;
    for (size_t quote = text_.find('"', at_ + 1); quote != text_.npos;
         quote = text_.find('"', quote + 1)) {
      // A quote is the end unless an odd number of backslashes stands before it.
      size_t backslashes = 0;
      while (text_[quote - 1 - backslashes] == '\\') ++backslashes;
      if (backslashes % 2 != 0) continue;
      at_ = quote + 1;
      return true;
    }
    return false;
  }

  bool skip_container() {
    size_t open = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!skip_string()) return false;
        continue;
      }
      ++at_;
      if (c == '{' || c == '[') ++open;
      if ((c == '}' || c == ']') && --open == 0) return true;
    }
    return false;
  }

  void hashed(std::string_view value) {
    out_ += '"';
    hasher_.append(value, out_);
    out_ += '"';
  }

  const std::string_view text_;
  const Hasher& hasher_;
  std::string& out_;
  size_t at_ = 0;
  size_t leaves_left_ = kHashedLeavesMax;
  bool cut_ = false;
};

}  // namespace

bool append_hashed(const Json& json, const Hasher& hasher, std::string& out) {
  TreeWalk walk(hasher, out);
  walk.value(json, 0);
  return walk.cut();
}

TextResult append_hashed_text(std::string_view text, const Hasher& hasher, std::string& out) {
  const size_t start = out.size();
  TextWalk walk(text, hasher, out);
  if (!walk.value(0) || !walk.done()) {
    out.resize(start);
    return TextResult::kNotJson;
  }
  return walk.cut() ? TextResult::kCut : TextResult::kWhole;
}

}  // namespace rekey::audit
