#include "base/json.h"

#include "base/secret_bytes.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

// libstdc++ 12 uses a deprecated function of its own in std::stable_sort.
#pragma clang diagnostic ignored "-Wdeprecated-declarations"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace rekey::base {

// Receives Boost.JSON's events and builds the tree. Boost checks the grammar and UTF-8; the limits
// on depth are its, the limit on members is ours.
class JsonTreeBuilder {
 public:
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = static_cast<size_t>(-1);
  static constexpr size_t max_string_size = static_cast<size_t>(-1);
  using error_code = boost::json::error_code;
  using string_view = boost::json::string_view;

  explicit JsonTreeBuilder(size_t members_max) : members_left_(members_max) {}
  Json take() { return std::move(root_); }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return open(JsonObject{}); }
  bool on_array_begin(error_code&) { return open(JsonArray{}); }
  bool on_object_end(size_t, error_code&) {
    sort_members(*open_.back().value.as_object());
    return close();
  }
  bool on_array_end(size_t, error_code&) { return close(); }
  bool on_key_part(string_view part, size_t, error_code&) { return append(part); }
  bool on_key(string_view part, size_t, error_code&) {
    append(part);
    open_.back().key = std::exchange(text_, {});
    return true;
  }
  bool on_string_part(string_view part, size_t, error_code&) { return append(part); }
  bool on_string(string_view part, size_t, error_code& ec) {
    append(part);
    return add(Json(std::exchange(text_, {})), ec);
  }
  bool on_number_part(string_view part, error_code&) { return append(part); }
  bool on_int64(int64_t, string_view part, error_code& ec) { return on_number(part, ec); }
  bool on_uint64(uint64_t, string_view part, error_code& ec) { return on_number(part, ec); }
  bool on_double(double, string_view part, error_code& ec) { return on_number(part, ec); }
  bool on_bool(bool value, error_code& ec) { return add(Json(value), ec); }
  bool on_null(error_code& ec) { return add(Json(), ec); }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }

 private:
  struct Open {
    Json value;
    std::string key;  // of the member that comes next, in an object
  };

  bool open(Json container) {
    open_.push_back({std::move(container), {}});
    return true;
  }
  bool close() {
    error_code unused;
    Json done = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(done), unused);
  }
  bool append(string_view part) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_number(string_view part, error_code& ec) {
    append(part);
    return add(Json(JsonNumber{std::exchange(text_, {})}), ec);
  }
  bool add(Json value, error_code& ec) {
    if (open_.empty()) {
      root_ = std::move(value);
      return true;
    }
    if (members_left_-- == 0) {
      members_left_ = 0;
      ec = boost::json::error::array_too_large;
      return false;
    }
    Open& parent = open_.back();
    if (JsonArray* array = parent.value.as_array()) {
      array->push_back(std::move(value));
    } else {
      parent.value.as_object()->members_.emplace_back(std::move(parent.key), std::move(value));
    }
    return true;
  }

  static void sort_members(JsonObject& object) {
    auto& members = object.members_;
    const auto by_key = [](const auto& a, const auto& b) { return a.first < b.first; };
    if (!std::is_sorted(members.begin(), members.end(), by_key)) {
      std::stable_sort(members.begin(), members.end(), by_key);
    }
    // Of equal keys keep the last.
    size_t kept = 0;
    for (size_t i = 0; i < members.size(); i++) {
      if (i + 1 < members.size() && members[i].first == members[i + 1].first) continue;
      if (kept != i) members[kept] = std::move(members[i]);
      kept++;
    }
    members.erase(members.begin() + static_cast<ptrdiff_t>(kept), members.end());
  }

  std::vector<Open> open_;
  std::string text_;
  Json root_;
  size_t members_left_;
};

JsonObject::JsonObject(std::initializer_list<Member> members) {
  for (const auto& [key, value] : members) set(key, value);
}

namespace {
const auto kKeyBefore = [](const JsonObject::Member& member, std::string_view key) {
  return member.first < key;
};
}  // namespace

const Json* JsonObject::find(std::string_view key) const {
  // Few members, as most objects have, are looked through faster than they are searched.
  constexpr size_t kFew = 8;
  if (members_.size() <= kFew) {
    for (const auto& [name, value] : members_) {
      if (name == key) return &value;
    }
    return nullptr;
  }
  const auto at = std::lower_bound(members_.begin(), members_.end(), key, kKeyBefore);
  return at != members_.end() && at->first == key ? &at->second : nullptr;
}

Json* JsonObject::find(std::string_view key) {
  return const_cast<Json*>(std::as_const(*this).find(key));
}

Json& JsonObject::set(std::string_view key, Json value) {
  auto at = std::lower_bound(members_.begin(), members_.end(), key, kKeyBefore);
  if (at != members_.end() && at->first == key) {
    at->second = std::move(value);
  } else {
    at = members_.emplace(at, std::string(key), std::move(value));
  }
  return at->second;
}

