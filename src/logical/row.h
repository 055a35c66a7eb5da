// Reading the members of a stored JSON row, each with what an absent one means.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace rekey::logical {

inline int64_t int_at(const base::Json& row, std::string_view name, int64_t otherwise = 0) {
  const base::Json* member = row.find(name);
  return member == nullptr ? otherwise : member->as_int().value_or(otherwise);
}

inline bool flag_at(const base::Json& row, std::string_view name, bool otherwise = false) {
  const base::Json* member = row.find(name);
  return member != nullptr && member->as_bool() ? *member->as_bool() : otherwise;
}

inline std::vector<std::string> strings_at(const base::Json& row, std::string_view name) {
  std::vector<std::string> out;
  const base::Json* member = row.find(name);
  if (member == nullptr || member->as_array() == nullptr) return out;
  for (const base::Json& item : *member->as_array()) {
    if (const std::string* text = item.as_string()) out.push_back(*text);
  }
  return out;
}

using StringPairs = std::vector<std::pair<std::string, std::string>>;

inline StringPairs pairs_at(const base::Json& row, std::string_view name) {
  StringPairs out;
  const base::Json* member = row.find(name);
  if (member == nullptr || member->as_object() == nullptr) return out;
  for (const auto& [key, value] : *member->as_object()) {
    if (const std::string* text = value.as_string()) out.emplace_back(key, *text);
  }
  return out;
}

inline base::JsonObject object_of(const StringPairs& pairs) {
  base::JsonObject out;
  for (const auto& [key, value] : pairs) out.set(key, value);
  return out;
}

}  // namespace rekey::logical
