// KV v2: values and their versions (data/, delete/, undelete/, destroy/, subkeys/).
#include "engine/kv/rows.h"
#include "engine/kv/versioned.h"
#include "logical/answer.h"

namespace rekey::engine::kv {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::JsonWriter;
using base::Result;
using logical::Context;
using logical::Operation;
using logical::Response;

void write_version(JsonWriter& json, const Metadata& metadata, const Version& version) {
  json.begin_object();
  json.member("created_time", base::format_rfc3339(version.created));
  json.key("custom_metadata");
  if (metadata.custom.empty()) {
    json.null();
  } else {
    json.begin_object();
    for (const auto& [key, value] : metadata.custom) {
      json.dynamic_key(key);
      json.value(value);
    }
    json.end_object();
  }
  json.member("deletion_time", version.deletion ? base::format_rfc3339(*version.deletion) : "");
  json.member("destroyed", version.destroyed);
  json.member("version", version.number);
  json.end_object();
}

// {"data": ..., "metadata": {...}}; `value` is JSON text, "null" for what is deleted.
Response version_answer(std::string_view key, std::string_view value, const Metadata& metadata,
                        const Version& version) {
  Response response;
  response.data.reserve(value.size() + 200);
  JsonWriter json(response.data);
  json.begin_object();
  json.key(key);
  json.raw(value);
  json.key("metadata");
  write_version(json, metadata, version);
  json.end_object();
  return response;
}

// Where a client that takes the mount for KV v1 lands: nothing, with a word of advice.
Response not_here(std::string advice) {
  Response response;
  response.status = 404;
  response.warnings.push_back(std::move(advice));
  return response;
}

logical::Handler wrong_path(std::string_view command) {
  return [command](Context&) -> Result<Response> {
    return not_here(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API "
        "endpoints to use. If using the Vault CLI, use 'vault kv " +
        std::string(command) + "' for this operation.");
  };
}

struct Found {
  Metadata metadata;
  Version version;
  std::string value;  // JSON text, or "null" where the version is deleted or destroyed
  bool gone = false;
};

// The version that `version` names; the current one for 0. Failure: kNotFound.
Result<Found> find_version(Context& context, Rows& rows, std::string_view path, int64_t number) {
  if (path.empty() || path.ends_with('/')) return logical::nothing_there();
  auto metadata = rows.metadata(path, false);
  if (!metadata) return forward(metadata);
  if (!*metadata) return logical::nothing_there();
  if (number < 0 || number > UINT32_MAX) return logical::nothing_there();
  const auto wanted = number == 0 ? (*metadata)->current : static_cast<uint32_t>(number);
  const Version* version = (*metadata)->find(wanted);
  if (version == nullptr) return logical::nothing_there();
  Found found{std::move(**metadata), *version, "null", false};
  found.gone = found.version.destroyed || found.version.deleted(context.clock.wall());
  if (found.gone) return found;
  auto value = rows.value(path, wanted);
  if (!value) return forward(value);
  found.value = std::move(*value);
  return found;
}

Result<Response> read(Context& context) {
  if (context.fields.text("path").empty() && !context.request.path.ends_with('/')) {
    return not_here("Non-listing operations on the root of a K/V v2 mount are not supported.");
  }
  Rows rows(context);
  auto found =
      find_version(context, rows, context.fields.text("path"), context.fields.integer("version"));
  if (!found) return forward(found);
  Response response = version_answer("data", found->value, found->metadata, found->version);
  if (found->gone) response.status = 404;  // with a body: what there was, but not its value
  return response;
}

// Checks `options.cas` against what is there.
Result<void> check_cas(const Context& context, const Settings& settings, const Metadata* metadata) {
  const JsonObject* options = context.fields.object("options");
  const Json* cas = options == nullptr ? nullptr : options->find("cas");
  const bool required = settings.cas_required || (metadata != nullptr && metadata->cas_required);
  if (cas == nullptr || cas->is_null()) {
    if (!required) return {};
    return logical::bad_request("check-and-set parameter required for this call");
  }
  auto expected = cas->as_int();
  if (!expected && cas->as_string()) {
    if (const auto parsed = Json::parse(*cas->as_string())) expected = parsed->as_int();
  }
  if (!expected) return logical::bad_request("error parsing check-and-set parameter");
  const int64_t current = metadata == nullptr ? 0 : metadata->current;
  if (*expected != current) {
    return logical::bad_request("check-and-set parameter did not match the current version");
  }
  return {};
}

// Adds a version with this value, drops those beyond the number to keep.
Result<Response> add_version(Context& context, Rows& rows, std::string_view path,
                             const Settings& settings, Metadata metadata, std::string value) {
  const base::WallTime now = context.clock.wall();
  if (metadata.current == 0 && metadata.created == base::WallTime{}) metadata.created = now;
  metadata.updated = now;
  Version added{.number = metadata.current + 1, .created = now};
  added.deletion = deletion_time(metadata, settings, now);
  metadata.current = added.number;
  metadata.versions.push_back(added);
  const uint32_t kept = versions_kept(metadata, settings);
  while (metadata.versions.size() > kept) {
    auto erased = rows.erase_value(path, metadata.versions.front().number);
    if (!erased) return forward(erased);
    metadata.versions.erase(metadata.versions.begin());
    metadata.oldest = metadata.versions.front().number;
  }
  auto written = rows.write_value(path, added.number, std::move(value));
  if (!written) return forward(written);
  auto saved = rows.write_metadata(path, metadata);
  if (!saved) return forward(saved);
  Response response;
  JsonWriter json(response.data);
  write_version(json, metadata, added);
  return response;
}

Result<Response> write(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty() || path.ends_with('/')) return logical::bad_request("missing path");
  const Json* data = context.request.data.find("data");
  if (data == nullptr || data->is_null()) return logical::bad_request("no data provided");
  if (!data->is_object()) return logical::bad_request("\"data\" must be an object");
  Rows rows(context);
  auto settings = rows.settings();
  if (!settings) return forward(settings);
  auto metadata = rows.metadata(path, true);
  if (!metadata) return forward(metadata);
  auto allowed = check_cas(context, *settings, *metadata ? &**metadata : nullptr);
  if (!allowed) return forward(allowed);
  return add_version(context, rows, path, *settings, *metadata ? std::move(**metadata) : Metadata{},
                     data->dump());
}