bool JsonObject::erase(std::string_view key) {
  const auto at = std::lower_bound(members_.begin(), members_.end(), key, kKeyBefore);
  if (at == members_.end() || at->first != key) return false;
  members_.erase(at);
  return true;
}

size_t JsonObject::size() const { return members_.size(); }
bool JsonObject::empty() const { return members_.empty(); }
std::vector<JsonObject::Member>::const_iterator JsonObject::begin() const {
  return members_.begin();
}
std::vector<JsonObject::Member>::const_iterator JsonObject::end() const { return members_.end(); }
std::vector<JsonObject::Member>::iterator JsonObject::begin() { return members_.begin(); }
std::vector<JsonObject::Member>::iterator JsonObject::end() { return members_.end(); }
bool JsonObject::operator==(const JsonObject& other) const { return members_ == other.members_; }

Json Json::number(double value) {
  if (!std::isfinite(value)) return Json();
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return Json(JsonNumber{std::string(text, end)});
}

Json Json::strings(const std::vector<std::string>& items) {
  JsonArray array;
  array.reserve(items.size());
  for (const auto& item : items) array.emplace_back(item);
  return Json(std::move(array));
}

namespace {

// The parser puts text with escapes together in buffers on the stack, where it would stay until
// something else happens to be written there.
constexpr size_t kParserStackBytes = 16 * 1024;

[[gnu::noinline]] void wipe_stack_below() {
  char area[kParserStackBytes];
  wipe(area, sizeof area);
}

}  // namespace

Result<Json> Json::parse(std::string_view text, const JsonLimits& limits) {
  boost::json::parse_options options;
  options.max_depth = limits.depth_max;
  boost::json::basic_parser<JsonTreeBuilder> parser(options, limits.members_max);
  boost::json::error_code error;
  const size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (text.find('\\') != text.npos) wipe_stack_below();
  if (!error && read < text.size()) error = boost::json::error::extra_data;
  if (error) {
    return fail(ErrorKind::kInvalid,
                "invalid JSON: " + error.message() + " at byte " + std::to_string(read));
  }
  return parser.handler().take();
}

std::optional<int64_t> Json::as_int() const {
  const JsonNumber* number = as_number();
  if (number == nullptr) return std::nullopt;
  const char* end = number->text.data() + number->text.size();
  int64_t value;
  const auto [stopped, problem] = std::from_chars(number->text.data(), end, value);
  if (problem == std::errc() && stopped == end) return value;
  // 1e3 and 5.0 are whole numbers too.
  const auto real = as_double();
  if (!real || *real != std::floor(*real) || std::fabs(*real) > 9e15) return std::nullopt;
  return static_cast<int64_t>(*real);
}

std::optional<double> Json::as_double() const {
  const JsonNumber* number = as_number();
  if (number == nullptr) return std::nullopt;
  double value;
  const char* end = number->text.data() + number->text.size();
  const auto [stopped, problem] = std::from_chars(number->text.data(), end, value);
  if (problem != std::errc() || stopped != end) return std::nullopt;
  return value;
}

const Json* Json::find(std::string_view key) const {
  const JsonObject* object = as_object();
  return object == nullptr ? nullptr : object->find(key);
}

std::string Json::string_or(std::string_view key, std::string_view otherwise) const {
  const Json* member = find(key);
  if (member == nullptr || member->as_string() == nullptr) return std::string(otherwise);
  return *member->as_string();
}

void Json::append_to(std::string& out) const {
  if (is_null()) {
    out += "null";
  } else if (const bool* flag = as_bool()) {
    out += *flag ? "true" : "false";
  } else if (const JsonNumber* number = as_number()) {
    out += number->text;
  } else if (const std::string* text = as_string()) {
    append_json_string(out, *text);
  } else if (const JsonArray* array = as_array()) {
    out += '[';
    for (size_t i = 0; i < array->size(); i++) {
      if (i > 0) out += ',';
      (*array)[i].append_to(out);
    }
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : *as_object()) {
      if (!first) out += ',';
      first = false;
      append_json_string(out, key);
      out += ':';
      value.append_to(out);
    }
    out += '}';
  }
}

std::string Json::dump() const {
  std::string out;
  append_to(out);
  return out;
}

namespace {

void append_pretty(std::string& out, const Json& json, size_t indent) {
  const auto new_line = [&](size_t depth) { out.append("\n").append(depth * 2, ' '); };
  if (const JsonArray* array = json.as_array(); array != nullptr && !array->empty()) {
    out += '[';
    for (size_t i = 0; i < array->size(); i++) {
      if (i > 0) out += ',';
      new_line(indent + 1);
      append_pretty(out, (*array)[i], indent + 1);
    }
    new_line(indent);
    out += ']';
  } else if (const JsonObject* object = json.as_object(); object != nullptr && !object->empty()) {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : *object) {
      if (!first) out += ',';
      first = false;
      new_line(indent + 1);
      append_json_string(out, key);
      out += ": ";
      append_pretty(out, value, indent + 1);
    }
    new_line(indent);
    out += '}';
  } else {
    json.append_to(out);
  }
}

