// kv get, put, patch, delete, undelete, destroy, list, rollback, enable-versioning.
#include "cli/kv.h"

#include <fmt/format.h>
#include <algorithm>
#include <ostream>

#include "cli/commands.h"
#include "cli/secret.h"
#include "cli/values.h"

namespace rekey::cli {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;

std::string KvPath::full(std::string_view part) const {
  if (!is_v2) return mount.empty() ? rest : clean_path(mount + rest);
  return clean_path(mount + std::string(part) + "/" + rest);
}

Result<KvPath> find_kv_path(Context& context, std::string_view argument) {
  const std::string given_mount = clean_path(context.flags().text("mount"));
  const std::string path = clean_path(argument);
  const std::string whole = given_mount.empty() ? path : given_mount;
  Result<Reply> reply = context.api().send(
      {.path = "sys/internal/ui/mounts/" + whole, .missing_is_ok = true, .always = true});
  if (!reply) return forward(reply);
  KvPath found;
  const Json* data = reply->data();
  if (reply->status == 404 || data == nullptr) {
    found.rest = given_mount.empty() ? path : given_mount + "/" + path;
    return found;
  }
  found.mount = data->string_or("path", "");
  const Json* options = data->find("options");
  found.is_v2 = options != nullptr && options->string_or("version", "1") == "2";
  const std::string full = given_mount.empty() ? path : found.mount + path;
  found.rest = full + "/" == found.mount       ? ""
               : full.starts_with(found.mount) ? full.substr(found.mount.size())
                                               : full;
  return found;
}

std::vector<std::string> versions_given(const Flags& flags) {
  std::vector<std::string> versions;
  for (std::string_view text : flags.texts("versions")) {
    while (!text.empty()) {
      const size_t end = std::min(text.find(','), text.size());
      if (end > 0) versions.push_back(clean_path(text.substr(0, end)));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  return versions;
}

namespace {

std::string equal_signs_around(std::string_view title, size_t width) {
  const size_t bare = title.size() + 2;
  const size_t signs = width > bare ? (width - bare + 1) / 2 : 2;
  return fmt::format("{0} {1} {0}", std::string(signs, '='), title);
}

bool is_v1(Context& context, const KvPath& path, std::string_view operation, int& code) {
  if (path.is_v2) return false;
  code = context.fail(1, fmt::format("{} not supported on KV Version 1", operation));
  return true;
}

int show_read(Context& context, const Reply& reply, const KvPath& path) {
  const Json* data = reply.data();
  const Json* inner = path.is_v2 && data != nullptr ? data->find("data") : data;
  const std::string field = context.flags().text("field");
  if (!field.empty()) {
    if (path.is_v2 && (inner == nullptr || inner->is_null())) {
      return context.fail(2, "No data found at " + path.full("data"));
    }
    return context.show_field(inner->find(field), "map");
  }
  if (!context.is_table()) return context.show_secret(reply);
  context.show_warnings(reply.json);
  std::ostream& out = context.console().out;
  if (!path.is_v2) {
    out << titled_table("Data", *data);
    return 0;
  }
  out << secret_path_block("Secret Path", path.full("data"));
  const Json* metadata = data->find("metadata");
  if (metadata != nullptr && metadata->is_object()) {
    out << titled_table("Metadata", *metadata) << "\n";
  }
  if (inner != nullptr && inner->is_object()) out << titled_table("Data", *inner);
  return 0;
}

// A 404 with a body is a version that is deleted or destroyed: its metadata is still there.
bool is_missing(const Reply& reply) {
  const Json* data = reply.data();
  return data == nullptr || !data->is_object();
}

bool is_wrapped(const Reply& reply) {
  const Json* wrap = reply.json.find("wrap_info");
  return wrap != nullptr && wrap->is_object();
}

int get(Context& context) {
  Result<KvPath> path = find_kv_path(context, context.argument(0));
  if (!path) return context.fail(2, path.error().message());
  const std::string full = path->full("data");
  Call call{.path = full, .missing_is_ok = true};
  const auto version = context.flags().integer("version");
  if (version && path->is_v2) call.query.emplace_back("version", std::to_string(*version));
  Result<Reply> reply = context.api().send(call);
  if (!reply) return context.fail(2, fmt::format("Error reading {}: ", full), reply.error());
  if (is_wrapped(*reply)) return context.show_secret(*reply);
  if (is_missing(*reply)) return context.fail(2, "No value found at " + full);
  return show_read(context, *reply, *path);
}

// What a write into a versioned store prints: where, and the new version's metadata.
int show_version(Context& context, const Reply& reply, const std::string& full, bool with_path) {
  if (is_missing(reply) || !context.flags().text("field").empty() || !context.is_table() ||
      !with_path) {
    return show_written(context, reply, full);
  }
  context.show_warnings(reply.json);
  context.console().out << secret_path_block("Secret Path", full)
                        << titled_table("Metadata", *reply.data());
  return 0;
}

Result<JsonObject> data_given(const Context& context) {
  const std::span<const std::string> words = context.arguments();
  return parse_values(words.subspan(1), [&] { return context.console().read_all(); });
}

JsonObject with_cas(JsonObject data, std::optional<int64_t> cas) {
  JsonObject options;
  if (cas) options.set("cas", *cas);
  JsonObject body;
  body.set("data", Json(std::move(data)));
  body.set("options", Json(std::move(options)));
  return body;
}

std::optional<int64_t> cas_given(const Context& context, int64_t least) {
  const auto cas = context.flags().integer("cas");
  return cas && *cas >= least ? cas : std::nullopt;
}

int put(Context& context) {
  Result<JsonObject> data = data_given(context);
  if (!data) return context.fail(1, "Failed to parse K=V data: ", data.error());
  if (context.arguments().size() < 2) return context.fail(1, "Must supply data");
  Result<KvPath> path = find_kv_path(context, context.argument(0));
  if (!path) return context.fail(2, path.error().message());
  const std::string full = path->full("data");
  JsonObject body =
      path->is_v2 ? with_cas(std::move(*data), cas_given(context, 0)) : std::move(*data);
  Result<Reply> reply = context.api().put(full, std::move(body));
  if (!reply) {
    return context.fail(2, fmt::format("Error writing data to {}: ", full), reply.error());
  }
  return show_version(context, *reply, full, true);
}

Result<Reply> patch_at_server(Context& context, const std::string& full, JsonObject data) {
  for (const std::string& name : context.flags().texts("remove-data")) data.set(name, Json());
  return context.api().send({.method = "PATCH",
                             .path = full,
                             .body = Json(with_cas(std::move(data), cas_given(context, 1))),
                             .content_type = "application/merge-patch+json"});
}

// Reads, changes and writes under the condition that nobody else wrote in between.
Result<Reply> patch_here(Context& context, const std::string& full, const JsonObject& changes) {
  Result<Reply> old = context.api().send({.path = full, .missing_is_ok = true, .always = true});
  if (!old) return forward(old);
  const Json* data = old->data();
  const Json* before = data == nullptr ? nullptr : data->find("data");
  const Json* metadata = data == nullptr ? nullptr : data->find("metadata");
  if (before == nullptr || !before->is_object() || metadata == nullptr) {
    return base::fail(ErrorKind::kNotFound, "No value found at " + full);
  }
  JsonObject after = *before->as_object();
  for (const auto& [name, value] : changes) after.set(name, value);
  for (const std::string& name : context.flags().texts("remove-data")) after.erase(name);
  const Json* version = metadata->find("version");
  return context.api().put(
      full, with_cas(std::move(after),
                     cas_given(context, 1).value_or(version ? version->as_int().value_or(0) : 0)));
}

int patch(Context& context) {
  Result<JsonObject> data = data_given(context);
  if (!data) return context.fail(1, "Failed to parse K=V data: ", data.error());
  if (data->empty() && !context.flags().given("remove-data")) {
    return context.fail(1, "Must supply data");
  }
  const std::string method = context.flags().text("method");
  if (!method.empty() && method != "patch" && method != "rw") {
    return context.fail(2, "Unsupported method provided to -method flag: " + method);
  }
  Result<KvPath> path = find_kv_path(context, context.argument(0));
  if (!path) return context.fail(2, path.error().message());
  if (!path->is_v2) {
    return context.fail(2, "K/V engine mount must be version 2 for patch support");
  }
  const std::string full = path->full("data");
  Result<Reply> reply =
      method == "rw" ? patch_here(context, full, *data) : patch_at_server(context, full, *data);
  const bool may_read = method.empty() && !reply &&
                        (reply.error().kind() == ErrorKind::kUnsupported ||
                         reply.error().kind() == ErrorKind::kDenied) &&
                        context.api().instead().empty();
  // A server, or a policy, from before PATCH: reading and writing may still be allowed.
  if (may_read) reply = patch_here(context, full, *data);
  if (!reply && reply.error().kind() == ErrorKind::kNotFound) {
    return context.fail(2, "No value found at " + full);
  }
  if (!reply) {
    return context.fail(2, fmt::format("Error writing data to {}: ", full), reply.error());
  }
  return show_version(context, *reply, full, true);
}

int erase(Context& context) {
  Result<KvPath> path = find_kv_path(context, context.argument(0));
  if (!path) return context.fail(2, path.error().message());
  const std::vector<std::string> versions = versions_given(context.flags());
  const std::string full = path->full("data");
  int code = 0;
  if (!versions.empty() && is_v1(context, *path, "Deleting versions", code)) return code;
  Result<Reply> reply =
      versions.empty()
          ? context.api().erase(full)
          : context.api().put(path->full("delete"), {{"versions", Json::strings(versions)}});
  if (!reply) return context.fail(2, fmt::format("Error deleting {}: ", full), reply.error());
  if (context.is_table()) context.say("Success! Data deleted (if it existed) at: " + full);
  return 0;
}

int change_versions(Context& context, std::string_view part, std::string_view verb) {
  const std::vector<std::string> versions = versions_given(context.flags());
  if (versions.empty()) {
    return context.fail(1, fmt::format("No versions provided, use the \"-versions\" flag to "
                                       "specify the version to {}.",
                                       part));
  }
  Result<KvPath> path = find_kv_path(context, context.argument(0));
  if (!path) return context.fail(2, path.error().message());
  int code = 0;
  if (is_v1(context, *path, verb, code)) return code;
  const std::string full = path->full(part);
  Result<Reply> reply = context.api().put(full, {{"versions", Json::strings(versions)}});
  if (!reply) {
    return context.fail(2, fmt::format("Error writing data to {}: ", full), reply.error());
  }
  return show_written(context, *reply, full);
}

int undelete(Context& context) { return change_versions(context, "undelete", "Undelete"); }
int destroy(Context& context) { return change_versions(context, "destroy", "Destroy"); }

int list(Context& context) {
  if (context.arguments().empty() && !context.flags().given("mount")) {
    return context.fail(1, "Not enough arguments (expected 1, got 0)");
  }
  Result<KvPath> path =
      find_kv_path(context, context.arguments().empty() ? "" : context.argument(0));
  if (!path) return context.fail(2, path.error().message());
  const std::string full = path->full("metadata");
  Result<Reply> reply =
      context.api().send({.path = full, .query = {{"list", "true"}}, .missing_is_ok = true});
  if (!reply) return context.fail(2, fmt::format("Error listing {}: ", full), reply.error());
  return show_keys(context, *reply, full);
}

int rollback(Context& context) {
  const auto version = context.flags().integer("version");
  if (!version) return context.fail(1, "Version flag must be specified");
  if (*version <= 0) {
    return context.fail(1, fmt::format("Invalid value {} for the version flag", *version));
  }
  Result<KvPath> path = find_kv_path(context, context.argument(0));
  if (!path) return context.fail(2, path.error().message());
  if (!path->is_v2) {
    return context.fail(2, "K/V engine mount must be version 2 for rollback support");
  }
  const std::string full = path->full("data");
  const auto read = [&](std::optional<int64_t> which) {
    Call call{.path = full, .missing_is_ok = true, .always = true};
    if (which) call.query.emplace_back("version", std::to_string(*which));
    return context.api().send(call);
  };
  Result<Reply> now = read(std::nullopt);
  if (!now) return context.fail(2, fmt::format("Error reading {}: ", full), now.error());
  const Json* metadata = now->data() == nullptr ? nullptr : now->data()->find("metadata");
  const Json* current = metadata == nullptr ? nullptr : metadata->find("version");
  if (current == nullptr) return context.fail(2, "No value found at " + full);
  Result<Reply> old = read(version);
  if (!old) return context.fail(2, fmt::format("Error reading {}: ", full), old.error());
  const Json* data = old->data() == nullptr ? nullptr : old->data()->find("data");
  if (data == nullptr || !data->is_object()) return context.fail(2, "No value found at " + full);
  Result<Reply> reply =
      context.api().put(full, with_cas(*data->as_object(), current->as_int().value_or(0)));
  if (!reply) {
    return context.fail(2, fmt::format("Error writing data to {}: ", full), reply.error());
  }
  return show_version(context, *reply, full, false);
}

int enable_versioning(Context& context) {
  const std::string mount = mount_path(context.argument(0));
  Result<Reply> reply = context.api().post("sys/mounts/" + mount + "tune",
                                           {{"options", Json(JsonObject{{"version", "2"}})}});
  if (!reply) {
    return context.fail(2, fmt::format("Error tuning secrets engine {}: ", mount), reply.error());
  }
  return context.say("Success! Tuned the secrets engine at: " + mount);
}

constexpr FlagSpec kGetFlags[] = {
    kMountFlag,
    {.name = "version", .kind = FlagKind::kInteger, .help = "The version to read."},
};
constexpr FlagSpec kPutFlags[] = {
    kMountFlag,
    {.name = "cas",
     .kind = FlagKind::kInteger,
     .help = "Write only if this is the current version; 0 only if there is no secret yet."},
};
constexpr FlagSpec kPatchFlags[] = {
    kMountFlag,
    {.name = "cas",
     .kind = FlagKind::kInteger,
     .help = "Change only if this is the current version."},
    {.name = "method",
     .help = "\"patch\" lets the server change the secret; \"rw\" reads and writes it. Without "
             "this flag the first is tried and then the second.",
     .choices = "patch rw"},
    {.name = "remove-data", .kind = FlagKind::kTexts, .help = "A key to remove."},
};
constexpr FlagSpec kVersionsFlags[] = {
    kMountFlag,
    {.name = "versions", .kind = FlagKind::kTexts, .help = "Versions, as 1,2,3."},
};
constexpr FlagSpec kMountOnly[] = {kMountFlag};
constexpr FlagSpec kRollbackFlags[] = {
    kMountFlag,
    {.name = "version", .kind = FlagKind::kInteger, .help = "The version to make current again."},
};

constexpr Command kCommands[] = {
    {.name = "kv get",
     .summary = "Retrieve data from the KV store",
     .usage = "[options] KEY",
     .help = "Reads a secret.\n\n"
             "    $ rekey kv get -mount=secret foo\n\n"
             "One field, for a script:\n\n"
             "    $ rekey kv get -mount=secret -field=password foo\n\n"
             "An earlier version:\n\n"
             "    $ rekey kv get -mount=secret -version=1 foo",
     .run = get,
     .flags = kGetFlags,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "kv put",
     .summary = "Set or update data in the KV store",
     .usage = "[options] KEY [DATA K=V...]",
     .help = "Writes a secret; what it held before is replaced as a whole.\n\n"
             "    $ rekey kv put -mount=secret foo user=app password=@file\n\n"
             "From JSON on standard input:\n\n"
             "    $ echo '{\"a\": 1}' | rekey kv put -mount=secret foo -\n\n"
             "Only if nobody wrote since version 4:\n\n"
             "    $ rekey kv put -mount=secret -cas=4 foo bar=baz",
     .run = put,
     .flags = kPutFlags,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = kAnyNumber,
     .takes_data = true},
    {.name = "kv patch",
     .summary = "Set or update data in the KV store without overwriting",
     .usage = "[options] KEY [DATA K=V...]",
     .help = "Changes some keys of a secret and leaves the others.\n\n"
             "    $ rekey kv patch -mount=secret foo password=new\n\n"
             "Remove a key:\n\n"
             "    $ rekey kv patch -mount=secret -remove-data=old foo",
     .run = patch,
     .flags = kPatchFlags,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = kAnyNumber,
     .takes_data = true},
    {.name = "kv delete",
     .summary = "Delete versions in the KV store",
     .usage = "[options] KEY",
     .help = "Deletes the current version, or those named. In a versioned store undelete brings\n"
             "them back.\n\n"
             "    $ rekey kv delete -mount=secret foo\n\n"
             "    $ rekey kv delete -mount=secret -versions=3 foo",
     .run = erase,
     .flags = kVersionsFlags,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "kv undelete",
     .summary = "Undelete versions in the KV store",
     .usage = "[options] KEY",
     .help = "Brings deleted versions back.\n\n"
             "    $ rekey kv undelete -mount=secret -versions=3 foo",
     .run = undelete,
     .flags = kVersionsFlags,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "kv destroy",
     .summary = "Permanently remove one or more versions in the KV store",
     .usage = "[options] KEY",
     .help = "Removes the values of versions for good.\n\n"
             "    $ rekey kv destroy -mount=secret -versions=3 foo",
     .run = destroy,
     .flags = kVersionsFlags,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "kv list",
     .summary = "List data or secrets",
     .usage = "[options] PATH",
     .help = "Lists the secrets below a path.\n\n"
             "    $ rekey kv list -mount=secret my-app/",
     .run = list,
     .flags = kMountOnly,
     .sets = kHttp | kFormat,
     .arguments_max = 1},
    {.name = "kv rollback",
     .summary = "Roll back to a previous version of data",
     .usage = "[options] KEY",
     .help = "Writes what an earlier version held as a new version.\n\n"
             "    $ rekey kv rollback -mount=secret -version=2 foo",
     .run = rollback,
     .flags = kRollbackFlags,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "kv enable-versioning",
     .summary = "Turn on versioning for a KV store",
     .usage = "[options] MOUNT",
     .help = "Turns a store without versions into one with versions, in place.\n\n"
             "    $ rekey kv enable-versioning secret",
     .run = enable_versioning,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
};

}  // namespace

std::string secret_path_block(std::string_view title, std::string_view path) {
  return fmt::format("{}\n{}\n\n", equal_signs_around(title, path.size()), path);
}

std::string titled_table(std::string_view title, const Json& object) {
  std::vector<Row> rows;
  size_t key_width = 0;
  for (const auto& [name, value] : *object.as_object()) {
    rows.push_back({name, format_cell(value)});
    key_width = std::max(key_width, name.size());
  }
  constexpr size_t kBesideKey = 4 + std::string_view("Value").size();
  return equal_signs_around(title, key_width + kBesideKey) + "\n" + format_pairs(rows);
}

std::span<const Command> kv_commands() { return kCommands; }

}  // namespace rekey::cli