// RFC 7396 (JSON merge patch).
void merge(Json& target, const Json& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = JsonObject{};
  for (const auto& [key, value] : *patch.as_object()) {
    if (value.is_null()) {
      target.as_object()->erase(key);
    } else if (Json* member = target.as_object()->find(key)) {
      merge(*member, value);
    } else {
      Json fresh;
      merge(fresh, value);
      target.as_object()->set(key, std::move(fresh));
    }
  }
}

Result<Response> patch(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty() || path.ends_with('/')) return logical::bad_request("missing path");
  const Json* data = context.request.data.find("data");
  if (data == nullptr || !data->is_object()) return logical::bad_request("no data provided");
  Rows rows(context);
  auto settings = rows.settings();
  if (!settings) return forward(settings);
  auto metadata = rows.metadata(path, true);
  if (!metadata) return forward(metadata);
  if (!*metadata) return logical::nothing_there();
  const Version* current = (*metadata)->find((*metadata)->current);
  if (current == nullptr) return logical::nothing_there();
  if (current->destroyed || current->deleted(context.clock.wall())) {
    Response response;
    JsonWriter json(response.data);
    write_version(json, **metadata, *current);
    response.status = 404;
    return response;
  }
  auto allowed = check_cas(context, *settings, &**metadata);
  if (!allowed) return forward(allowed);
  auto text = rows.value(path, current->number);
  if (!text) return forward(text);
  auto value = Json::parse(*text);
  if (!value) return base::fail(ErrorKind::kCorrupt, "the stored value is not JSON");
  merge(*value, *data);
  return add_version(context, rows, path, *settings, std::move(**metadata), value->dump());
}

Result<Response> erase_latest(Context& context) {
  const std::string_view path = context.fields.text("path");
  Rows rows(context);
  auto metadata = rows.metadata(path, true);
  if (!metadata) return forward(metadata);
  if (!*metadata) return Response{};
  const base::WallTime now = context.clock.wall();
  Version* current = (*metadata)->find((*metadata)->current);
  if (current == nullptr || current->destroyed || current->deleted(now)) return Response{};
  current->deletion = now;
  (*metadata)->updated = now;
  auto saved = rows.write_metadata(path, **metadata);
  if (!saved) return forward(saved);
  return Response{};
}