// The length of the valid UTF-8 sequence at `at`, or 0.
size_t utf8_length(std::string_view rest) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(rest[i]); };
  size_t length;
  if (byte(0) < 0x80) return 1;
  if (byte(0) >= 0xc2 && byte(0) <= 0xdf)
    length = 2;
  else if (byte(0) >= 0xe0 && byte(0) <= 0xef)
    length = 3;
  else if (byte(0) >= 0xf0 && byte(0) <= 0xf4)
    length = 4;
  else
    return 0;
  if (rest.size() < length) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (byte(0) == 0xe0 && byte(1) < 0xa0) return 0;
  if (byte(0) == 0xed && byte(1) > 0x9f) return 0;
  if (byte(0) == 0xf0 && byte(1) < 0x90) return 0;
  if (byte(0) == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

void append_escaped(std::string& out, unsigned char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      static constexpr char kHex[] = "0123456789abcdef";
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
  }
}

}  // namespace

std::string Json::dump_pretty() const {
  std::string out;
  append_pretty(out, *this, 0);
  return out;
}

namespace {

constexpr uint64_t kOnes = 0x0101010101010101;
constexpr uint64_t kHighs = 0x8080808080808080;

uint64_t has_zero(uint64_t bytes) { return (bytes - kOnes) & ~bytes & kHighs; }

// How many bytes at the start of `text` stand for themselves in JSON, counted in eights: none of
// them is a control character, a quote, a backslash or beyond ASCII.
size_t plain_prefix(std::string_view text) {
  size_t i = 0;
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
  for (; text.size() - i >= 16; i += 16) {
    const __m128i some = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + i));
    // As signed numbers, what is beyond ASCII is below 0x20 too.
    const __m128i control = _mm_cmplt_epi8(some, _mm_set1_epi8(0x20));
    const __m128i special =
        _mm_or_si128(_mm_cmpeq_epi8(some, quote), _mm_cmpeq_epi8(some, backslash));
    if (_mm_movemask_epi8(_mm_or_si128(control, special)) != 0) break;
  }
#endif
  for (; text.size() - i >= 8; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, text.data() + i, 8);
    const uint64_t control = (eight - kOnes * 0x20) & ~eight & kHighs;
    if ((eight & kHighs) | control | has_zero(eight ^ (kOnes * '"')) |
        has_zero(eight ^ (kOnes * '\\'))) {
      break;
    }
  }
  return i;
}

// Nothing in it needs escaping.
bool is_plain(std::string_view text) {
  for (size_t i = plain_prefix(text); i < text.size(); i++) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') return false;
  }
  return true;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  constexpr size_t kShort = 64;
  if (text.size() <= kShort && is_plain(text)) {  // nearly all: made room for once
    const size_t at = out.size();
    out.append(text.size() + 2, '"');
    text.copy(out.data() + at + 1, text.size());  // memcpy mustn't be given an empty view's null
    return;
  }
  out += '"';
  size_t plain = 0;  // start of the run not yet copied
  for (size_t i = plain_prefix(text); i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
      i++;
      continue;
    }
    const size_t length = c < 0x80 ? 0 : utf8_length(text.substr(i));
    if (length > 0) {
      i += length;
      continue;
    }
    out.append(text, plain, i - plain);
    if (c < 0x80)
      append_escaped(out, c);
    else
      out += "\xef\xbf\xbd";
    plain = ++i;
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
}

void JsonWriter::key(std::string_view name) {
  const size_t comma = need_comma_ ? 1 : 0;
  const size_t at = out_.size();
  out_.append(comma + name.size() + 3, '"');
  char* to = out_.data() + at;
  if (comma != 0) *to = ',';
  name.copy(to + comma + 1, name.size());
  to[comma + name.size() + 2] = ':';
  need_comma_ = false;
}

void JsonWriter::dynamic_key(std::string_view name) {
  separate();
  append_json_string(out_, name);
  out_ += ':';
  need_comma_ = false;
}

void JsonWriter::value(std::string_view text) {
  separate();
  append_json_string(out_, text);
  need_comma_ = true;
}

void JsonWriter::signed_value(int64_t number) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  raw({text, static_cast<size_t>(end - text)});
}

void JsonWriter::unsigned_value(uint64_t number) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  raw({text, static_cast<size_t>(end - text)});
}

void JsonWriter::tree(const Json& json) {
  separate();
  json.append_to(out_);
  need_comma_ = true;
}

void JsonWriter::raw(std::string_view json) {
  separate();
  out_ += json;
  need_comma_ = true;
}

}  // namespace rekey::base
