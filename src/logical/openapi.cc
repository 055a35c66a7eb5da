#include "logical/openapi.h"

#include <algorithm>

namespace rekey::logical {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;

JsonObject schema_of(FieldType type) {
  switch (type) {
    case FieldType::kString:
      return {{"type", "string"}};
    case FieldType::kInteger:
      return {{"type", "integer"}};
    case FieldType::kBoolean:
      return {{"type", "boolean"}};
    case FieldType::kDuration:
      return {{"type", "integer"}, {"format", "seconds"}};
    case FieldType::kStrings:
      return {{"type", "array"}, {"items", JsonObject{{"type", "string"}}}};
    case FieldType::kStringMap:
      return {{"type", "object"}, {"format", "kvpairs"}};
    case FieldType::kObject:
      return {{"type", "object"}, {"format", "map"}};
    case FieldType::kAny:
      return {};  // anything
  }
  return {};
}

JsonObject parameter(const Field& field, std::string_view place) {
  JsonObject out{{"name", field.name},
                 {"description", field.description},
                 {"in", place},
                 {"schema", schema_of(field.type)}};
  if (place == "path") out.set("required", true);
  return out;
}

// "/auth/token/roles/{role_name}": as clients' generators expect it, without our star.
std::string shown_path(const Mount& mount, const Route& route) {
  std::string path = "/" + mount.path + route.pattern;
  std::erase(path, '*');
  return path;
}

// "sys/mounts/{path}/tune" makes SysMountsPathTune: the last part of names.
std::string camel(std::string_view path) {
  std::string out;
  bool upper = true;
  for (const char c : path) {
    const bool letter = isalnum(static_cast<unsigned char>(c)) != 0;
    if (letter) out += upper ? static_cast<char>(toupper(static_cast<unsigned char>(c))) : c;
    upper = !letter;
  }
  return out;
}

std::string_view tag_of(const Mount& mount) {
  if (mount.is_auth()) return "auth";
  if (mount.path == "sys/") return "system";
  return mount.path == "identity/" ? "identity" : "secrets";
}

bool has_body(const Field& field) { return !field.in_path; }

// The operations of one route, as members of its path.
class PathItem {
 public:
  PathItem(const Mount& mount, const Route& route)
      : mount_(mount), route_(route), path_(shown_path(mount, route)) {}

  JsonObject common() const {
    JsonObject item{{"description", route_.synopsis}};
    JsonArray parameters;
    for (const Field& field : route_.fields) {
      if (field.in_path) parameters.emplace_back(parameter(field, "path"));
    }
    if (!parameters.empty()) item.set("parameters", std::move(parameters));
    if (route_.sudo) item.set("x-vault-sudo", true);
    if (route_.unauthenticated) item.set("x-vault-unauthenticated", true);
    if (route_.exists) item.set("x-vault-createSupported", true);
    return item;
  }

  JsonObject operation(std::string_view verb, int status) const {
    JsonObject out{
        {"summary", route_.synopsis},
        {"operationId", std::string(verb) + camel(path_)},
        {"tags", JsonArray{tag_of(mount_)}},
        {"responses",
         JsonObject{{std::to_string(status),
                     JsonObject{{"description", status == 204 ? "empty body" : "OK"}}}}}};
    if (!route_.description.empty()) out.set("description", route_.description);
    return out;
  }

  JsonObject list() const {
    JsonObject out = operation("list", 200);
    JsonArray query{
        JsonObject{{"name", "list"},
                   {"description", "Must be set to `true`"},
                   {"in", "query"},
                   {"required", true},
                   {"schema", JsonObject{{"type", "string"}, {"enum", JsonArray{Json("true")}}}}}};
    for (const Field& field : route_.fields) {
      if (field.name == "after" || field.name == "limit") {
        query.emplace_back(parameter(field, "query"));
      }
    }
    out.set("parameters", std::move(query));
    return out;
  }

  JsonObject read() const {
    JsonObject out = operation("get", 200);
    // Where there is a body to write, the fields are its; which of them a read takes as well isn't
    // in the table.
    if (writes()) return out;
    JsonArray query;
    for (const Field& field : route_.fields) {
      if (has_body(field) && field.name != "after" && field.name != "limit") {
        query.emplace_back(parameter(field, "query"));
      }
    }
    if (!query.empty()) out.set("parameters", std::move(query));
    return out;
  }

