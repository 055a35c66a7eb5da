#include "auth/kubernetes/selector.h"

#include <algorithm>

namespace rekey::auth::kubernetes {
namespace {

using base::Json;
using base::Result;

std::unexpected<base::Error> bad(std::string why) {
  return base::fail(base::ErrorKind::kInvalid, std::move(why));
}

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_label_name(std::string_view text) {
  if (text.empty() || text.size() > kLabelNameBytesMax) return false;
  if (!is_alphanumeric(text.front()) || !is_alphanumeric(text.back())) return false;
  return std::ranges::all_of(
      text, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_label_value(std::string_view text) { return text.empty() || is_label_name(text); }

bool is_label_key(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_label_name(text);
  const std::string_view prefix = text.substr(0, slash);
  if (prefix.empty() || prefix.size() > kLabelPrefixBytesMax) return false;
  const bool is_domain = std::ranges::all_of(prefix, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
  return is_domain && is_label_name(text.substr(slash + 1));
}

}  // namespace

Result<void> Selector::add_labels(const Json& labels) {
  if (labels.is_null()) return {};
  if (!labels.is_object()) return bad("matchLabels is not an object");
  for (const auto& [key, value] : *labels.as_object()) {
    const std::string* text = value.as_string();
    if (text == nullptr) return bad("a value of matchLabels is not text: put it in quotes");
    if (!is_label_key(key) || !is_label_value(*text)) return bad("matchLabels has no valid label");
    requirements_.push_back({key, Operator::kIn, {*text}});
  }
  return {};
}

Result<void> Selector::add_expression(const Json& expression) {
  if (!expression.is_object()) return bad("an item of matchExpressions is not an object");
  for (const auto& [name, value] : *expression.as_object()) {
    if (name != "key" && name != "operator" && name != "values") {
      return bad("an item of matchExpressions has an unknown member");
    }
  }
  Requirement requirement{.key = expression.string_or("key", ""), .op = {}, .values = {}};
  if (!is_label_key(requirement.key)) return bad("matchExpressions has no valid key");
  if (const Json* values = expression.find("values"); values != nullptr && !values->is_null()) {
    if (!values->is_array()) return bad("values is not a list");
    if (values->as_array()->size() > kSelectorValuesMax) return bad("values is too long");
    for (const Json& value : *values->as_array()) {
      if (!value.is_string() || !is_label_value(*value.as_string())) {
        return bad("values has an item that is no label's value: put it in quotes");
      }
      requirement.values.push_back(*value.as_string());
    }
  }
  const std::string op = expression.string_or("operator", "");
  const bool by_values = op == "In" || op == "NotIn";
  if (!by_values && op != "Exists" && op != "DoesNotExist") {
    return bad("an operator is one of In, NotIn, Exists and DoesNotExist");
  }
  if (by_values == requirement.values.empty()) {
    return bad("values are what In and NotIn need, and the other operators don't have");
  }
  requirement.op = op == "In"       ? Operator::kIn
                   : op == "NotIn"  ? Operator::kNotIn
                   : op == "Exists" ? Operator::kExists
                                    : Operator::kDoesNotExist;
  requirements_.push_back(std::move(requirement));
  return {};
}

Result<Selector> Selector::parse(std::string_view text) {
  if (text.size() > kSelectorBytesMax) return bad("it is too long");
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos) return bad("it is empty");
  const auto json =
      text[start] == '{'
          ? Json::parse(text, {.depth_max = kSelectorDepthMax, .members_max = kSelectorNodesMax})
          : read_yaml(text);
  if (!json) return bad(json.error().message());
  if (!json->is_object()) return bad("it is not an object");
  Selector out;
  for (const auto& [name, value] : *json->as_object()) {
    if (name == "matchLabels") {
      auto added = out.add_labels(value);
      if (!added) return forward(added);
    } else if (name == "matchExpressions") {
      if (value.is_null()) continue;
      if (!value.is_array()) return bad("matchExpressions is not a list");
      for (const Json& expression : *value.as_array()) {
        auto added = out.add_expression(expression);
        if (!added) return forward(added);
      }
    } else {
      return bad("it has members other than matchLabels and matchExpressions");
    }
  }
  if (out.requirements_.size() > kSelectorRequirementsMax) return bad("it asks for too much");
  return out;
}

bool Selector::matches(const Labels& labels) const {
  return std::ranges::all_of(requirements_, [&](const Requirement& requirement) {
    const auto label = labels.find(requirement.key);
    const bool there = label != labels.end();
    const bool among =
        there && std::ranges::find(requirement.values, label->second) != requirement.values.end();
    switch (requirement.op) {
      case Operator::kIn:
        return among;
      case Operator::kNotIn:
        return !among;
      case Operator::kExists:
        return there;
      case Operator::kDoesNotExist:
        return !there;
    }
    return false;
  });
}

}  // namespace rekey::auth::kubernetes
