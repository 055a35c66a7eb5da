// operator init, unseal, seal, step-down, rotate, key-status, members, usage.
#include <fmt/format.h>
#include <ostream>

#include "cli/commands.h"
#include "cli/operator_common.h"
#include "cli/values.h"

namespace rekey::cli {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;

std::string member_text(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value == nullptr || value->is_null() ? "" : format_cell(*value);
}

bool member_flag(const Json& object, std::string_view name) {
  return member_text(object, name) == "true";
}

Result<std::string> take_key(Context& context, std::string_view prompt, std::string_view command) {
  if (!context.arguments().empty() && context.argument(0) != "-") {
    return context.argument(0);
  }
  if (!context.arguments().empty()) {
    std::string key = context.console().read_all();
    while (key.ends_with('\n') || key.ends_with(' ')) key.pop_back();
    return key;
  }
  Result<std::string> answer = context.console().ask_secret(prompt);
  if (!answer) {
    return base::fail(
        ErrorKind::kInvalid,
        wrap_text(fmt::format("An error occurred attempting to ask for an unseal key. The raw "
                              "error message is shown below, but usually this is because you "
                              "attempted to pipe a value into the {0} command or you are executing "
                              "outside of a terminal (tty). You should run the {0} command from a "
                              "terminal for maximum security. If this is not an option, the unseal "
                              "key can be provided as the first argument to the {0} command. The "
                              "raw error was: {1}",
                              command, answer.error().message())));
  }
  return answer;
}

namespace {

JsonObject init_body(const Flags& flags, bool has_recovery_seal) {
  constexpr int64_t kSharesDefault = 5;
  constexpr int64_t kThresholdDefault = 3;
  JsonObject body;
  const auto number = [&](const char* flag, const char* member, int64_t otherwise, bool is_used) {
    if (const auto given = flags.integer(flag)) {
      body.set(member, *given);
    } else if (is_used) {
      body.set(member, otherwise);
    }
  };
  number("key-shares", "secret_shares", kSharesDefault, !has_recovery_seal);
  number("key-threshold", "secret_threshold", kThresholdDefault, !has_recovery_seal);
  number("recovery-shares", "recovery_shares", kSharesDefault, has_recovery_seal);
  number("recovery-threshold", "recovery_threshold", kThresholdDefault, has_recovery_seal);
  for (const auto& [flag, member] :
       {std::pair{"pgp-keys", "pgp_keys"}, {"recovery-pgp-keys", "recovery_pgp_keys"}}) {
    if (flags.given(flag)) body.set(member, comma_list(flags.text(flag)));
  }
  if (flags.given("root-token-pgp-key")) {
    body.set("root_token_pgp_key", flags.text("root-token-pgp-key"));
  }
  return body;
}

const JsonArray* list_at(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value == nullptr ? nullptr : value->as_array();
}

// The answer of sys/init in the members that the vault command prints.
Json init_output(const Json& answer, const JsonObject& asked) {
  const auto shares = [&](const char* name) {
    return asked.find(name) ? *asked.find(name) : Json(0);
  };
  const auto keys = [&](const char* name) {
    return list_at(answer, name) == nullptr ? Json(JsonArray()) : *answer.find(name);
  };
  return Json(JsonObject{{"unseal_keys_b64", keys("keys_base64")},
                         {"unseal_keys_hex", keys("keys")},
                         {"unseal_shares", shares("secret_shares")},
                         {"unseal_threshold", shares("secret_threshold")},
                         {"recovery_keys_b64", keys("recovery_keys_base64")},
                         {"recovery_keys_hex", keys("recovery_keys")},
                         {"recovery_keys_shares", shares("recovery_shares")},
                         {"recovery_keys_threshold", shares("recovery_threshold")},
                         {"root_token", member_text(answer, "root_token")}});
}

int show_init(Context& context, const Json& output) {
  static const Layout kLayout = {{"unseal_keys_b64", "unseal_keys_hex", "unseal_shares",
                                  "unseal_threshold", "recovery_keys_b64", "recovery_keys_hex",
                                  "recovery_keys_shares", "recovery_keys_threshold", "root_token"},
                                 {}};
  if (context.show_structured(output, kLayout)) return 0;
  std::ostream& out = context.console().out;
  for (const auto& [title, name] :
       {std::pair{"Unseal", "unseal_keys_b64"}, std::pair{"Recovery", "recovery_keys_b64"}}) {
    size_t number = 1;
    for (const Json& key : *list_at(output, name)) {
      out << fmt::format("{} Key {}: {}\n", title, number++, format_cell(key));
    }
  }
  out << "\nInitial Root Token: " << member_text(output, "root_token") << "\n\n";
  const std::string_view product = context.product();
  const std::string threshold = member_text(output, "unseal_threshold");
  if (!list_at(output, "recovery_keys_b64")->empty() ||
      list_at(output, "unseal_keys_b64")->empty()) {
    out << "Success! " << product << " is initialized\n";
    if (list_at(output, "recovery_keys_b64")->empty()) return 0;
    out << "\n"
        << wrap_text(fmt::format("Recovery key initialized with {} key shares and a key threshold "
                                 "of {}. Please securely distribute the key shares printed above.",
                                 member_text(output, "recovery_keys_shares"),
                                 member_text(output, "recovery_keys_threshold")))
        << "\n";
    return 0;
  }
  out << wrap_text(fmt::format(
             "{0} initialized with {1} key shares and a key threshold of {2}. Please securely "
             "distribute the key shares printed above. When the {0} is re-sealed, restarted, or "
             "stopped, you must supply at least {2} of these keys to unseal it before it can start "
             "servicing requests.",
             product, member_text(output, "unseal_shares"), threshold))
      << "\n\n"
      << wrap_text(fmt::format("{0} does not store the generated root key. Without at least {1} "
                               "keys to reconstruct the root key, {0} will remain permanently "
                               "sealed!",
                               product, threshold))
      << "\n\n"
      << wrap_text(fmt::format("It is possible to generate new unseal keys, provided you have a "
                               "quorum of existing unseal keys shares. See \"{} operator rekey\" "
                               "for more information.",
                               context.program()))
      << "\n";
  return 0;
}

int init(Context& context) {
  Result<Reply> seal = context.api().send({.path = "sys/seal-status", .always = true});
  if (context.flags().on("status")) {
    if (!seal) return context.fail(1, seal.error().message());
    const bool is_done = member_flag(seal->json, "initialized");
    context.say(fmt::format("{} is {}initialized", context.product(), is_done ? "" : "not "));
    return is_done ? 0 : 2;
  }
  if (!seal) return context.fail(2, seal.error().message());
  const JsonObject body = init_body(context.flags(), member_flag(seal->json, "recovery_seal"));
  Result<Reply> reply = context.api().put("sys/init", body);
  if (!reply) return context.fail(2, "Error initializing: ", reply.error());
  return show_init(context, init_output(reply->json, body));
}

int unseal(Context& context) {
  JsonObject body;
  if (context.flags().on("reset")) {
    body.set("reset", true);
    Result<Reply> reply = context.api().put("sys/unseal", std::move(body));
    if (!reply) return context.fail(2, "Error resetting unseal process: ", reply.error());
    return show_seal_status(context, reply->json, Json(JsonObject{{"ha_enabled", false}}));
  }
  Result<std::string> key = take_key(context, "Unseal Key (will be hidden): ", "unseal");
  if (!key) return context.fail(1, key.error().message());
  body.set("key", *key);
  body.set("migrate", context.flags().on("migrate"));
  Result<Reply> reply = context.api().put("sys/unseal", std::move(body));
  if (!reply) return context.fail(2, "Error unsealing: ", reply.error());
  Json leader;
  if (!member_flag(reply->json, "sealed")) {
    if (Result<Reply> answer = context.api().get("sys/leader")) leader = std::move(answer->json);
  } else {
    leader = Json(JsonObject{{"ha_enabled", false}});
  }
  return show_seal_status(context, reply->json, leader);
}

int seal(Context& context) {
  Result<Reply> reply = context.api().put("sys/seal");
  if (!reply) return context.fail(2, "Error sealing: ", reply.error());
  return context.say(fmt::format("Success! {} is sealed.", context.product()));
}

int step_down(Context& context) {
  Result<Reply> reply = context.api().put("sys/step-down");
  if (!reply) return context.fail(2, "Error stepping down: ", reply.error());
  return context.say("Success! Stepped down: " + context.api().options().address);
}

// RFC 822, as Go prints it: "24 Nov 26 02:20 UTC".
std::string short_time(const std::string& rfc3339) {
  Result<base::WallTime> time = base::parse_rfc3339(rfc3339);
  if (!time) return rfc3339;
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(*time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(*time - day);
  return fmt::format("{:02} {} {:02} {:02}:{:02} UTC", static_cast<unsigned>(date.day()),
                     kMonths[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()) % 100, clock.hours().count(),
                     clock.minutes().count());
}

int show_key_status(Context& context) {
  Result<Reply> reply = context.api().get("sys/key-status");
  if (!reply) return context.fail(2, "Error reading key status: ", reply.error());
  const Json& status =
      reply->data() != nullptr && reply->data()->is_object() ? *reply->data() : reply->json;
  static const Layout kLayout = {{"term", "install_time", "encryptions"}, {}};
  if (context.show_structured(status, kLayout)) return 0;
  const std::vector<Row> rows = {{"Key Term", member_text(status, "term")},
                                 {"Install Time", short_time(member_text(status, "install_time"))},
                                 {"Encryption Count", member_text(status, "encryptions")}};
  context.console().out << format_columns(rows);
  return 0;
}

int rotate(Context& context) {
  Result<Reply> reply = context.api().put("sys/rotate");
  if (!reply) return context.fail(2, "Error rotating key: ", reply.error());
  if (context.is_table()) context.say("Success! Rotated key\n");
  return show_key_status(context);
}

int members(Context& context) {
  Result<Reply> reply = context.api().get("sys/ha-status");
  if (!reply) return context.fail(2, reply.error().message());
  const Json& answer =
      reply->data() != nullptr && reply->data()->is_object() ? *reply->data() : reply->json;
  if (context.show_structured(answer)) return 0;
  std::vector<Row> rows;
  const JsonArray* nodes = list_at(answer, "nodes");
  for (const Json& node : nodes == nullptr ? JsonArray() : *nodes) {
    rows.push_back({member_text(node, "hostname"), member_text(node, "api_address"),
                    member_text(node, "cluster_address"), member_text(node, "active_node"),
                    member_text(node, "version"), member_text(node, "upgrade_version"),
                    member_text(node, "last_echo")});
  }
  context.console().out << format_table({"Host Name", "API Address", "Cluster Address",
                                         "Active Node", "Version", "Upgrade Version", "Last Echo"},
                                        rows);
  return 0;
}

Row usage_row(std::string name, const Json& counts) {
  return {std::move(name), member_text(counts, "distinct_entities"),
          member_text(counts, "non_entity_tokens"), member_text(counts, "clients")};
}

int usage(Context& context) {
  Call call{.path = "sys/internal/counters/activity"};
  for (const auto& [flag, name] :
       {std::pair{"start-time", "start_time"}, std::pair{"end-time", "end_time"}}) {
    if (context.flags().given(flag)) call.query.emplace_back(name, context.flags().text(flag));
  }
  Result<Reply> reply = context.api().send(call);
  if (!reply) return context.fail(2, "Error retrieving client counts: ", reply.error());
  const Json* data = reply->data();
  if (data == nullptr || !data->is_object()) {
    context.warn("No data is available for the given time range.");
    return 0;
  }
  if (context.show_structured(*data)) return 0;
  std::ostream& out = context.console().out;
  out << "Period start: " << member_text(*data, "start_time") << "\n"
      << "Period end: " << member_text(*data, "end_time") << "\n\n";
  std::vector<Row> rows = {
      {"Namespace path", "Distinct entities", "Non-Entity tokens", "Active clients"}};
  Row lines;
  for (const std::string& name : rows[0]) lines.emplace_back(name.size(), '-');
  rows.push_back(std::move(lines));
  const JsonArray* namespaces = list_at(*data, "by_namespace");
  for (const Json& part : namespaces == nullptr ? JsonArray() : *namespaces) {
    const std::string path = member_text(part, "namespace_path");
    const Json* counts = part.find("counts");
    if (counts != nullptr) rows.push_back(usage_row(path.empty() ? "[root]" : path, *counts));
  }
  if (const Json* total = data->find("total")) {
    rows.push_back({" ", " ", " ", " "});
    rows.push_back(usage_row("Total", *total));
  }
  out << format_columns(rows, " ");
  return 0;
}

constexpr FlagSpec kInitFlags[] = {
    {.name = "key-shares",
     .kind = FlagKind::kInteger,
     .help = "Into how many unseal keys to split the root key; 5 if not given.",
     .alias = "n"},
    {.name = "key-threshold",
     .kind = FlagKind::kInteger,
     .help = "How many of them unseal; 3 if not given.",
     .alias = "t"},
    {.name = "recovery-shares",
     .kind = FlagKind::kInteger,
     .help = "The same for recovery keys, where the seal opens itself."},
    {.name = "recovery-threshold",
     .kind = FlagKind::kInteger,
     .help = "The same for recovery keys, where the seal opens itself."},
    {.name = "pgp-keys", .help = "PGP keys to encrypt the unseal keys with; Rekey refuses them."},
    {.name = "recovery-pgp-keys", .help = "The same for recovery keys; Rekey refuses them."},
    {.name = "root-token-pgp-key",
     .help = "A PGP key to encrypt the root token with; Rekey refuses it."},
    {.name = "status",
     .kind = FlagKind::kSwitch,
     .help = "Only say whether the server is initialized. Exit code 0: it is; 1: an error; 2: it "
             "isn't."},
};
constexpr FlagSpec kUnsealFlags[] = {
    {.name = "migrate", .kind = FlagKind::kSwitch, .help = "The key is for a change of the seal."},
    {.name = "reset", .kind = FlagKind::kSwitch, .help = "Forget the keys that were given so far."},
};
constexpr FlagSpec kUsageFlags[] = {
    {.name = "start-time",
     .help = "A time in the first month: RFC 3339, 2026-01-31 or 2026-01. Twelve months in all if "
             "not given, or as sys/internal/counters/config says."},
    {.name = "end-time",
     .help = "A time in the last month, in the same forms; this month if not "
             "given."},
};
constexpr Command kCommands[] = {
    {.name = "operator init",
     .summary = "Initialize a server",
     .usage = "[options]",
     .help = "Prepares a new server: makes its root key, splits it into unseal keys and prints\n"
             "them with the first root token. It can be done once.\n\n"
             "    $ rekey operator init\n\n"
             "    $ rekey operator init -key-shares=3 -key-threshold=2",
     .run = init,
     .flags = kInitFlags,
     .sets = kHttp | kFormat},
    {.name = "operator unseal",
     .summary = "Unseal the server",
     .usage = "[options] [KEY]",
     .help = "Gives the server one unseal key; with enough of them it opens. Without an argument\n"
             "the key is asked for, so that it isn't kept in the shell's history.\n\n"
             "    $ rekey operator unseal",
     .run = unseal,
     .flags = kUnsealFlags,
     .sets = kHttp | kFormat,
     .arguments_max = 1},
    {.name = "operator seal",
     .summary = "Seal the server",
     .usage = "[options]",
     .help = "Makes the server forget its keys. Until it is unsealed it answers nobody.\n\n"
             "    $ rekey operator seal",
     .run = seal},
    {.name = "operator step-down",
     .summary = "Force the server to resign active duty",
     .usage = "[options]",
     .help = "Has another node of the cluster take over.\n\n"
             "    $ rekey operator step-down",
     .run = step_down},
    {.name = "operator rotate",
     .summary = "Rotate the underlying encryption key",
     .usage = "[options]",
     .help = "Makes a new key for what is written from now on; old keys stay for reading. Nobody\n"
             "has to do anything else.\n\n"
             "    $ rekey operator rotate",
     .run = rotate,
     .sets = kHttp | kFormat},
    {.name = "operator key-status",
     .summary = "Provide information about the active encryption key",
     .usage = "[options]",
     .help = "Shows which key is in use, since when, and how often it was.\n\n"
             "    $ rekey operator key-status",
     .run = show_key_status,
     .sets = kHttp | kFormat},
    {.name = "operator members",
     .summary = "Return the list of nodes in the cluster",
     .usage = "[options]",
     .help = "Lists the nodes.\n\n"
             "    $ rekey operator members",
     .run = members,
     .sets = kHttp | kFormat},
    {.name = "operator usage",
     .summary = "List historical client counts",
     .usage = "[options]",
     .help = "Counts the clients of some months: each entity that made a request, and, of tokens\n"
             "without one, each set of policies.\n\n"
             "    $ rekey operator usage\n\n"
             "    $ rekey operator usage -start-time=2026-01 -end-time=2026-06",
     .run = usage,
     .flags = kUsageFlags,
     .sets = kHttp | kFormat},
};

}  // namespace

std::span<const Command> operator_commands() { return kCommands; }

}  // namespace rekey::cli
