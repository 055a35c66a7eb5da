#include "auth/jwt/claims.h"

#include <charconv>

#include "logical/answer.h"
#include "logical/glob.h"

namespace rekey::auth::jwt {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;

std::string quoted(std::string_view name) { return '"' + std::string(name) + '"'; }

// RFC 6901 section 4: ~1 is a slash, ~0 a tilde.
std::string unescaped(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); i++) {
    if (token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
      out += token[++i] == '1' ? '/' : '~';
    } else {
      out += token[i];
    }
  }
  return out;
}

const Json* element(const JsonArray& array, std::string_view token) {
  size_t index = 0;
  const auto [end, problem] = std::from_chars(token.data(), token.data() + token.size(), index);
  const bool plain = token == "0" || !token.starts_with('0');
  if (problem != std::errc() || end != token.data() + token.size() || !plain) return nullptr;
  return index < array.size() ? &array[index] : nullptr;
}

const Json* follow(const Json& claims, std::string_view pointer) {
  const Json* at = &claims;
  while (!pointer.empty() && at != nullptr) {
    pointer.remove_prefix(1);  // its slash
    const size_t end = std::min(pointer.find('/'), pointer.size());
    const std::string_view token = pointer.substr(0, end);
    if (at->as_array() != nullptr) {
      at = element(*at->as_array(), token);
    } else {
      at = at->find(unescaped(token));
    }
    pointer.remove_prefix(end);
  }
  return at;
}

// A value by itself is a list of one; an object, or nothing, is none.
bool as_list(const Json& value, std::vector<const Json*>& out) {
  if (value.is_object() || value.is_null()) return false;
  if (const JsonArray* array = value.as_array()) {
    for (const Json& item : *array) out.push_back(&item);
  } else {
    out.push_back(&value);
  }
  return true;
}

bool same(const Json& bound, const Json& actual) {
  if (bound.is_number() && actual.is_number()) {
    const auto a = bound.as_int(), b = actual.as_int();
    return a && b ? *a == *b : bound.as_double() == actual.as_double();
  }
  return !bound.is_object() && !bound.is_array() && bound == actual;
}

bool matches(const Json& bound, const Json& actual, bool globs) {
  if (!globs) return same(bound, actual);
  return bound.is_string() && actual.is_string() &&
         logical::glob_matches(*bound.as_string(), *actual.as_string());
}

}  // namespace

const Json* find_claim(const Json& claims, std::string_view name) {
  const Json* found = name.starts_with('/') ? follow(claims, name) : claims.find(name);
  return found == nullptr || found->is_null() ? nullptr : found;
}

Result<void> check_bound_claims(const Json& claims, const JsonObject& bound, bool globs) {
  const auto refused = [](const std::string& why) {
    return logical::bad_request("error validating claims: " + why);
  };
  for (const auto& [name, expected] : bound) {
    const Json* claim = find_claim(claims, name);
    if (claim == nullptr) return refused("claim " + quoted(name) + " is missing");
    std::vector<const Json*> actual, wanted;
    if (!as_list(*claim, actual)) {
      return refused("received claim " + quoted(name) + " is not a string, bool, int or list");
    }
    if (!as_list(expected, wanted)) {
      return refused("bound claim " + quoted(name) + " is not a string, bool, int or list");
    }
    bool found = false;
    for (const Json* want : wanted) {
      for (const Json* is : actual) found = found || matches(*want, *is, globs);
    }
    if (!found) {
      return refused("claim " + quoted(name) + " does not match any associated bound claim values");
    }
  }
  return {};
}

Result<Pairs> mapped_claims(const Json& claims, const Pairs& mappings) {
  Pairs out;
  for (const auto& [name, target] : mappings) {
    const Json* claim = find_claim(claims, name);
    if (claim == nullptr) continue;
    if (claim->as_string() == nullptr) {
      return logical::bad_request("error converting claim '" + name + "' to string");
    }
    out.emplace_back(target, *claim->as_string());
  }
  return out;
}

Result<std::string> user_of(const Json& claims, std::string_view claim, bool is_pointer) {
  const Json* found = is_pointer ? find_claim(claims, claim) : claims.find(claim);
  if (found == nullptr || found->is_null()) {
    return logical::bad_request("claim " + quoted(claim) + " not found in token");
  }
  if (found->as_string() == nullptr) {
    return logical::bad_request("claim " + quoted(claim) + " could not be converted to string");
  }
  if (found->as_string()->empty()) {
    return logical::bad_request("claim " + quoted(claim) + " is empty in token");
  }
  return *found->as_string();
}

Result<std::vector<std::string>> groups_of(const Json& claims, std::string_view claim) {
  const Json* found = find_claim(claims, claim);
  if (found == nullptr) {
    return logical::bad_request("failed to fetch groups: " + quoted(claim) +
                                " claim not found in token");
  }
  std::vector<const Json*> values;
  if (!as_list(*found, values)) {
    return logical::bad_request(quoted(claim) + " claim could not be converted to string list");
  }
  std::vector<std::string> out;
  for (const Json* value : values) {
    if (value->as_string() == nullptr) {
      return logical::bad_request("value " + value->dump() +
                                  " in groups claim could not be parsed as string");
    }
    if (!value->as_string()->empty()) out.push_back(*value->as_string());
  }
  return out;
}

}  // namespace rekey::auth::jwt
