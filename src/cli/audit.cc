// audit list, enable, disable.
#include <fmt/format.h>
#include <ostream>

#include "cli/commands.h"
#include "cli/values.h"

namespace rekey::cli {

using base::Json;
using base::JsonObject;
using base::Result;

namespace {

int list(Context& context) {
  if (context.flags().on("entries")) return list_entries(context);
  Result<Reply> reply = context.api().get("sys/audit");
  if (!reply) return context.fail(2, "Error listing audits: ", reply.error());
  const Json none = Json(JsonObject());
  const Json* devices =
      reply->data() != nullptr && reply->data()->is_object() ? reply->data() : &none;
  static const Layout kLayout = {
      {}, {{"*", {{"type", "description", "options", "local", "path"}, {}}}}};
  if (context.show_structured(*devices, kLayout)) return 0;
  if (devices->as_object()->empty()) {
    context.say("No audit devices are enabled.");
    return 2;
  }
  const bool is_detailed = context.flags().on("detailed");
  Row header = {"Path", "Type", "Description"};
  if (is_detailed) header.insert(header.end(), {"Replication", "Options"});
  std::vector<Row> rows;
  for (const auto& [path, device] : *devices->as_object()) {
    Row row = {path, device.string_or("type", ""), device.string_or("description", "")};
    if (is_detailed) {
      const Json* local = device.find("local");
      row.push_back(local != nullptr && format_cell(*local) == "true" ? "local" : "replicated");
      std::string options;
      if (const Json* given = device.find("options"); given != nullptr && given->is_object()) {
        for (const auto& [name, value] : *given->as_object()) {
          options += (options.empty() ? "" : " ") + name + "=" + format_cell(value);
        }
      }
      row.push_back(options);
    }
    rows.push_back(std::move(row));
  }
  context.console().out << format_table(header, rows);
  return 0;
}

int enable(Context& context) {
  if (context.arguments().empty()) {
    return context.fail(1,
                        "Error enabling audit device: audit type missing. Valid types include "
                        "'file', 'socket' and 'syslog'.");
  }
  const std::string type = clean_path(context.argument(0));
  const std::span<const std::string> words = context.arguments();
  Result<JsonObject> options =
      parse_values(words.subspan(1), [&] { return context.console().read_all(); });
  if (!options) return context.fail(1, "Failed to parse K=V data: ", options.error());
  const std::string path =
      mount_path(context.flags().given("path") ? context.flags().text("path") : type);
  Result<Reply> reply =
      context.api().put("sys/audit/" + path, {{"type", type},
                                              {"description", context.flags().text("description")},
                                              {"options", Json(std::move(*options))},
                                              {"local", context.flags().on("local")}});
  if (!reply) return context.fail(2, "Error enabling audit device: ", reply.error());
  return context.say(fmt::format("Success! Enabled the {} audit device at: {}", type, path));
}

int disable(Context& context) {
  const std::string path = mount_path(context.argument(0));
  Result<Reply> reply = context.api().erase("sys/audit/" + path);
  if (!reply) return context.fail(2, "Error disabling audit device: ", reply.error());
  return context.say("Success! Disabled audit device (if it was enabled) at: " + path);
}

constexpr FlagSpec kListFlags[] = {
    {.name = "detailed", .kind = FlagKind::kSwitch, .help = "Show options too."},
    {.name = "entries",
     .kind = FlagKind::kSwitch,
     .help = "The record's newest entries instead; `audit query` says how to choose them."},
    {.name = "log", .help = "With -entries: the record's folder, instead of a server."},
    {.name = "limit",
     .kind = FlagKind::kInteger,
     .help = "With -entries: at most so many.",
     .default_text = "100"},
};
constexpr FlagSpec kEnableFlags[] = {
    {.name = "description", .help = "What it is for."},
    {.name = "local", .kind = FlagKind::kSwitch, .help = "Keep it out of replication."},
    {.name = "path", .help = "Where to mount it; its type if not given."},
};

constexpr Command kCommands[] = {
    {.name = "audit list",
     .summary = "List enabled audit devices",
     .usage = "[options]",
     .help = "Lists the audit devices.\n\n"
             "    $ rekey audit list -detailed",
     .run = list,
     .flags = kListFlags,
     .sets = kHttp | kFormat},
    {.name = "audit enable",
     .summary = "Enable an audit device",
     .usage = "[options] TYPE [CONFIG K=V...]",
     .help = "Has requests and answers written to a further place.\n\n"
             "    $ rekey audit enable file file_path=/var/log/audit.log",
     .run = enable,
     .flags = kEnableFlags,
     .arguments_max = kAnyNumber,
     .takes_data = true},
    {.name = "audit disable",
     .summary = "Disable an audit device",
     .usage = "[options] PATH",
     .help = "Ends the writing to an audit device; what was written stays.\n\n"
             "    $ rekey audit disable file/",
     .run = disable,
     .arguments_min = 1,
     .arguments_max = 1},
};

}  // namespace

std::span<const Command> audit_commands() { return kCommands; }

}  // namespace rekey::cli
