#include "logical/route.h"

#include <algorithm>

#include "base/clock.h"

namespace rekey::logical {
namespace {

using base::ErrorKind;
using base::Json;

std::string_view first_segment(std::string_view path) { return path.substr(0, path.find('/')); }

std::unexpected<base::Error> wrong(const Field& field, std::string_view expected) {
  return base::fail(ErrorKind::kInvalid, "Field validation failed: field \"" +
                                             std::string(field.name) + "\" must be " +
                                             std::string(expected));
}

base::Result<Json> to_integer(const Field& field, const Json& sent) {
  if (const auto value = sent.as_int()) return Json(*value);
  const std::string* text = sent.as_string();
  if (text == nullptr) return wrong(field, "a whole number");
  if (text->empty()) return Json(0);
  const auto parsed = Json::parse(*text);
  if (!parsed || !parsed->as_int()) return wrong(field, "a whole number");
  return Json(*parsed->as_int());
}

base::Result<Json> to_boolean(const Field& field, const Json& sent) {
  if (sent.is_bool()) return sent;
  if (const auto number = sent.as_int()) return Json(*number != 0);
  const std::string* text = sent.as_string();
  if (text == nullptr) return wrong(field, "true or false");
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (*text == yes) return Json(true);
  }
  for (std::string_view no : {"", "0", "f", "F", "false", "FALSE", "False"}) {
    if (*text == no) return Json(false);
  }
  return wrong(field, "true or false");
}

base::Result<Json> to_duration(const Field& field, const Json& sent) {
  std::string text;
  if (const std::string* given = sent.as_string())
    text = *given;
  else if (const base::JsonNumber* number = sent.as_number())
    text = number->text;
  else
    return wrong(field, "a duration, such as 90 or \"1h\"");
  if (text.empty()) return Json(0);
  const auto parsed = base::parse_duration(text);
  if (!parsed) return wrong(field, "a duration, such as 90 or \"1h\"");
  return Json(std::chrono::duration_cast<std::chrono::seconds>(*parsed).count());
}

std::string scalar_text(const Json& value) {
  if (const std::string* text = value.as_string()) return *text;
  return value.is_null() ? std::string() : value.dump();
}

base::Result<Json> to_strings(const Field& field, const Json& sent) {
  base::JsonArray items;
  if (const base::JsonArray* array = sent.as_array()) {
    for (const Json& item : *array) {
      if (item.is_array() || item.is_object()) return wrong(field, "a list of strings");
      items.emplace_back(scalar_text(item));
    }
    return Json(std::move(items));
  }
  if (sent.is_object()) return wrong(field, "a list of strings");
  const std::string text = scalar_text(sent);
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    std::string_view item = std::string_view(text).substr(at, comma - at);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    items.emplace_back(item);
    at = comma + 1;
  }
  return Json(std::move(items));
}

base::Result<Json> to_string_map(const Field& field, const Json& sent) {
  base::JsonObject map;
  if (const base::JsonObject* object = sent.as_object()) {
    for (const auto& [key, value] : *object) {
      if (value.is_array() || value.is_object()) return wrong(field, "an object of strings");
      map.set(key, Json(scalar_text(value)));
    }
    return Json(std::move(map));
  }
  const auto pairs = to_strings(field, sent);
  if (!pairs) return wrong(field, "an object of strings");
  for (const Json& pair : *pairs->as_array()) {
    const std::string& text = *pair.as_string();
    const size_t equals = text.find('=');
    if (equals == std::string::npos) return wrong(field, "an object of strings");
    map.set(text.substr(0, equals), Json(text.substr(equals + 1)));
  }
  return Json(std::move(map));
}

// Bodies can be long: what needs no conversion isn't copied.
bool fits_as_it_is(FieldType type, const Json& sent) {
  switch (type) {
    case FieldType::kString:
      return sent.is_string();
    case FieldType::kObject:
      return sent.is_object();
    case FieldType::kAny:
      return true;
    default:
      return false;
  }
}

