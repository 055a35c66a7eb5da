// kv metadata get, put, patch, delete.
#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <ostream>

#include "cli/commands.h"
#include "cli/kv.h"

namespace rekey::cli {

using base::Json;
using base::JsonObject;
using base::Result;

namespace {

// The path's metadata path, or an exit code after saying why there is none.
std::optional<std::string> metadata_path(Context& context, int& code) {
  Result<KvPath> path = find_kv_path(context, context.argument(0));
  if (!path) {
    code = context.fail(2, path.error().message());
    return std::nullopt;
  }
  if (!path->is_v2) {
    code = context.fail(1, "Metadata not supported on KV Version 1");
    return std::nullopt;
  }
  return path->full("metadata");
}

int version_number(const std::string& text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

int get(Context& context) {
  int code = 0;
  const std::optional<std::string> path = metadata_path(context, code);
  if (!path) return code;
  Result<Reply> reply = context.api().send({.path = *path, .missing_is_ok = true});
  if (!reply) return context.fail(2, fmt::format("Error reading {}: ", *path), reply.error());
  const Json* data = reply->data();
  if (data == nullptr || !data->is_object()) {
    return context.fail(2, "No value found at " + *path);
  }
  if (const std::string field = context.flags().text("field"); !field.empty()) {
    return context.show_field(data->find(field), "secret");
  }
  if (!context.is_table()) return context.show_secret(*reply);
  Json all = *data;
  const Json versions = data->find("versions") ? *data->find("versions") : Json();
  all.as_object()->erase("versions");
  std::ostream& out = context.console().out;
  out << secret_path_block("Metadata Path", *path) << titled_table("Metadata", all);
  if (!versions.is_object()) return 0;
  std::vector<JsonObject::Member> sorted(versions.as_object()->begin(),
                                         versions.as_object()->end());
  std::ranges::sort(sorted, {}, [](const auto& version) { return version_number(version.first); });
  for (const auto& [number, version] : sorted) {
    if (version.is_object()) out << "\n" << titled_table("Version " + number, version);
  }
  return 0;
}

JsonObject settings_given(const Context& context) {
  const Flags& flags = context.flags();
  JsonObject body;
  if (const auto versions = flags.integer("max-versions")) body.set("max_versions", *versions);
  if (flags.given("cas-required")) body.set("cas_required", flags.on("cas-required"));
  if (const auto after = flags.duration("delete-version-after")) {
    body.set("delete_version_after", base::format_duration(*after));
  }
  JsonObject custom;
  for (const auto& [name, value] : flags.pairs("custom-metadata")) custom.set(name, value);
  for (const std::string& name : flags.texts("remove-custom-metadata")) custom.set(name, Json());
  if (!custom.empty()) body.set("custom_metadata", Json(std::move(custom)));
  return body;
}

int put(Context& context) {
  int code = 0;
  const std::optional<std::string> path = metadata_path(context, code);
  if (!path) return code;
  Result<Reply> reply = context.api().put(*path, settings_given(context));
  if (!reply) {
    return context.fail(2, fmt::format("Error writing data to {}: ", *path), reply.error());
  }
  return show_written(context, *reply, *path);
}

int patch(Context& context) {
  int code = 0;
  const std::optional<std::string> path = metadata_path(context, code);
  if (!path) return code;
  Result<Reply> reply = context.api().send({.method = "PATCH",
                                            .path = *path,
                                            .body = Json(settings_given(context)),
                                            .content_type = "application/merge-patch+json"});
  if (!reply) {
    return context.fail(2, fmt::format("Error writing data to {}: ", *path), reply.error());
  }
  return show_written(context, *reply, *path);
}

int erase(Context& context) {
  int code = 0;
  const std::optional<std::string> path = metadata_path(context, code);
  if (!path) return code;
  Result<Reply> reply = context.api().erase(*path);
  if (!reply) return context.fail(2, fmt::format("Error deleting {}: ", *path), reply.error());
  if (context.is_table()) context.say("Success! Data deleted (if it existed) at: " + *path);
  return 0;
}

constexpr FlagSpec kCasRequired = {
    .name = "cas-required",
    .kind = FlagKind::kSwitch,
    .help = "Every write must then say which version it replaces (-cas)."};
constexpr FlagSpec kMaxVersions = {
    .name = "max-versions", .kind = FlagKind::kInteger, .help = "How many versions to keep."};
constexpr FlagSpec kDeleteAfter = {.name = "delete-version-after",
                                   .kind = FlagKind::kDuration,
                                   .help = "How long after its writing a version is deleted."};
constexpr FlagSpec kCustom = {.name = "custom-metadata",
                              .kind = FlagKind::kPairs,
                              .help = "A remark on the secret, for all its versions."};
constexpr FlagSpec kRemoveCustom = {
    .name = "remove-custom-metadata", .kind = FlagKind::kTexts, .help = "A remark to remove."};

constexpr FlagSpec kGetFlags[] = {kMountFlag};
constexpr FlagSpec kPutFlags[] = {kMountFlag, kCasRequired, kMaxVersions, kDeleteAfter, kCustom};
constexpr FlagSpec kPatchFlags[] = {kMountFlag,   kCasRequired, kMaxVersions,
                                    kDeleteAfter, kCustom,      kRemoveCustom};

constexpr Command kCommands[] = {
    {.name = "kv metadata get",
     .summary = "Retrieve key metadata from the KV store",
     .usage = "[options] KEY",
     .help = "Shows a secret's settings and its versions.\n\n"
             "    $ rekey kv metadata get -mount=secret foo",
     .run = get,
     .flags = kGetFlags,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "kv metadata put",
     .summary = "Set or update key settings in the KV store",
     .usage = "[options] KEY",
     .help = "Sets a secret's settings; remarks are replaced as a whole.\n\n"
             "    $ rekey kv metadata put -mount=secret -max-versions=5 foo\n\n"
             "    $ rekey kv metadata put -mount=secret -delete-version-after=3h25m19s foo\n\n"
             "    $ rekey kv metadata put -mount=secret -custom-metadata=owner=ann foo",
     .run = put,
     .flags = kPutFlags,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "kv metadata patch",
     .summary = "Patch key settings in the KV store",
     .usage = "[options] KEY",
     .help = "Changes some of a secret's settings and leaves the others.\n\n"
             "    $ rekey kv metadata patch -mount=secret -custom-metadata=owner=bob foo",
     .run = patch,
     .flags = kPatchFlags,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "kv metadata delete",
     .summary = "Delete all versions and metadata for a key in the KV store",
     .usage = "[options] KEY",
     .help = "Removes a secret with all that is known of it, for good.\n\n"
             "    $ rekey kv metadata delete -mount=secret foo",
     .run = erase,
     .flags = kGetFlags,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
};

}  // namespace

std::span<const Command> kv_metadata_commands() { return kCommands; }

}  // namespace rekey::cli