  JsonObject write(std::string_view verb, JsonObject& schemas) const {
    JsonObject out = operation(verb, 200);
    JsonObject properties;
    for (const Field& field : route_.fields) {
      if (!has_body(field)) continue;
      JsonObject schema = schema_of(field.type);
      schema.set("description", field.description);
      properties.set(field.name, std::move(schema));
    }
    if (properties.empty()) return out;
    const std::string name = camel(path_) + "Request";
    schemas.set(name, JsonObject{{"type", "object"}, {"properties", std::move(properties)}});
    out.set(
        "requestBody",
        JsonObject{
            {"required", true},
            {"content",
             JsonObject{
                 {media_type(verb),
                  JsonObject{{"schema", JsonObject{{"$ref", "#/components/schemas/" + name}}}}}}}});
    return out;
  }

  const std::string& path() const { return path_; }
  bool writes() const {
    return route_.handler(Operation::kUpdate) != nullptr ||
           route_.handler(Operation::kPatch) != nullptr;
  }

 private:
  static std::string media_type(std::string_view verb) {
    return verb == "patch" ? "application/merge-patch+json" : "application/json";
  }

  const Mount& mount_;
  const Route& route_;
  std::string path_;
};

}  // namespace

void OpenApi::add(const Mount& mount) {
  for (const auto& route : mount.backend->routes().routes()) {
    if (!route->hidden) add(mount, *route);
  }
}

void OpenApi::add(const Mount& mount, const Route& route) {
  const PathItem made(mount, route);
  const bool reads = route.handler(Operation::kRead) != nullptr;
  const bool erases = route.handler(Operation::kDelete) != nullptr;
  if (reads || erases || made.writes()) {
    JsonObject item = made.common();
    if (reads) item.set("get", made.read());
    if (route.handler(Operation::kUpdate) != nullptr)
      item.set("post", made.write("post", schemas_));
    if (route.handler(Operation::kPatch) != nullptr) {
      item.set("patch", made.write("patch", schemas_));
    }
    if (erases) item.set("delete", made.operation("delete", 204));
    paths_.set(made.path(), std::move(item));
  }
  if (route.handler(Operation::kList) != nullptr) {
    JsonObject item = made.common();
    item.set("get", made.list());
    paths_.set(made.path() + (made.path().ends_with('/') ? "" : "/"), std::move(item));
  }
}

JsonObject OpenApi::document() && {
  return {
      {"openapi", "3.0.2"},
      {"info",
       JsonObject{{"title", "HashiCorp Vault API"},
                  {"description", "The API of Vault, as this Rekey server serves it."},
                  {"version", kVaultVersion},
                  {"license", JsonObject{{"name", "Apache License 2.0"},
                                         {"url", "https://www.apache.org/licenses/LICENSE-2.0"}}}}},
      {"paths", std::move(paths_)},
      {"components", JsonObject{{"schemas", std::move(schemas_)}}}};
}

JsonObject path_help(const Mount& mount, const Route& route) {
  std::string text = "Request:        " + shown_path(mount, route).substr(1) +
                     "\n\nDESCRIPTION\n\n    " + std::string(route.synopsis);
  if (!route.description.empty()) text += "\n\n    " + std::string(route.description);
  if (!route.fields.empty()) text += "\n\nPARAMETERS\n";
  for (const Field& field : route.fields) {
    text += "\n    " + std::string(field.name) + ": " + std::string(field.description);
  }
  OpenApi description;
  description.add(mount, route);
  return {{"help", std::move(text)},
          {"see_also", nullptr},
          {"openapi", std::move(description).document()}};
}

JsonObject mount_help(const Mount& mount) {
  std::string text = "DESCRIPTION\n\n    " +
                     (mount.description.empty() ? mount.type : mount.description) + "\n\nPATHS\n";
  OpenApi description;
  for (const auto& route : mount.backend->routes().routes()) {
    if (route->hidden) continue;
    text += "\n    " + shown_path(mount, *route).substr(1 + mount.path.size()) + "\n        " +
            std::string(route->synopsis) + "\n";
    description.add(mount, *route);
  }
  return {{"help", std::move(text)},
          {"see_also", nullptr},
          {"openapi", std::move(description).document()}};
}

}  // namespace rekey::logical
