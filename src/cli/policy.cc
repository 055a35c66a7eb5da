// policy read, write, list, delete, fmt, explain.
#include <fmt/format.h>
#include <algorithm>
#include <cstdio>
#include <ostream>

#include "cli/commands.h"
#include "cli/policy_format.h"
#include "cli/values.h"

namespace rekey::cli {

using base::Json;
using base::JsonObject;
using base::Result;

namespace {

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  });
  return text;
}

std::string policy_name(Context& context) {
  std::string name = clean_path(context.argument(0));
  const std::string lower = lower_case(name);
  if (name != lower) {
    context.warn(fmt::format("Policy name was converted from \"{}\" to \"{}\"", name, lower));
  }
  return lower;
}

int list(Context& context) {
  Result<Reply> reply =
      context.api().send({.path = "sys/policies/acl", .query = {{"list", "true"}}});
  if (!reply) return context.fail(2, "Error listing policies: ", reply.error());
  const Json* keys = reply->data() == nullptr ? nullptr : reply->data()->find("keys");
  const Json names = keys == nullptr ? Json(base::JsonArray()) : *keys;
  if (context.show_structured(names) || !names.is_array()) return 0;
  for (const Json& name : *names.as_array()) context.say(format_cell(name));
  return 0;
}

int read(Context& context) {
  const std::string name = lower_case(clean_path(context.argument(0)));
  Result<Reply> reply =
      context.api().send({.path = "sys/policies/acl/" + name, .missing_is_ok = true});
  if (!reply) {
    return context.fail(2, fmt::format("Error reading policy named {}: ", name), reply.error());
  }
  const Json* text = reply->data() == nullptr ? nullptr : reply->data()->find("policy");
  if (reply->status == 404 || text == nullptr) {
    return context.fail(2, "No policy named: " + name);
  }
  if (!context.flags().text("field").empty()) {
    const std::string field = context.flags().text("field");
    return context.show_field(field == "policy" ? text : reply->data()->find(field), "map");
  }
  if (context.show_structured(Json(JsonObject{{"policy", *text}}))) return 0;
  std::string shown = format_cell(*text);
  while (shown.ends_with('\n')) shown.pop_back();
  return context.say(shown);
}

int write(Context& context) {
  const std::string path = context.argument(1);
  Result<std::string> text = path == "-" ? context.console().read_all() : read_file(path);
  if (!text) return context.fail(2, "Error opening policy file: ", text.error());
  const std::string name = policy_name(context);
  Result<Reply> reply = context.api().put("sys/policies/acl/" + name, {{"policy", *text}});
  if (!reply) return context.fail(2, "Error uploading policy: ", reply.error());
  if (context.is_table()) context.show_warnings(reply->json);
  return context.say("Success! Uploaded policy: " + name);
}

int erase(Context& context) {
  const std::string name = lower_case(clean_path(context.argument(0)));
  Result<Reply> reply = context.api().erase("sys/policies/acl/" + name);
  if (!reply) return context.fail(2, fmt::format("Error deleting {}: ", name), reply.error());
  return context.say("Success! Deleted policy: " + name);
}

int format(Context& context) {
  const std::string& path = context.argument(0);
  Result<std::string> text = read_file(path);
  if (!text) return context.fail(1, "Error reading source file: ", text.error());
  Result<std::string> formatted = format_policy(*text);
  if (!formatted) return context.fail(1, "failed to parse policy: ", formatted.error());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return context.fail(1, "Error writing result: can't open " + path);
  const bool is_ok =
      std::fwrite(formatted->data(), 1, formatted->size(), file) == formatted->size();
  if (std::fclose(file) != 0 || !is_ok) return context.fail(1, "Error writing result: " + path);
  return context.say("Success! Formatted policy: " + path);
}

std::string joined(const Json* names) {
  std::string line;
  if (names == nullptr || !names->is_array()) return line;
  for (const Json& one : *names->as_array()) line += (line.empty() ? "" : ", ") + format_cell(one);
  return line;
}