base::Result<Json> convert(const Field& field, const Json& sent) {
  switch (field.type) {
    case FieldType::kString:
      if (sent.is_array() || sent.is_object()) return wrong(field, "a string");
      return Json(scalar_text(sent));
    case FieldType::kInteger:
      return to_integer(field, sent);
    case FieldType::kBoolean:
      return to_boolean(field, sent);
    case FieldType::kDuration:
      return to_duration(field, sent);
    case FieldType::kStrings:
      return to_strings(field, sent);
    case FieldType::kStringMap:
      return to_string_map(field, sent);
    case FieldType::kObject:
      if (!sent.is_object()) return wrong(field, "an object");
      return sent;
    case FieldType::kAny:
      return sent;
  }
  return wrong(field, "of a known type");
}

}  // namespace

const Handler* Route::handler(Operation operation) const {
  for (const auto& [served, handler] : handlers) {
    if (served == operation) return &handler;
  }
  // What a route creates it also updates, unless it says otherwise.
  if (operation == Operation::kCreate) return this->handler(Operation::kUpdate);
  return nullptr;
}

const Json* Fields::find(std::string_view name) const {
  for (const Value& value : values_) {
    if (value.name == name) return value.sent != nullptr ? value.sent : &value.converted;
  }
  return nullptr;
}

std::string_view Fields::text(std::string_view name, std::string_view otherwise) const {
  const Json* value = find(name);
  return value != nullptr && value->as_string() ? std::string_view(*value->as_string()) : otherwise;
}

int64_t Fields::integer(std::string_view name, int64_t otherwise) const {
  const Json* value = find(name);
  return value == nullptr ? otherwise : value->as_int().value_or(otherwise);
}

bool Fields::flag(std::string_view name, bool otherwise) const {
  const Json* value = find(name);
  return value != nullptr && value->as_bool() ? *value->as_bool() : otherwise;
}

std::optional<base::Duration> Fields::duration(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr || !value->as_int()) return std::nullopt;
  return std::chrono::seconds(*value->as_int());
}

std::vector<std::string> Fields::strings(std::string_view name) const {
  std::vector<std::string> out;
  const Json* value = find(name);
  if (value == nullptr || value->as_array() == nullptr) return out;
  for (const Json& item : *value->as_array()) out.push_back(*item.as_string());
  return out;
}

std::vector<std::pair<std::string, std::string>> Fields::string_map(std::string_view name) const {
  std::vector<std::pair<std::string, std::string>> out;
  if (const base::JsonObject* map = object(name)) {
    for (const auto& [key, value] : *map) out.emplace_back(key, *value.as_string());
  }
  return out;
}

const base::JsonObject* Fields::object(std::string_view name) const {
  const Json* value = find(name);
  return value == nullptr ? nullptr : value->as_object();
}

void RouteTable::add(Route route) {
  const size_t index = routes_.size();
  routes_.push_back(std::make_unique<Route>(std::move(route)));
  Route& added = *routes_.back();
  Pattern pattern;
  std::string_view rest = added.pattern;
  while (!rest.empty()) {
    const std::string_view segment = first_segment(rest);
    rest.remove_prefix(std::min(segment.size() + 1, rest.size()));
    if (!segment.starts_with('{')) {
      pattern.segments.emplace_back(segment);
      continue;
    }
    std::string_view name = segment.substr(1, segment.size() - 2);
    if (name.ends_with('*')) {
      name.remove_suffix(1);
      pattern.takes_rest = true;
      if (!rest.empty()) pattern.suffix = "/" + std::string(rest);
      rest = {};
    } else {
      pattern.segments.emplace_back();
    }
    pattern.names.push_back(name);
    const auto declared = std::ranges::find(added.fields, name, &Field::name);
    if (declared != added.fields.end())
      declared->in_path = true;
    else
      added.fields.push_back({name, FieldType::kString, "Part of the path.", true});
  }
  if (!pattern.segments.empty() && !pattern.segments[0].empty()) {
    by_first_segment_[pattern.segments[0]].push_back(index);
  } else {
    with_open_first_segment_.push_back(index);
  }
  patterns_.push_back(std::move(pattern));
}

