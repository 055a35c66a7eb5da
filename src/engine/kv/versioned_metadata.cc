// KV v2: the metadata of paths and the settings of the mount (metadata/, config).
#include <algorithm>

#include "engine/kv/rows.h"
#include "engine/kv/versioned.h"
#include "logical/answer.h"

namespace rekey::engine::kv {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Operation;
using logical::Response;

Result<Response> read_settings(Context& context) {
  auto settings = Rows(context).settings();
  if (!settings) return forward(settings);
  return logical::with_data(
      {{"max_versions", static_cast<int64_t>(settings->max_versions)},
       {"cas_required", settings->cas_required},
       {"delete_version_after", base::format_duration(settings->delete_version_after)}});
}

Result<Response> write_settings(Context& context) {
  Rows rows(context);
  auto settings = rows.settings();
  if (!settings) return forward(settings);
  const logical::Fields& fields = context.fields;
  if (fields.has("max_versions")) {
    const int64_t versions = fields.integer("max_versions");
    if (versions < 0 || versions > UINT32_MAX)
      return logical::bad_request("max_versions must not be negative");
    settings->max_versions = static_cast<uint32_t>(versions);
  }
  settings->cas_required = fields.flag("cas_required", settings->cas_required);
  if (const auto after = fields.duration("delete_version_after")) {
    // Negative: no version is deleted by its age, whatever its path says.
    settings->delete_version_after = std::max(*after, base::Duration(std::chrono::seconds(-1)));
  }
  auto saved = rows.write_settings(*settings);
  if (!saved) return forward(saved);
  return Response{};
}

Json describe_custom(const Metadata& metadata) {
  if (metadata.custom.empty()) return Json();
  JsonObject custom;
  for (const auto& [key, value] : metadata.custom) custom.set(key, value);
  return custom;
}

Result<Response> read_metadata(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty()) return base::fail(ErrorKind::kUnsupported, "unsupported operation");
  auto metadata = Rows(context).metadata(path, false);
  if (!metadata) return forward(metadata);
  if (!*metadata) return logical::nothing_there();
  JsonObject versions;
  for (const Version& version : (*metadata)->versions) {
    versions.set(std::to_string(version.number),
                 JsonObject{{"created_time", base::format_rfc3339(version.created)},
                            {"deletion_time",
                             version.deletion ? base::format_rfc3339(*version.deletion) : ""},
                            {"destroyed", version.destroyed}});
  }
  return logical::with_data(
      {{"versions", std::move(versions)},
       {"current_version", static_cast<int64_t>((*metadata)->current)},
       {"oldest_version", static_cast<int64_t>((*metadata)->oldest)},
       {"created_time", base::format_rfc3339((*metadata)->created)},
       {"updated_time", base::format_rfc3339((*metadata)->updated)},
       {"max_versions", static_cast<int64_t>((*metadata)->max_versions)},
       {"cas_required", (*metadata)->cas_required},
       {"delete_version_after", base::format_duration((*metadata)->delete_version_after)},
       {"custom_metadata", describe_custom(**metadata)}});
}