// What delete/, undelete/ and destroy/ have in common: a change to each of the named versions.
Result<Response> change_versions(
    Context& context,
    const std::function<Result<void>(Rows&, std::string_view path, Version&)>& change,
    const char* none_given = "No version number provided") {
  const std::string_view path = context.fields.text("path");
  const std::vector<std::string> numbers = context.fields.strings("versions");
  if (numbers.empty()) return logical::bad_request(none_given);
  Rows rows(context);
  auto metadata = rows.metadata(path, true);
  if (!metadata) return forward(metadata);
  if (!*metadata) return Response{};
  for (const std::string& text : numbers) {
    const auto number = Json::parse(text);
    if (!number || !number->as_int() || *number->as_int() < 0 || *number->as_int() > UINT32_MAX) {
      return logical::bad_request("a version must be a whole number");
    }
    Version* version = (*metadata)->find(static_cast<uint32_t>(*number->as_int()));
    if (version == nullptr || version->destroyed) continue;
    auto changed = change(rows, path, *version);
    if (!changed) return forward(changed);
  }
  (*metadata)->updated = context.clock.wall();
  auto saved = rows.write_metadata(path, **metadata);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> erase_versions(Context& context) {
  const base::WallTime now = context.clock.wall();
  return change_versions(context, [now](Rows&, std::string_view, Version& version) -> Result<void> {
    if (!version.deleted(now)) version.deletion = now;
    return {};
  });
}

Result<Response> undelete(Context& context) {
  return change_versions(context, [](Rows&, std::string_view, Version& version) -> Result<void> {
    version.deletion.reset();
    return {};
  });
}

Result<Response> destroy(Context& context) {
  return change_versions(
      context,
      [](Rows& rows, std::string_view path, Version& version) -> Result<void> {
        version.destroyed = true;
        return rows.erase_value(path, version.number);
      },
      "no version number provided");
}

// The shape of a value: every leaf is null, down to `depth` levels (0: all of them).
Json shape_of(const Json& value, int64_t depth) {
  const JsonObject* object = value.as_object();
  if (object == nullptr || object->empty()) return Json();
  JsonObject out;
  for (const auto& [key, member] : *object) {
    out.set(key, depth == 1 ? Json() : shape_of(member, depth - 1));
  }
  return out;
}

Result<Response> subkeys(Context& context) {
  Rows rows(context);
  auto found =
      find_version(context, rows, context.fields.text("path"), context.fields.integer("version"));
  if (!found) return forward(found);
  std::string shape = "null";
  if (!found->gone) {
    auto value = Json::parse(found->value);
    if (!value) return base::fail(ErrorKind::kCorrupt, "the stored value is not JSON");
    Json whole = shape_of(*value, std::max<int64_t>(0, context.fields.integer("depth")));
    shape = whole.is_null() ? "{}" : whole.dump();
  }
  Response response = version_answer("subkeys", shape, found->metadata, found->version);
  if (found->gone) response.status = 404;
  // Vault puts the metadata first; order has no meaning in JSON.
  return response;
}

Result<bool> exists(Context& context) {
  Rows rows(context);
  auto metadata = rows.metadata(context.fields.text("path"), false);
  if (!metadata) return forward(metadata);
  return metadata->has_value();
}

}  // namespace

void VersionedEngine::add_data_routes() {
  using logical::Field;
  using logical::FieldType;
  const Field path{"path", FieldType::kString, "Location of the secret."};
  const Field version{"version", FieldType::kInteger, "Which version; 0 or none for the current."};
  const Field versions{"versions", FieldType::kStrings, "The numbers of the versions."};
  routes_.add({.pattern = "data/{path*}",
               .fields = {path,
                          version,
                          {"data", FieldType::kObject, "The secret: an object."},
                          {"options", FieldType::kObject, "\"cas\": the version this replaces."}},
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, write},
                            {Operation::kPatch, patch},
                            {Operation::kDelete, erase_latest}},
               .synopsis = "Write, patch, read and delete versions of a secret.",
               .exists = exists});
  routes_.add({.pattern = "delete/{path*}",
               .fields = {path, versions},
               .handlers = {{Operation::kUpdate, erase_versions}},
               .synopsis = "Marks versions as deleted; they can be undeleted."});
  routes_.add({.pattern = "undelete/{path*}",
               .fields = {path, versions},
               .handlers = {{Operation::kUpdate, undelete}},
               .synopsis = "Brings deleted versions back."});
  routes_.add({.pattern = "destroy/{path*}",
               .fields = {path, versions},
               .handlers = {{Operation::kUpdate, destroy}},
               .synopsis = "Removes the values of versions for good."});
  routes_.add(
      {.pattern = "subkeys/{path*}",
       .fields = {path, version, {"depth", FieldType::kInteger, "How deep to go; 0 for all."}},
       .handlers = {{Operation::kRead, subkeys}},
       .synopsis = "The structure of a secret, with every value left out."});
}

VersionedEngine::VersionedEngine() {
  add_data_routes();
  add_metadata_routes();
  routes_.add({.pattern = "{path*}",
               .handlers = {{Operation::kRead, wrong_path("get")},
                            {Operation::kUpdate, wrong_path("put")},
                            {Operation::kPatch, wrong_path("patch")},
                            {Operation::kDelete, wrong_path("delete")},
                            {Operation::kList, wrong_path("list")}},
               .synopsis = "Keeps secrets with their earlier versions, under data/ and metadata/.",
               .hidden = true,
               .any_input = true});
}

}  // namespace rekey::engine::kv
