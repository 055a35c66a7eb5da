// JSON values, as Rekey reads and writes them (RFC 8259).
//
// Numbers keep the text they came with, so that what a client stored comes back digit for digit.
// Objects are kept in key order, so that output is canonical; of duplicate keys the last one wins,
// as in the Go servers whose clients we serve. Reading is bounded by JsonLimits and rejects invalid
// UTF-8; the grammar itself is Boost.JSON's. For answers built on a hot path there is JsonWriter,
// which appends to one string and never makes a tree.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace rekey::base {

class Json;
struct JsonNumber {
  std::string text;  // a valid JSON number
  bool operator==(const JsonNumber&) const = default;
};
using JsonArray = std::vector<Json>;

// Members in key order. Look-up is a binary search.
class JsonObject {
 public:
  using Member = std::pair<std::string, Json>;
  JsonObject() = default;
  JsonObject(std::initializer_list<Member> members);

  const Json* find(std::string_view key) const;  // nullptr if absent
  Json* find(std::string_view key);
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  Json& set(std::string_view key,
            Json value);  // adds or replaces; the reference lives until the next change
  bool erase(std::string_view key);
  size_t size() const;
  bool empty() const;
  std::vector<Member>::const_iterator begin() const;
  std::vector<Member>::const_iterator end() const;
  std::vector<Member>::iterator begin();
  std::vector<Member>::iterator end();
  bool operator==(const JsonObject&) const;

 private:
  friend class JsonTreeBuilder;
  std::vector<Member> members_;
};

struct JsonLimits {
  size_t depth_max = 128;        // nested arrays and objects
  size_t members_max = 200'000;  // object members and array elements in the whole text
};

class Json {
 public:
  Json() : value_(nullptr) {}
  Json(std::nullptr_t) : value_(nullptr) {}
  Json(bool value) : value_(value) {}
  Json(int value) : Json(static_cast<int64_t>(value)) {}
  Json(int64_t value) : value_(JsonNumber{std::to_string(value)}) {}
  Json(uint64_t value) : value_(JsonNumber{std::to_string(value)}) {}
  Json(JsonNumber value) : value_(std::move(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(JsonArray value) : value_(std::move(value)) {}
  Json(JsonObject value) : value_(std::move(value)) {}
  static Json number(double value);
  static Json strings(const std::vector<std::string>& items);

  // Fails with kInvalid and a message that names what is wrong, never the value.
  static Result<Json> parse(std::string_view text, const JsonLimits& limits = {});

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_number() const { return std::holds_alternative<JsonNumber>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<JsonArray>(value_); }
  bool is_object() const { return std::holds_alternative<JsonObject>(value_); }

  // Null pointer where the value is of another type.
  const bool* as_bool() const { return std::get_if<bool>(&value_); }
  const JsonNumber* as_number() const { return std::get_if<JsonNumber>(&value_); }
  const std::string* as_string() const { return std::get_if<std::string>(&value_); }
  const JsonArray* as_array() const { return std::get_if<JsonArray>(&value_); }
  const JsonObject* as_object() const { return std::get_if<JsonObject>(&value_); }
  std::string* as_string() { return std::get_if<std::string>(&value_); }
  JsonArray* as_array() { return std::get_if<JsonArray>(&value_); }
  JsonObject* as_object() { return std::get_if<JsonObject>(&value_); }
  // A number that is whole and fits; nothing otherwise.
  std::optional<int64_t> as_int() const;
  std::optional<double> as_double() const;

  // Members of an object; nullptr where this is no object or has no such member.
  const Json* find(std::string_view key) const;
  // The string at `key`, or `otherwise`.
  std::string string_or(std::string_view key, std::string_view otherwise) const;

  std::string dump() const;         // compact
  std::string dump_pretty() const;  // two spaces, for people
  void append_to(std::string& out) const;
  bool operator==(const Json&) const = default;

 private:
  std::variant<std::nullptr_t, bool, JsonNumber, std::string, JsonArray, JsonObject> value_;
};

// Appends `text` as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// Appends JSON to a string it doesn't own; commas are its business.
//   JsonWriter w(out); w.begin_object(); w.key("a"); w.value(1); w.end_object();
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}
  void begin_object() { separate(), out_ += '{', need_comma_ = false; }
  void end_object() { out_ += '}', need_comma_ = true; }
  void begin_array() { separate(), out_ += '[', need_comma_ = false; }
  void end_array() { out_ += ']', need_comma_ = true; }
  void key(std::string_view name);          // `name` needs no escaping: our own field names
  void dynamic_key(std::string_view name);  // escaped
  void value(std::string_view text);
  void value(const char* text) { value(std::string_view(text)); }
  void value(const std::string& text) { value(std::string_view(text)); }
  void value(std::same_as<bool> auto flag) { raw(flag ? "true" : "false"); }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  void value(T number) {
    if constexpr (std::is_signed_v<T>)
      signed_value(static_cast<int64_t>(number));
    else
      unsigned_value(static_cast<uint64_t>(number));
  }
  void value(const std::same_as<Json> auto& json) { tree(json); }
  void null() { raw("null"); }
  void raw(std::string_view json);  // already JSON
  // A string that `append` puts behind what stands in the one that it gets; nothing of it needs
  // escaping.
  template <std::invocable<std::string&> Append>
  void plain_text(const Append& append) {
    separate();
    out_ += '"';
    append(out_);
    out_ += '"';
    need_comma_ = true;
  }
  template <class T>
  void member(std::string_view name, const T& v) {
    key(name);
    value(v);
  }

 private:
  void signed_value(int64_t number);
  void unsigned_value(uint64_t number);
  void tree(const Json& json);
  void separate() {
    if (need_comma_) out_ += ',';
  }
  std::string& out_;
  bool need_comma_ = false;
};

}  // namespace rekey::base