bool printable(std::string_view text) {
  return std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

// What is wrong with one pair, in Vault's words; nothing where it is well.
std::vector<std::string> wrongs_of(const std::string& key, const std::string& value) {
  std::vector<std::string> wrongs;
  const std::string quoted = Json(key).dump();
  const auto length = [&](const std::string& what, std::string_view name, size_t is, size_t most) {
    if (is >= 1 && is <= most) return;
    wrongs.push_back("length of " + what + " is " + std::to_string(is) + " but must be 0 < len(" +
                     std::string(name) + ") <= " + std::to_string(most));
  };
  length("key " + quoted, "key", key.size(), kCustomMetadataKeyBytesMax);
  length("value for key " + quoted, "value", value.size(), kCustomMetadataValueBytesMax);
  if (!printable(key)) {
    wrongs.push_back("key " + quoted + " contains unprintable characters");
  }
  if (!printable(value)) {
    wrongs.push_back("value for key " + quoted + " contains unprintable characters");
  }
  return wrongs;
}

Result<void> check_custom(const std::map<std::string, std::string>& custom) {
  std::vector<std::string> wrongs;
  if (custom.size() > kCustomMetadataKeysMax) {
    wrongs.push_back("payload must contain at most " + std::to_string(kCustomMetadataKeysMax) +
                     " keys, provided " + std::to_string(custom.size()));
  } else {
    for (const auto& [key, value] : custom) {
      for (std::string& wrong : wrongs_of(key, value)) wrongs.push_back(std::move(wrong));
    }
  }
  if (wrongs.empty()) return {};
  std::string text = wrongs.size() == 1 ? "1 error" : std::to_string(wrongs.size()) + " errors";
  text += " occurred:\n";
  for (const std::string& wrong : wrongs) {
    text += "\t* custom_metadata validation failed: " + wrong + "\n";
  }
  return logical::bad_request(text + "\n");
}

// What POST and PATCH have in common; `patch` merges the custom metadata instead of replacing it.
Result<void> apply_fields(const logical::Fields& fields, bool patch, Metadata& metadata) {
  if (fields.has("max_versions")) {
    const int64_t versions = fields.integer("max_versions");
    if (versions < 0 || versions > UINT32_MAX) {
      return logical::bad_request("max_versions must not be negative");
    }
    metadata.max_versions = static_cast<uint32_t>(versions);
  }
  metadata.cas_required = fields.flag("cas_required", metadata.cas_required);
  if (const auto after = fields.duration("delete_version_after")) {
    if (after->count() < 0) {
      return logical::bad_request("\"delete_version_after\" must not be negative");
    }
    metadata.delete_version_after = *after;
  }
  const JsonObject* custom = fields.object("custom_metadata");
  if (custom == nullptr) return {};
  if (!patch) metadata.custom.clear();
  for (const auto& [key, value] : *custom) {
    if (value.is_null()) {
      metadata.custom.erase(key);
    } else if (const std::string* text = value.as_string()) {
      metadata.custom[key] = *text;
    } else if (value.is_bool() || value.as_number() != nullptr) {
      metadata.custom[key] = value.dump();
    } else {
      return logical::bad_request("custom_metadata validation failed: values must be strings");
    }
  }
  return check_custom(metadata.custom);
}

Result<Response> write_metadata(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty() || path.ends_with('/')) return logical::bad_request("missing path");
  Rows rows(context);
  auto metadata = rows.metadata(path, true);
  if (!metadata) return forward(metadata);
  Metadata changed = *metadata ? std::move(**metadata) : Metadata{};
  const base::WallTime now = context.clock.wall();
  if (!*metadata) changed.created = now;
  changed.updated = now;
  auto applied = apply_fields(context.fields, false, changed);
  if (!applied) return forward(applied);
  auto saved = rows.write_metadata(path, changed);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> patch_metadata(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty() || path.ends_with('/')) return logical::bad_request("missing path");
  Rows rows(context);
  auto metadata = rows.metadata(path, true);
  if (!metadata) return forward(metadata);
  if (!*metadata) return logical::nothing_there();
  (*metadata)->updated = context.clock.wall();
  auto applied = apply_fields(context.fields, true, **metadata);
  if (!applied) return forward(applied);
  auto saved = rows.write_metadata(path, **metadata);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> erase_metadata(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty()) return logical::bad_request("missing path");
  Rows rows(context);
  auto metadata = rows.metadata(path, true);
  if (!metadata) return forward(metadata);
  if (!*metadata) return Response{};
  auto erased = rows.erase_all(path, **metadata);
  if (!erased) return forward(erased);
  return Response{};
}

Result<Response> list(Context& context) {
  std::string folder(context.fields.text("path"));
  if (!folder.empty() && !folder.ends_with('/')) folder += '/';
  auto page = logical::read_page(context.fields);
  if (!page) return forward(page);
  auto names = Rows(context).list(folder, page->after, page->limit);
  if (!names) return forward(names);
  return logical::with_keys(*names);
}

Result<bool> exists(Context& context) {
  auto metadata = Rows(context).metadata(context.fields.text("path"), false);
  if (!metadata) return forward(metadata);
  return metadata->has_value();
}

}  // namespace

void VersionedEngine::add_metadata_routes() {
  using logical::Field;
  using logical::FieldType;
  const Field max_versions{"max_versions", FieldType::kInteger,
                           "How many versions to keep; 0 for the default, 10."};
  const Field cas_required{"cas_required", FieldType::kBoolean,
                           "Whether every write must name the version that it replaces."};
  const Field delete_after{"delete_version_after", FieldType::kDuration,
                           "How long after its creation a version is deleted; 0 for never."};
  const Field delete_all_after{"delete_version_after", FieldType::kDuration,
                               "How long after its creation a version is deleted; 0 for what the "
                               "path says, negative for never, whatever the path says."};
  routes_.add(
      {.pattern = "config",
       .fields = {max_versions, cas_required, delete_all_after},
       .handlers = {{Operation::kRead, read_settings}, {Operation::kUpdate, write_settings}},
       .synopsis = "Settings of this mount, for paths that have none of their own."});
  routes_.add({.pattern = "metadata/{path*}",
               .fields = {{"path", FieldType::kString, "Location of the secret."},
                          max_versions,
                          cas_required,
                          delete_after,
                          {"custom_metadata", FieldType::kObject,
                           "Strings of your own, kept with the path."},
                          logical::after_field(),
                          logical::limit_field()},
               .handlers = {{Operation::kRead, read_metadata},
                            {Operation::kUpdate, write_metadata},
                            {Operation::kPatch, patch_metadata},
                            {Operation::kDelete, erase_metadata},
                            {Operation::kList, list}},
               .synopsis = "Metadata and versions of a secret; listing of paths.",
               .description = "Deleting it removes the path with all its versions, for good.",
               .exists = exists});
}

}  // namespace rekey::engine::kv
