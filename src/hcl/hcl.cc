#include "hcl/hcl.h"

#include "hcl/json_reader.h"
#include "hcl/scanner.h"

namespace rekey::hcl {

using base::ErrorKind;
using base::fail;
using base::forward;
using base::Result;

namespace {

class Reader {
 public:
  Reader(std::string_view text, const Limits& limits) : scanner_(text), limits_(limits) {}

  Result<Object> document() {
    if (auto moved = advance(); !moved) return forward(moved);
    return items(TokenKind::kEnd, 1, token_.place);
  }

 private:
  // Reads the next token that is no comment into token_.
  Result<void> advance() {
    do {
      auto next = scanner_.next();
      if (!next) return forward(next);
      token_ = std::move(*next);
    } while (token_.kind == TokenKind::kComment);
    return {};
  }

  bool at(TokenKind kind) const { return token_.kind == kind; }

  std::unexpected<base::Error> expected(std::string_view what) const {
    return fail_at(token_.place, "expected " + std::string(what) + ", not " + describe(token_));
  }

  Result<void> count(size_t depth) {
    if (++items_ > limits_.items_max) return fail_at(token_.place, "too many items");
    if (depth > limits_.depth_max) return fail_at(token_.place, "nested too deeply");
    return {};
  }

  // Items up to and not including `end`. A comma after an item is allowed.
  Result<Object> items(TokenKind end, size_t depth, Place opened) {
    Object object;
    while (!at(end)) {
      if (at(TokenKind::kEnd)) {
        return expected("'}' for the '{' of line " + std::to_string(opened.line));
      }
      auto item = this->item(depth);
      if (!item) return forward(item);
      object.items.push_back(std::move(*item));
      if (end != TokenKind::kEnd && at(TokenKind::kComma)) {
        if (auto moved = advance(); !moved) return forward(moved);
      }
    }
    return object;
  }

  Result<Item> item(size_t depth) {
    if (auto counted = count(depth); !counted) return forward(counted);
    Item item;
    item.place = token_.place;
    while (at(TokenKind::kIdent) || at(TokenKind::kString)) {
      if (item.keys.size() >= kLabelsMax) return fail_at(token_.place, "too many labels");
      item.keys.push_back(at(TokenKind::kIdent) ? std::string(token_.raw)
                                                : std::move(token_.value));
      if (auto moved = advance(); !moved) return forward(moved);
    }
    if (item.keys.empty()) return expected(depth == 1 ? "a key" : "a key or '}'");
    if (at(TokenKind::kAssign)) {
      if (item.keys.size() > 1) return expected("'{' after a key with a label");
      if (auto moved = advance(); !moved) return forward(moved);
    } else if (!at(TokenKind::kLeftBrace)) {
      return expected("'=' or '{' after the key \"" + shortened(item.keys.back()) + "\"");
    }
    auto value = this->value(depth + 1);
    if (!value) return forward(value);
    item.value = std::move(*value);
    return item;
  }

  Result<Value> value(size_t depth) {
    if (auto counted = count(depth); !counted) return forward(counted);
    Value value;
    value.place = token_.place;
    switch (token_.kind) {
      case TokenKind::kLeftBrace:
        return enclosed(std::move(value), depth);
      case TokenKind::kLeftBracket:
        return list(std::move(value), depth);
      case TokenKind::kString:
      case TokenKind::kHeredoc:
        value.data = std::move(token_.value);
        break;
      case TokenKind::kNumber:
        value.data = Number{std::string(token_.raw)};
        break;
      case TokenKind::kIdent:
        if (token_.raw != "true" && token_.raw != "false") {
          return expected("a value (strings stand in \")");
        }
        value.data = token_.raw == "true";
        break;
      default:
        return expected("a value");
    }
    if (auto moved = advance(); !moved) return forward(moved);
    return value;
  }

  Result<Value> enclosed(Value value, size_t depth) {
    const Place opened = token_.place;
    if (auto moved = advance(); !moved) return forward(moved);
    auto object = items(TokenKind::kRightBrace, depth + 1, opened);
    if (!object) return forward(object);
    if (auto moved = advance(); !moved) return forward(moved);
    value.data = std::move(*object);
    return value;
  }

  Result<Value> list(Value value, size_t depth) {
    List list;
    if (auto moved = advance(); !moved) return forward(moved);
    while (!at(TokenKind::kRightBracket)) {
      auto element = this->value(depth + 1);
      if (!element) return forward(element);
      list.push_back(std::move(*element));
      if (at(TokenKind::kComma)) {
        if (auto moved = advance(); !moved) return forward(moved);
      } else if (!at(TokenKind::kRightBracket)) {
        return expected("',' or ']'");
      }
    }
    if (auto moved = advance(); !moved) return forward(moved);
    value.data = std::move(list);
    return value;
  }

  static std::string shortened(std::string_view key) {
    constexpr size_t kKeyBytesShown = 64;
    return std::string(key.substr(0, kKeyBytesShown));
  }

  static constexpr size_t kLabelsMax = 8;
  Scanner scanner_;
  const Limits& limits_;
  Token token_;
  size_t items_ = 0;
};

// One item for each member of `value`, with that member's key as a second key.
void split(const Item& item, const Value& value, std::vector<Item>& out) {
  for (const Item& member : value.as_object()->items) {
    Item one = member;
    one.keys.insert(one.keys.begin(), item.key());
    out.push_back(std::move(one));
  }
}

bool all_objects(const Value& value) {
  if (value.as_object()) return true;
  if (!value.as_list()) return false;
  for (const Value& element : *value.as_list()) {
    if (!element.as_object()) return false;
  }
  return true;
}

}  // namespace

const Item* Object::find(std::string_view key) const {
  for (const Item& item : items) {
    if (item.key() == key) return &item;
  }
  return nullptr;
}

std::vector<const Item*> Object::find_all(std::string_view key) const {
  std::vector<const Item*> found;
  for (const Item& item : items) {
    if (item.key() == key) found.push_back(&item);
  }
  return found;
}

std::string_view Value::type_name() const {
  if (as_bool()) return "true or false";
  if (as_number()) return "a number";
  if (as_string()) return "a string";
  if (as_list()) return "a list";
  return "a block";
}

bool looks_like_json(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const size_t at = text.find_first_not_of(" \t\r\n");
  return at != text.npos && text[at] == '{';
}

Result<Object> parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.bytes_max) {
    return fail(ErrorKind::kTooLarge, "larger than " + std::to_string(limits.bytes_max) + " bytes");
  }
  if (auto checked = check_characters(text); !checked) return forward(checked);
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return looks_like_json(text) ? read_json(text, limits) : Reader(text, limits).document();
}

std::vector<Item> labelled(const Object& object, std::string_view key) {
  std::vector<Item> out;
  for (const Item& item : object.items) {
    if (item.key() != key || item.keys.size() > 1 || !all_objects(item.value)) {
      out.push_back(item);
    } else if (item.value.as_object()) {
      split(item, item.value, out);
    } else {
      for (const Value& element : *item.value.as_list()) split(item, element, out);
    }
  }
  return out;
}

}  // namespace rekey::hcl
