// lease lookup, renew, revoke.
#include <fmt/format.h>

#include "cli/commands.h"

namespace rekey::cli {

using base::JsonObject;
using base::Result;

namespace {

int lookup(Context& context) {
  if (context.arguments().empty()) return context.fail(1, "Missing ID!");
  const std::string id = clean_path(context.argument(0));
  Result<Reply> reply = context.api().put("sys/leases/lookup", {{"lease_id", id}});
  if (!reply) {
    return context.fail(2, fmt::format("error looking up lease id {}: ", id), reply.error());
  }
  return context.show_secret(*reply);
}

int renew(Context& context) {
  if (context.arguments().empty()) return context.fail(1, "Missing ID!");
  const std::string id = clean_path(context.argument(0));
  JsonObject body{{"lease_id", id}};
  if (const auto increment = context.flags().duration("increment")) {
    body.set("increment", std::chrono::duration_cast<std::chrono::seconds>(*increment).count());
  }
  Result<Reply> reply = context.api().put("sys/leases/renew", std::move(body));
  if (!reply) return context.fail(2, fmt::format("Error renewing {}: ", id), reply.error());
  return context.show_secret(*reply);
}

int revoke(Context& context) {
  const Flags& flags = context.flags();
  const bool by_prefix = flags.on("prefix"), by_force = flags.on("force"), waits = flags.on("sync");
  if (by_force && !by_prefix) {
    return context.fail(1, "Specifying -force requires also specifying -prefix");
  }
  const std::string id = clean_path(context.argument(0));
  std::string path = "sys/leases/revoke";
  JsonObject body;
  if (by_force) {
    context.warn(
        wrap_text(fmt::format("Warning! Force-removing leases can cause {} to become out "
                              "of sync with secret engines!",
                              context.product())));
    path = "sys/leases/revoke-force/" + id;
  } else if (by_prefix) {
    path = "sys/leases/revoke-prefix/" + id;
    body.set("sync", waits);
  } else {
    body.set("lease_id", id);
    body.set("sync", waits);
  }
  Result<Reply> reply = context.api().put(path, std::move(body));
  const char* what = by_prefix ? "leases with prefix" : "lease";
  if (!reply) {
    return context.fail(2,
                        fmt::format("Error {}revoking {} {}: ", by_force ? "force " : "", what, id),
                        reply.error());
  }
  if (by_force) return context.say("Success! Force revoked any leases with prefix: " + id);
  if (!waits) return context.say("All revocation operations queued successfully!");
  return context.say(by_prefix ? "Success! Revoked any leases with prefix: " + id
                               : "Success! Revoked lease: " + id);
}

// What waits to be removed outside, and why it waits.
int queue(Context& context) {
  Result<Reply> reply = context.api().get("sys/leases/queue");
  if (!reply) return context.fail(2, "Error reading the queue: ", reply.error());
  return context.show_secret(*reply);
}

int retry(Context& context) {
  Result<Reply> reply = context.api().put("sys/leases/retry", {});
  if (!reply) return context.fail(2, "Error: ", reply.error());
  return context.say("Success! What could not be removed so far is tried again.");
}

int resume(Context& context) {
  Result<Reply> reply = context.api().put("sys/leases/resume", {});
  if (!reply) return context.fail(2, "Error: ", reply.error());
  return context.say("Success! Leases end again.");
}

constexpr FlagSpec kRenewFlags[] = {
    {.name = "increment",
     .kind = FlagKind::kDuration,
     .help = "The time to ask for; the server may give less.",
     .alias = "i"},
};
constexpr FlagSpec kRevokeFlags[] = {
    {.name = "force",
     .kind = FlagKind::kSwitch,
     .help = "Forget the leases even where the secrets engine can't revoke them. With -prefix.",
     .alias = "f"},
    {.name = "prefix",
     .kind = FlagKind::kSwitch,
     .help = "Revoke all leases whose ID starts with the argument."},
    {.name = "sync", .kind = FlagKind::kSwitch, .help = "Return when it is done."},
};

constexpr Command kCommands[] = {
    {.name = "lease lookup",
     .summary = "Look up the lease of a secret",
     .usage = "[options] ID",
     .help = "Shows a lease.\n\n"
             "    $ rekey lease lookup database/creds/readonly/2f6a614c...",
     .run = lookup,
     .sets = kHttp | kFormat,
     .arguments_max = 1},
    {.name = "lease renew",
     .summary = "Renew the lease of a secret",
     .usage = "[options] ID",
     .help = "Renews a lease.\n\n"
             "    $ rekey lease renew -increment=1h database/creds/readonly/2f6a614c...",
     .run = renew,
     .flags = kRenewFlags,
     .sets = kHttp | kFormat,
     .arguments_max = 1},
    {.name = "lease queue",
     .summary = "Show what waits to be removed outside",
     .usage = "[options]",
     .help =
         "Shows, for each outside system, how many ended leases wait to be removed there, since\n"
         "when, and the last error.\n\n"
         "    $ rekey lease queue",
     .run = queue,
     .sets = kHttp | kFormat},
    {.name = "lease resume",
     .summary = "Let leases end again after a restore",
     .usage = "[options]",
     .help = "After an older store was put back, nothing is removed outside until this is given:\n"
             "what was renewed since the copy was taken looks as if it had ended.\n\n"
             "    $ rekey lease resume",
     .run = resume,
     .sets = kHttp},
    {.name = "lease retry",
     .summary = "Try again to remove what could not be removed",
     .usage = "[options]",
     .help = "Tries at once what was given up for an hour, such as after a database is back.\n\n"
             "    $ rekey lease retry",
     .run = retry,
     .sets = kHttp},
    {.name = "lease revoke",
     .summary = "Revoke leases and secrets",
     .usage = "[options] ID",
     .help = "Revokes a lease, or all below a prefix.\n\n"
             "    $ rekey lease revoke database/creds/readonly/2f6a614c...\n\n"
             "    $ rekey lease revoke -prefix database/creds/readonly",
     .run = revoke,
     .flags = kRevokeFlags,
     .arguments_min = 1,
     .arguments_max = 1},
};

}  // namespace

std::span<const Command> lease_commands() { return kCommands; }

}  // namespace rekey::cli
