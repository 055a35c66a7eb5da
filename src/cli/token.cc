// token create, lookup, renew, revoke, capabilities.
#include <fmt/format.h>
#include <algorithm>

#include "cli/commands.h"

namespace rekey::cli {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;

namespace {

JsonObject creation_given(const Flags& flags) {
  JsonObject body;
  for (const auto& [flag, member] : {std::pair{"id", "id"},
                                     {"display-name", "display_name"},
                                     {"entity-alias", "entity_alias"},
                                     {"type", "type"}}) {
    if (flags.given(flag)) body.set(member, flags.text(flag));
  }
  for (const auto& [flag, member] :
       {std::pair{"ttl", "ttl"}, {"explicit-max-ttl", "explicit_max_ttl"}, {"period", "period"}}) {
    if (const auto time = flags.duration(flag)) body.set(member, base::format_duration(*time));
  }
  if (flags.given("policy")) body.set("policies", Json::strings(flags.texts("policy")));
  if (flags.on("orphan")) body.set("no_parent", true);
  if (flags.on("no-default-policy")) body.set("no_default_policy", true);
  if (flags.given("renewable")) body.set("renewable", flags.on("renewable"));
  if (const auto uses = flags.integer("use-limit")) body.set("num_uses", *uses);
  JsonObject meta;
  for (const auto& [name, value] : flags.pairs("metadata")) meta.set(name, value);
  if (!meta.empty()) body.set("meta", Json(std::move(meta)));
  return body;
}

int create(Context& context) {
  const std::string role = context.flags().text("role");
  Result<Reply> reply =
      context.api().post(role.empty() ? "auth/token/create" : "auth/token/create/" + role,
                         creation_given(context.flags()));
  if (!reply) return context.fail(2, "Error creating token: ", reply.error());
  return context.show_secret(*reply);
}

int lookup(Context& context) {
  const bool by_accessor = context.flags().on("accessor");
  if (by_accessor && context.arguments().empty()) {
    return context.fail(1, "Not enough arguments with -accessor (expected 1, got 0)");
  }
  Result<Reply> reply =
      context.arguments().empty() ? context.api().get("auth/token/lookup-self")
      : by_accessor
          ? context.api().post("auth/token/lookup-accessor", {{"accessor", context.argument(0)}})
          : context.api().post("auth/token/lookup", {{"token", context.argument(0)}});
  if (!reply) return context.fail(2, "Error looking up token: ", reply.error());
  return context.show_secret(*reply);
}

int renew(Context& context) {
  JsonObject body;
  if (const auto increment = context.flags().duration("increment")) {
    body.set("increment", std::chrono::duration_cast<std::chrono::seconds>(*increment).count());
  }
  const bool by_accessor = context.flags().on("accessor");
  if (by_accessor && context.arguments().empty()) {
    return context.fail(1, "Not enough arguments with -accessor (expected 1, got 0)");
  }
  std::string path = "auth/token/renew-self";
  if (!context.arguments().empty()) {
    path = by_accessor ? "auth/token/renew-accessor" : "auth/token/renew";
    body.set(by_accessor ? "accessor" : "token", context.argument(0));
  }
  Result<Reply> reply = context.api().put(path, std::move(body));
  if (!reply) return context.fail(2, "Error renewing token: ", reply.error());
  return context.show_secret(*reply);
}

int revoke(Context& context) {
  const bool is_self = context.flags().on("self");
  const std::string mode = context.flags().text("mode");
  const size_t count = context.arguments().size();
  if (is_self && (count > 0 || !mode.empty() || context.flags().on("accessor"))) {
    return count > 0
               ? context.fail(
                     1, fmt::format("Too many arguments with -self (expected 0, got {})", count))
               : context.fail(1, "Cannot use -self with -mode or -accessor");
  }
  if (!is_self && count == 0) {
    return context.fail(1, "Not enough arguments (expected 1 or -self, got 0)");
  }
  if (!mode.empty() && mode != "orphan" && mode != "path") {
    return context.fail(1, "Invalid mode: " + mode);
  }
  if (!mode.empty() && context.flags().on("accessor")) {
    return context.fail(1, "Cannot use -accessor with -mode=" + mode);
  }
  JsonObject body;
  std::string path = "auth/token/revoke";
  if (is_self) {
    path = "auth/token/revoke-self";
  } else if (context.flags().on("accessor")) {
    path = "auth/token/revoke-accessor";
    body.set("accessor", context.argument(0));
  } else if (mode == "path") {
    path = "sys/leases/revoke-prefix/" + clean_path(context.argument(0));
  } else {
    if (mode == "orphan") path = "auth/token/revoke-orphan";
    body.set("token", context.argument(0));
  }
  Result<Reply> reply = context.api().put(path, std::move(body));
  if (!reply) return context.fail(2, "Error revoking token: ", reply.error());
  return context.say("Success! Revoked token (if it existed)");
}

int capabilities(Context& context) {
  const std::string& path = context.arguments().back();
  JsonObject body{{"path", path}};
  std::string endpoint = "sys/capabilities-self";
  if (context.arguments().size() == 2) {
    const bool by_accessor = context.flags().on("accessor");
    endpoint = by_accessor ? "sys/capabilities-accessor" : "sys/capabilities";
    body.set(by_accessor ? "accessor" : "token", context.argument(0));
  } else if (context.flags().on("accessor")) {
    return context.fail(1, "Not enough arguments with -accessor (expected 2, got 1)");
  }
  Result<Reply> reply = context.api().post(endpoint, std::move(body));
  if (!reply) return context.fail(2, "Error listing capabilities: ", reply.error());
  const Json* list = reply->json.find(path);
  if (list == nullptr && reply->data() != nullptr) list = reply->data()->find(path);
  if (list == nullptr) list = reply->json.find("capabilities");
  if (list == nullptr || !list->is_array()) return context.fail(2, "No capabilities found");
  JsonArray sorted = *list->as_array();
  std::ranges::sort(sorted, {}, [](const Json& item) { return format_cell(item); });
  if (context.show_structured(Json(sorted))) return 0;
  std::string line;
  for (const Json& item : sorted) line += (line.empty() ? "" : ", ") + format_cell(item);
  return context.say(line);
}

constexpr FlagSpec kCreateFlags[] = {
    {.name = "display-name", .help = "A name to show for the token; no secret."},
    {.name = "entity-alias", .help = "The alias of the entity that the token is for; with -role."},
    {.name = "explicit-max-ttl",
     .kind = FlagKind::kDuration,
     .help = "The token ends after this time, whatever is renewed."},
    {.name = "id", .help = "The token's own text, instead of a random one. Needs sudo."},
    {.name = "metadata",
     .kind = FlagKind::kPairs,
     .help = "A remark that is recorded with every use of the token."},
    {.name = "no-default-policy",
     .kind = FlagKind::kSwitch,
     .help = "Leave the policy \"default\" out."},
    {.name = "orphan",
     .kind = FlagKind::kSwitch,
     .help = "Without a parent, so that it doesn't end with the token that made it. Needs sudo."},
    {.name = "period",
     .kind = FlagKind::kDuration,
     .help = "Every renewal gives this time, without an end. Needs sudo."},
    {.name = "policy", .kind = FlagKind::kTexts, .help = "A policy of the token."},
    {.name = "renewable", .kind = FlagKind::kSwitch, .help = "Whether it can be renewed; it can."},
    {.name = "role", .help = "The token role to create it by."},
    {.name = "ttl", .kind = FlagKind::kDuration, .help = "How long it lives if not renewed."},
    {.name = "type", .help = "\"service\" or \"batch\".", .choices = "service batch"},
    {.name = "use-limit",
     .kind = FlagKind::kInteger,
     .help = "How often it can be used; any number of times if not given."},
};
constexpr FlagSpec kAccessor = {.name = "accessor",
                                .kind = FlagKind::kSwitch,
                                .help = "The argument is an accessor and no token."};
constexpr FlagSpec kAccessorOnly[] = {kAccessor};
constexpr FlagSpec kRenewFlags[] = {
    kAccessor,
    {.name = "increment",
     .kind = FlagKind::kDuration,
     .help = "The time to ask for; the server may give less.",
     .alias = "i"},
};
constexpr FlagSpec kRevokeFlags[] = {
    kAccessor,
    {.name = "mode",
     .help = "\"orphan\" revokes the token and leaves those that it made; \"path\" revokes all "
             "tokens that were made at the path.",
     .choices = "orphan path"},
    {.name = "self", .kind = FlagKind::kSwitch, .help = "Revoke the token of this command."},
};

constexpr Command kCommands[] = {
    {.name = "token create",
     .summary = "Create a new token",
     .usage = "[options]",
     .help = "Creates a token, as a child of the one that the command uses.\n\n"
             "    $ rekey token create -policy=app -ttl=1h\n\n"
             "For a machine that renews it for as long as it runs:\n\n"
             "    $ rekey token create -orphan -policy=app -period=30m",
     .run = create,
     .flags = kCreateFlags,
     .sets = kHttp | kField | kFormat},
    {.name = "token lookup",
     .summary = "Display information about a token",
     .usage = "[options] [TOKEN | ACCESSOR]",
     .help = "Shows what the server knows of a token; of its own without an argument.\n\n"
             "    $ rekey token lookup\n\n"
             "    $ rekey token lookup -accessor 9793c9b3-e04a-46f3-e7b8-748d7da248da",
     .run = lookup,
     .flags = kAccessorOnly,
     .sets = kHttp | kField | kFormat,
     .arguments_max = 1},
    {.name = "token renew",
     .summary = "Renew a token lease",
     .usage = "[options] [TOKEN]",
     .help = "Renews a token; its own without an argument.\n\n"
             "    $ rekey token renew\n\n"
             "    $ rekey token renew -increment=30m hvs.CAESI...",
     .run = renew,
     .flags = kRenewFlags,
     .sets = kHttp | kFormat,
     .arguments_max = 1},
    {.name = "token revoke",
     .summary = "Revoke a token and its children",
     .usage = "[options] [TOKEN | ACCESSOR]",
     .help =
         "Revokes a token with all that it made. When the command returns, that is in force.\n\n"
         "    $ rekey token revoke hvs.CAESI...\n\n"
         "    $ rekey token revoke -mode=orphan hvs.CAESI...\n\n"
         "    $ rekey token revoke -self",
     .run = revoke,
     .flags = kRevokeFlags,
     .arguments_max = 1},
    {.name = "token capabilities",
     .summary = "Print capabilities of a token on a path",
     .usage = "[options] [TOKEN | ACCESSOR] PATH",
     .help = "Says what a token may do at a path; its own without a token.\n\n"
             "    $ rekey token capabilities cubbyhole/foo\n\n"
             "    $ rekey token capabilities hvs.CAESI... cubbyhole/foo",
     .run = capabilities,
     .flags = kAccessorOnly,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 2},
};

}  // namespace

std::span<const Command> token_commands() { return kCommands; }

}  // namespace rekey::cli
