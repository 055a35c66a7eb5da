#include "policy/parameters.h"

#include <algorithm>

namespace rekey::policy {

using base::Json;

namespace {

bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

// Lists hold lower-case names; nullptr where the name isn't in the list.
const std::vector<Json>* find_values(const ParameterLists& lists, const std::string& name) {
  auto at = lists.end();
  if (std::none_of(name.begin(), name.end(), is_capital)) {
    at = lists.find(name);
  } else {
    std::string lower = name;
    for (char& c : lower) {
      if (is_capital(c)) c = static_cast<char>(c - 'A' + 'a');
    }
    at = lists.find(lower);
  }
  return at == lists.end() ? nullptr : &at->second;
}

bool text_matches(std::string_view pattern, std::string_view text) {
  if (pattern.size() < 2) return pattern == text;
  const bool open_start = pattern.starts_with('*'), open_end = pattern.ends_with('*');
  std::string_view core = pattern;
  if (open_start) core.remove_prefix(1);
  if (open_end) core.remove_suffix(1);
  if (open_start && open_end) return text.find(core) != text.npos;
  if (open_start) return text.ends_with(core);
  if (open_end) return text.starts_with(core);
  return pattern == text;
}

bool equal(const Json& wanted, const Json& given) {
  if (wanted.is_string() && given.is_string()) {
    return text_matches(*wanted.as_string(), *given.as_string());
  }
  if (wanted.is_number() && given.is_number()) {
    const auto a = wanted.as_int(), b = given.as_int();
    return a && b ? *a == *b : wanted.as_double() == given.as_double();
  }
  return wanted == given;
}

bool allows_any(const std::vector<Json>* values) { return values && values->empty(); }

}  // namespace

bool is_listed(const Json& value, const std::vector<Json>& values) {
  return std::any_of(values.begin(), values.end(),
                     [&](const Json& wanted) { return equal(wanted, value); });
}

ParameterVerdict judge_parameters(const Grant& grant, const base::JsonObject* parameters) {
  for (const std::string& name : grant.required_parameters) {
    if (!parameters || !parameters->contains(name)) return {Reason::kMissingParameter, name};
  }
  if (!parameters || parameters->empty()) return {};
  if (!grant.denied_parameters.empty()) {
    const bool all = grant.denied_parameters.contains("*");
    for (const auto& [name, value] : *parameters) {
      const std::vector<Json>* values = find_values(grant.denied_parameters, name);
      if (all || allows_any(values) || (values && is_listed(value, *values))) {
        return {Reason::kDeniedParameter, name};
      }
    }
  }
  if (grant.allowed_parameters.empty()) return {};
  const bool others = grant.allowed_parameters.contains("*");
  for (const auto& [name, value] : *parameters) {
    const std::vector<Json>* values = find_values(grant.allowed_parameters, name);
    if (values ? !values->empty() && !is_listed(value, *values) : !others) {
      return {Reason::kParameter, name};
    }
  }
  return {};
}

}  // namespace rekey::policy
