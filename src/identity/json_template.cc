#include "identity/json_template.h"

#include <charconv>

#include "policy/template.h"

namespace rekey::identity {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using policy::TemplateContext;

constexpr std::string_view kAliases = "identity.entity.aliases.";
constexpr std::string_view kNow = "time.now";

std::unexpected<base::Error> invalid(std::string message) {
  return base::fail(ErrorKind::kInvalid, std::move(message));
}

std::string mark(size_t at) { return "{{" + std::to_string(at) + "}}"; }

// The place that a string of the tree marks; nothing for any other string.
std::optional<size_t> place_of(std::string_view text) {
  if (!text.starts_with("{{") || !text.ends_with("}}") || text.size() < 5) return std::nullopt;
  text = text.substr(2, text.size() - 4);
  size_t at = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), at);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return at;
}

Json object_of(const TemplateContext::Metadata& metadata) {
  JsonObject out;
  for (const auto& [name, value] : metadata) out.set(name, value);
  return out;
}

// "ACCESSOR.metadata" as its alias and which of its two maps.
struct AliasMap {
  std::string_view accessor;
  bool custom = false;
};
std::optional<AliasMap> alias_map(std::string_view name) {
  if (!name.starts_with(kAliases)) return std::nullopt;
  name.remove_prefix(kAliases.size());
  for (const bool custom : {true, false}) {
    const std::string_view end = custom ? ".custom_metadata" : ".metadata";
    if (name.size() > end.size() && name.ends_with(end)) {
      return AliasMap{name.substr(0, name.size() - end.size()), custom};
    }
  }
  return std::nullopt;
}

// "time.now", "time.now.plus.1h": how far from now.
std::optional<base::Duration> time_offset(std::string_view name) {
  if (name == kNow) return base::Duration{};
  for (const int sign : {1, -1}) {
    const std::string start = std::string(kNow) + (sign > 0 ? ".plus." : ".minus.");
    if (!name.starts_with(start)) continue;
    const auto by = base::parse_duration(name.substr(start.size()));
    if (by && *by >= base::Duration{} && *by <= std::chrono::hours(24 * 365 * 100)) {
      return *by * sign;
    }
  }
  return std::nullopt;
}

bool is_known(std::string_view name) {
  return name == "identity.entity.metadata" || name == "identity.entity.groups.names" ||
         name == "identity.entity.groups.ids" || alias_map(name) || time_offset(name) ||
         policy::is_template_name(name);
}

Json value_of(std::string_view name, const TemplateContext& context, base::WallTime now) {
  if (const auto offset = time_offset(name)) {
    return Json(std::chrono::floor<std::chrono::seconds>(now + *offset).time_since_epoch().count());
  }
  if (name == "identity.entity.metadata") return object_of(context.entity_metadata);
  if (name.starts_with("identity.entity.groups.")) {
    JsonArray list;
    for (const auto& group : context.groups) {
      list.emplace_back(name.ends_with(".ids") ? group.id : group.name);
    }
    return list;
  }
  if (const auto map = alias_map(name)) {
    const auto alias = context.aliases.find(map->accessor);
    if (alias == context.aliases.end()) return JsonObject();
    return object_of(map->custom ? alias->second.custom_metadata : alias->second.metadata);
  }
  const std::string* value = policy::template_value(name, context);
  return Json(value == nullptr ? std::string() : *value);
}

// Every mark once, and none in a name. `seen` counts them.
Result<void> check(const Json& json, size_t depth, std::vector<bool>& seen) {
  if (depth > kJsonTemplateDepthMax) return invalid("nested too deeply");
  if (const std::string* text = json.as_string()) {
    const auto at = place_of(*text);
    if (at && *at < seen.size()) seen[*at] = true;
    return {};
  }
  if (const JsonArray* items = json.as_array()) {
    for (const Json& item : *items) {
      if (auto good = check(item, depth + 1, seen); !good) return good;
    }
  }
  if (const JsonObject* object = json.as_object()) {
    for (const auto& [name, value] : *object) {
      if (auto good = check(value, depth + 1, seen); !good) return good;
    }
  }
  return {};
}

}  // namespace

Result<JsonTemplate> JsonTemplate::parse(std::string_view text) {
  if (text.size() > kJsonTemplateBytesMax) return invalid("error parsing template: too long");
  const auto pieces = policy::cut_template(text);
  if (!pieces) return invalid("error parsing template: unbalanced templating characters");
  JsonTemplate out;
  std::string marked;
  for (const policy::TemplatePiece& piece : *pieces) {
    if (!piece.is_template) {
      marked += piece.text;
      continue;
    }
    if (!is_known(piece.text)) {
      return invalid("error parsing template: no such value: " + std::string(piece.text));
    }
    marked.append("\"").append(mark(out.names_.size())).append("\"");
    out.names_.emplace_back(piece.text);
  }
  if (out.names_.size() > kJsonTemplatePlacesMax) {
    return invalid("error parsing template: too many {{ }}");
  }
  auto tree = Json::parse(marked, {.depth_max = kJsonTemplateDepthMax + 1});
  if (!tree) return invalid("error parsing template JSON: " + tree.error().message());
  if (!tree->is_object()) return invalid("error parsing template JSON: it must be an object");
  std::vector<bool> seen(out.names_.size());
  if (auto good = check(*tree, 0, seen); !good) {
    return invalid("error parsing template JSON: " + good.error().message());
  }
  for (const bool one : seen) {
    if (!one) {
      return invalid("error parsing template JSON: {{ }} must stand where a value can stand");
    }
  }
  out.object_ = std::move(*tree->as_object());
  return out;
}

JsonObject JsonTemplate::fill(const TemplateContext& context, base::WallTime now) const {
  const auto filled = [&](const auto& self, const Json& json) -> Json {
    if (const std::string* text = json.as_string()) {
      const auto at = place_of(*text);
      return at && *at < names_.size() ? value_of(names_[*at], context, now) : json;
    }
    if (const JsonArray* items = json.as_array()) {
      JsonArray out;
      out.reserve(items->size());
      for (const Json& item : *items) out.push_back(self(self, item));
      return out;
    }
    if (const JsonObject* object = json.as_object()) {
      JsonObject out;
      for (const auto& [name, value] : *object) out.set(name, self(self, value));
      return out;
    }
    return json;
  };
  return std::move(*filled(filled, Json(object_)).as_object());
}

}  // namespace rekey::identity
