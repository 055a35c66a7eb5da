// The reader for HCL 1, the language of Vault's policies and configuration files, and for the same
// written as JSON. Both give one tree.
//
// Our own because no library in Debian reads it: libucl's language looks alike and differs exactly
// where policies do (labels after a key, heredocs, `key = {`, merging of repeated keys), and HCL 2
// is a third language. Reference: https://github.com/hashicorp/hcl/tree/hcl1 (its README), and
// what `vault policy write` takes.
//
// Knows no policy and no configuration key. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace rekey::hcl {

struct Item;
struct Value;

struct Place {
  int line = 0;    // from 1
  int column = 0;  // from 1, in bytes
};

struct Number {
  std::string text;  // as written: 10, 0x1F, -1.5e3
  bool operator==(const Number&) const = default;
};
using List = std::vector<Value>;

// Items in the order written; a key may come several times.
struct Object {
  std::vector<Item> items;

  const Item* find(std::string_view key) const;  // the first, or nullptr
  std::vector<const Item*> find_all(std::string_view key) const;
};

struct Value {
  std::variant<bool, Number, std::string, List, Object> data;
  Place place;

  const bool* as_bool() const { return std::get_if<bool>(&data); }
  const Number* as_number() const { return std::get_if<Number>(&data); }
  const std::string* as_string() const { return std::get_if<std::string>(&data); }
  const List* as_list() const { return std::get_if<List>(&data); }
  const Object* as_object() const { return std::get_if<Object>(&data); }
  // "a string", "a list", ... for messages.
  std::string_view type_name() const;
};

// `path "secret/*" { ... }` has keys path, secret/*; `ui = true` has one key.
struct Item {
  std::vector<std::string> keys;  // never empty
  Value value;
  Place place;

  const std::string& key() const { return keys.front(); }
};

struct Limits {
  size_t bytes_max = 4 * 1024 * 1024;
  size_t depth_max = 64;       // nested objects and lists
  size_t items_max = 200'000;  // items and list elements in the whole text
};

// Reads HCL, or JSON where the first character other than blanks is `{`. Fails with kInvalid and a
// message such as "line 3: expected ..." that quotes at most a short piece of the text.
//
// In JSON, nested objects are labels as in HCL: {"path": {"a/*": {...}, "b": {...}}} and
// {"path": [{"a/*": {...}}, {"b": {...}}]} both give two items with keys path, a/* and path, b --
// but only for keys that the caller names in `labelled`, since the text alone can't say.
base::Result<Object> parse(std::string_view text, const Limits& limits = {});

// How JSON is told apart from HCL.
bool looks_like_json(std::string_view text);

// Labels as HCL 1 understands them. Returns an object in which every item with the key `key` and no
// label, whose value is an object (or a list of objects), is split into one item for each of its
// members with that member's key as label: `path = { "a" = {...} }` becomes `path "a" {...}`.
// Does nothing to items that carry a label already.
std::vector<Item> labelled(const Object& object, std::string_view key);

}  // namespace rekey::hcl
