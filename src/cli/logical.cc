// read, write, list, delete, patch, unwrap, path-help: the API's operations as they are.
#include <fmt/format.h>
#include <ostream>
#include <set>

#include "cli/commands.h"
#include "cli/values.h"

namespace rekey::cli {

using base::Json;
using base::JsonObject;
using base::Result;

namespace {

Result<JsonObject> data_after_path(const Context& context) {
  const std::span<const std::string> words = context.arguments();
  return parse_values(words.subspan(1), [&] { return context.console().read_all(); });
}

int bad_data(Context& context, const base::Error& error) {
  return context.fail(1, "Failed to parse K=V data: ", error);
}

// Parameters in the URL: a list is a parameter given several times.
void add_query(Call& call, const JsonObject& data) {
  for (const auto& [name, value] : data) {
    if (const base::JsonArray* list = value.as_array()) {
      for (const Json& item : *list) call.query.emplace_back(name, format_cell(item));
    } else {
      call.query.emplace_back(name, format_cell(value));
    }
  }
}

bool has_content(const Reply& reply) {
  for (const char* name : {"data", "auth", "wrap_info", "warnings"}) {
    if (const Json* part = reply.json.find(name); part != nullptr && !part->is_null()) return true;
  }
  return false;
}

int read(Context& context) {
  const std::string path = clean_path(context.argument(0));
  Result<JsonObject> data = data_after_path(context);
  if (!data) return bad_data(context, data.error());
  Call call{.path = path, .missing_is_ok = true};
  add_query(call, *data);
  Result<Reply> reply = context.api().send(call);
  if (!reply) return context.fail(2, fmt::format("Error reading {}: ", path), reply.error());
  if (context.format() == "raw" && reply->status != 404) {
    context.console().out << reply->body;
    return 0;
  }
  if (!has_content(*reply)) {
    // sys/health and its like answer with a bare object.
    if (reply->status == 404 || !reply->json.is_object()) {
      return context.fail(2, "No value found at " + path);
    }
    if (!reply->json.find("data")) {
      reply->json = Json(JsonObject{{"data", std::move(reply->json)}});
    }
  }
  return context.show_secret(*reply);
}

int list(Context& context) {
  const std::string path = clean_path(context.argument(0));
  Call call{.path = path, .query = {{"list", "true"}}, .missing_is_ok = true};
  if (context.flags().given("after"))
    call.query.emplace_back("after", context.flags().text("after"));
  if (const auto limit = context.flags().integer("limit")) {
    call.query.emplace_back("limit", std::to_string(*limit));
  }
  Result<Reply> reply = context.api().send(call);
  if (!reply) return context.fail(2, fmt::format("Error listing {}: ", path), reply.error());
  return show_keys(context, *reply, path);
}

int write_data(Context& context, std::string_view method) {
  const std::string path = clean_path(context.argument(0));
  Result<JsonObject> data = data_after_path(context);
  if (!data) return bad_data(context, data.error());
  if (data->empty() && !context.flags().on("force")) {
    return context.fail(1, "Must supply data or use -force");
  }
  Call call{.method = std::string(method), .path = path, .body = Json(std::move(*data))};
  if (method == "PATCH") call.content_type = "application/merge-patch+json";
  Result<Reply> reply = context.api().send(call);
  if (!reply) {
    return context.fail(2, fmt::format("Error writing data to {}: ", path), reply.error());
  }
  return show_written(context, *reply, path);
}

int write(Context& context) { return write_data(context, "PUT"); }
int patch(Context& context) { return write_data(context, "PATCH"); }

int erase(Context& context) {
  const std::string path = clean_path(context.argument(0));
  Result<JsonObject> data = data_after_path(context);
  if (!data) return bad_data(context, data.error());
  Call call{.method = "DELETE", .path = path};
  add_query(call, *data);
  Result<Reply> reply = context.api().send(call);
  if (!reply) return context.fail(2, fmt::format("Error deleting {}: ", path), reply.error());
  if (has_content(*reply)) return context.show_secret(*reply);
  if (context.is_table()) context.say("Success! Data deleted (if it existed) at: " + path);
  return 0;
}

int unwrap(Context& context) {
  JsonObject body;
  if (!context.arguments().empty()) {
    const std::string token = clean_path(context.argument(0));
    if (context.api().options().token.empty()) {
      context.api().set_token(token);
    } else {
      body.set("token", token);
    }
  }
  Result<Reply> reply = context.api().put("sys/wrapping/unwrap", std::move(body));
  if (!reply) return context.fail(2, "Error unwrapping: ", reply.error());
  if (!has_content(*reply)) return context.fail(2, "Could not find wrapped response");
  return context.show_secret(*reply);
}

int path_help(Context& context) {
  const std::string path = clean_path(context.argument(0));
  Result<Reply> reply = context.api().send({.path = path, .query = {{"help", "1"}}});
  if (!reply) return context.fail(2, "Error retrieving help: ", reply.error());
  if (!context.is_table()) {
    const Json* openapi = reply->json.find("openapi");
    context.show_structured(openapi == nullptr ? reply->json : *openapi);
    return 0;
  }
  return context.say(reply->json.string_or("help", ""));
}

constexpr FlagSpec kForce[] = {
    {.name = "force",
     .kind = FlagKind::kSwitch,
     .help = "Write although there is no data: some paths need none.",
     .alias = "f"},
};

constexpr FlagSpec kListFlags[] = {
    {.name = "detailed",
     .kind = FlagKind::kSwitch,
     .help = "Show what the server says of each key, where it says anything.",
     .env = "DETAILED"},
    {.name = "after", .help = "Start after this key, where the path can."},
    {.name = "limit", .kind = FlagKind::kInteger, .help = "At most so many keys, where it can."},
};

constexpr Command kCommands[] = {
    {.name = "read",
     .summary = "Read data and retrieve secrets",
     .usage = "[options] PATH [PARAMETER K=V...]",
     .help = "Reads what is at a path: a secret, credentials made on the spot, a setting.\n\n"
             "Read a secret:\n\n"
             "    $ rekey read cubbyhole/my-secret\n\n"
             "Read one version of a secret in a versioned store:\n\n"
             "    $ rekey read secret/data/app version=2",
     .run = read,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = kAnyNumber,
     .takes_data = true},
    {.name = "write",
     .summary = "Write data, configuration, and secrets",
     .usage = "[options] PATH [DATA K=V...]",
     .help = "Writes data to a path; what that does depends on what is mounted there.\n\n"
             "A value that begins with \"@\" is read from a file, \"-\" from standard input.\n"
             "A word \"@file\" or \"-\" of its own is a JSON object.\n\n"
             "Keep a value:\n\n"
             "    $ rekey write cubbyhole/my-secret foo=bar\n\n"
             "Write where no data is needed:\n\n"
             "    $ rekey write -f auth/approle/role/ops/secret-id\n\n"
             "Take a value from a file:\n\n"
             "    $ rekey write aws/roles/ops policy=@policy.json",
     .run = write,
     .flags = kForce,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = kAnyNumber,
     .takes_data = true},
    {.name = "patch",
     .summary = "Patch data, configuration, and secrets",
     .usage = "[options] PATH [DATA K=V...]",
     .help = "Changes some of the data at a path and leaves the rest (RFC 7386). A value of null\n"
             "from JSON removes a key.\n\n"
             "    $ rekey patch pki/issuer/my-issuer leaf_not_after_behavior=truncate",
     .run = patch,
     .flags = kForce,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = kAnyNumber,
     .takes_data = true},
    {.name = "delete",
     .summary = "Delete secrets and configuration",
     .usage = "[options] PATH [PARAMETER K=V...]",
     .help = "Deletes what is at a path. It is no error if there is nothing.\n\n"
             "    $ rekey delete cubbyhole/my-secret",
     .run = erase,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = kAnyNumber,
     .takes_data = true},
    {.name = "list",
     .summary = "List data or secrets",
     .usage = "[options] PATH",
     .help = "Lists the keys below a path. A key that ends with a slash is a folder.\n\n"
             "    $ rekey list secret/metadata/",
     .run = list,
     .flags = kListFlags,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "unwrap",
     .summary = "Unwrap a wrapped secret",
     .usage = "[options] [TOKEN]",
     .help = "Gives what a wrapping token stands for. It can be done once.\n\n"
             "    $ rekey unwrap hvs.CAESI...\n\n"
             "Without an argument the token of the environment is the wrapping token.",
     .run = unwrap,
     .sets = kHttp | kField | kFormat,
     .arguments_max = 1},
    {.name = "path-help",
     .summary = "Retrieve API help for paths",
     .usage = "[options] PATH",
     .help = "Shows what the server says about a path.\n\n"
             "    $ rekey path-help sys\n\n"
             "As an OpenAPI document:\n\n"
             "    $ rekey path-help -format=json secret",
     .run = path_help,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
};

}  // namespace

namespace {

// A column for each name that the server knows something of the keys under.
int show_detailed(Context& context, const base::JsonArray& keys, const JsonObject& info) {
  std::set<std::string> names;
  for (const auto& [key, facts] : info) {
    if (facts.as_object() == nullptr) continue;
    for (const auto& [name, value] : *facts.as_object()) names.insert(name);
  }
  Row header = {"Keys"};
  header.insert(header.end(), names.begin(), names.end());
  std::vector<Row> rows;
  for (const Json& key : keys) {
    Row row = {format_cell(key)};
    const Json* facts = key.as_string() == nullptr ? nullptr : info.find(*key.as_string());
    for (const std::string& name : names) {
      const Json* value = facts == nullptr ? nullptr : facts->find(name);
      row.push_back(value == nullptr ? "n/a" : format_cell(*value));
    }
    rows.push_back(std::move(row));
  }
  context.console().out << format_table(header, rows);
  return 0;
}

}  // namespace

int show_keys(Context& context, const Reply& reply, std::string_view path) {
  const Json* data = reply.data();
  const Json* keys = data == nullptr ? nullptr : data->find("keys");
  if (const Json* wrap = reply.json.find("wrap_info"); wrap != nullptr && !wrap->is_null()) {
    return context.show_secret(reply);
  }
  if (keys == nullptr || !keys->is_array() || keys->as_array()->empty()) {
    // Scripts pipe the output into jq: it gets something that parses.
    if (context.show_structured(Json(JsonObject()))) return 2;
    return context.fail(2, fmt::format("No value found at {}", path));
  }
  if (context.is_table()) context.show_warnings(reply.json);
  const Json* info = data->find("key_info");
  if (context.flags().on("detailed") && info != nullptr && info->as_object() != nullptr) {
    if (context.format() == "json") return context.show_secret(reply);
    if (context.is_table()) return show_detailed(context, *keys->as_array(), *info->as_object());
  }
  return context.show_list(*keys);
}

int show_written(Context& context, const Reply& reply, std::string_view path) {
  if (has_content(reply)) return context.show_secret(reply);
  if (context.is_table()) {
    context.say(fmt::format("Success! Data written to: {}", path));
  }
  return 0;
}

std::span<const Command> logical_commands() { return kCommands; }

}  // namespace rekey::cli