bool RouteTable::matches(size_t index, std::string_view path, Match& out) const {
  const Pattern& pattern = patterns_[index];
  out.captures.clear();
  size_t name = 0;
  for (size_t i = 0; i < pattern.segments.size(); i++) {
    const std::string_view segment = first_segment(path);
    const bool last = segment.size() == path.size();
    if (pattern.segments[i].empty()) {
      if (segment.empty()) return false;
      out.captures.emplace_back(pattern.names[name++], segment);
    } else if (segment != pattern.segments[i]) {
      return false;
    }
    const bool wants_more = i + 1 < pattern.segments.size() || pattern.takes_rest;
    if (last && i + 1 < pattern.segments.size()) return false;
    path.remove_prefix(std::min(segment.size() + 1, path.size()));
    if (!wants_more && !path.empty()) return false;
  }
  if (!pattern.suffix.empty()) {
    if (!path.ends_with(pattern.suffix)) return false;
    path.remove_suffix(pattern.suffix.size());
  }
  if (pattern.takes_rest) out.captures.emplace_back(pattern.names[name], path);
  out.route = routes_[index].get();
  return true;
}

RouteTable::Match RouteTable::match(std::string_view path) const {
  Match out;
  const auto literal = by_first_segment_.find(std::string(first_segment(path)));
  if (literal != by_first_segment_.end()) {
    for (size_t index : literal->second) {
      if (matches(index, path, out)) return out;
    }
  }
  for (size_t index : with_open_first_segment_) {
    if (matches(index, path, out)) return out;
  }
  out.captures.clear();
  out.route = nullptr;
  return out;
}

base::Result<Fields> RouteTable::read_fields(const Match& match, const Json& data) {
  Fields fields;
  fields.values_.reserve(match.route->fields.size());
  for (const auto& [name, value] : match.captures) {
    fields.values_.push_back({name, nullptr, Json(value)});
  }
  for (const Field& field : match.route->fields) {
    if (field.in_path) continue;
    const Json* sent = data.find(field.name);
    if (sent == nullptr || (sent->is_null() && field.type != FieldType::kAny)) continue;
    if (fits_as_it_is(field.type, *sent)) {
      fields.values_.push_back({field.name, sent, Json()});
      continue;
    }
    auto converted = convert(field, *sent);
    if (!converted) return forward(converted);
    fields.values_.push_back({field.name, nullptr, std::move(*converted)});
  }
  return fields;
}

namespace {

// "[a b c]", in byte order.
std::string in_brackets(std::vector<std::string_view>& names) {
  std::ranges::sort(names);
  std::string text = "[";
  for (std::string_view name : names) {
    if (text.size() > 1) text += ' ';
    text += name;
  }
  return text += ']';
}

}  // namespace

void RouteTable::warn_of_unused(const Match& match, const Json& data,
                                std::vector<std::string>& warnings) {
  const base::JsonObject* sent = data.as_object();
  if (sent == nullptr || match.route->any_input) return;
  std::vector<std::string_view> unknown;
  std::vector<std::string_view> replaced;
  for (const auto& [name, value] : *sent) {
    const auto field = std::ranges::find(match.route->fields, name, &Field::name);
    if (field == match.route->fields.end()) {
      unknown.push_back(name);
    } else if (field->in_path && !value.is_null()) {
      replaced.push_back(name);
    }
  }
  if (!unknown.empty()) {
    warnings.push_back("Endpoint ignored these unrecognized parameters: " + in_brackets(unknown));
  }
  if (!replaced.empty()) {
    warnings.push_back(
        "Endpoint replaced the value of these parameters with the values captured from the "
        "endpoint's path: " +
        in_brackets(replaced));
  }
}

base::Result<void> Backend::renew_lease(Context&, const HeldLease&, base::WallTime) const {
  return {};
}

base::Result<void> Backend::revoke_lease(Context&, const HeldLease&) const { return {}; }

base::Result<bool> Backend::tend(Context&) const { return false; }

base::Result<std::string> Backend::login_role(Context&) const { return std::string(); }

base::Result<std::optional<TokenParams>> Backend::renew_login(Context&, const Renewal&) const {
  return std::nullopt;
}

}  // namespace rekey::logical