// The rules that match, in order of precedence; those that decide are marked.
void show_rules(Context& context, const Json& rules) {
  std::vector<Row> rows;
  for (const Json& rule : rules.is_array() ? *rules.as_array() : base::JsonArray()) {
    const Json* decides = rule.find("decides");
    const Json* line = rule.find("line");
    rows.push_back({decides != nullptr && format_cell(*decides) == "true" ? "*" : "-",
                    rule.string_or("policy", ""), line == nullptr ? "" : format_cell(*line),
                    rule.string_or("path", ""), joined(rule.find("capabilities")),
                    rule.string_or("why", "")});
  }
  std::ostream& out = context.console().out;
  if (rows.empty()) {
    out << "\nNo rule of the token's policies matches the path, so it is denied.\n";
    return;
  }
  out << "\n" << format_table({" ", "Policy", "Line", "Rule", "Capabilities", "Why"}, rows);
}

// What sys/capabilities says of a path, with the rules that it comes from.
int explain(Context& context) {
  const std::string path = clean_path(context.argument(0));
  const Flags& flags = context.flags();
  JsonObject body{{"paths", Json::strings({path})}, {"explain", true}};
  std::string endpoint = "sys/capabilities-self";
  if (flags.given("token")) {
    endpoint = "sys/capabilities";
    body.set("token", flags.text("token"));
  } else if (flags.given("accessor")) {
    endpoint = "sys/capabilities-accessor";
    body.set("accessor", flags.text("accessor"));
  }
  Result<Reply> reply = context.api().post(endpoint, std::move(body));
  if (!reply) return context.fail(2, "Error explaining: ", reply.error());
  const Json* data = reply->data() == nullptr ? &reply->json : reply->data();
  const Json* capabilities = data->find(path);
  if (capabilities == nullptr) return context.fail(2, "The server says nothing about " + path);
  const Json* all = data->find("rules");
  const Json* rules = all == nullptr ? nullptr : all->find(path);
  if (context.show_structured(Json(JsonObject{
          {"path", path}, {"capabilities", *capabilities}, {"rules", rules ? *rules : Json()}}))) {
    return 0;
  }
  const std::vector<Row> rows = {{"path", path}, {"capabilities", joined(capabilities)}};
  context.console().out << format_pairs(rows);
  if (rules != nullptr) show_rules(context, *rules);
  return 0;
}

constexpr FlagSpec kExplainFlags[] = {
    {.name = "token", .help = "Explain for this token instead of the command's own."},
    {.name = "accessor", .help = "Explain for the token with this accessor."},
};

constexpr Command kCommands[] = {
    {.name = "policy list",
     .summary = "List the installed policies",
     .usage = "[options]",
     .help = "Lists the names of the policies.\n\n"
             "    $ rekey policy list",
     .run = list,
     .sets = kHttp | kFormat},
    {.name = "policy read",
     .summary = "Print the contents of a policy",
     .usage = "[options] NAME",
     .help = "Prints a policy as it was written.\n\n"
             "    $ rekey policy read users",
     .run = read,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "policy write",
     .summary = "Upload a named policy from a file",
     .usage = "[options] NAME PATH",
     .help = "Creates or replaces a policy from a file, or from standard input with \"-\".\n\n"
             "    $ rekey policy write users ./users.hcl\n\n"
             "    $ cat users.hcl | rekey policy write users -",
     .run = write,
     .arguments_min = 2,
     .arguments_max = 2},
    {.name = "policy delete",
     .summary = "Delete a policy by name",
     .usage = "[options] NAME",
     .help = "Deletes a policy. Tokens that have it lose what it allows.\n\n"
             "    $ rekey policy delete users",
     .run = erase,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "policy fmt",
     .summary = "Format a policy on disk",
     .usage = "[options] PATH",
     .help = "Writes a policy file anew in the usual form, after checking that it reads.\n\n"
             "    $ rekey policy fmt users.hcl",
     .run = format,
     .sets = kNoFlags,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "policy explain",
     .summary = "Say which rule decides about a path",
     .usage = "[options] PATH",
     .help = "Shows what a token may do at a path and which rules of its policies match it: those\n"
             "that decide are marked with *.\n\n"
             "    $ rekey policy explain -token=hvs.CAESI... secret/data/app",
     .run = explain,
     .flags = kExplainFlags,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
};

}  // namespace

std::span<const Command> policy_commands() { return kCommands; }

}  // namespace rekey::cli
