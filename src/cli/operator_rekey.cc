// operator rekey: new unseal keys, by a quorum of the old ones.
#include <fmt/format.h>
#include <ostream>

#include "cli/commands.h"
#include "cli/operator_common.h"
#include "cli/values.h"

namespace rekey::cli {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;

namespace {

std::string endpoint(const Context& context, std::string_view part) {
  const bool is_recovery =
      context.flags().text("target") == "recovery" || context.flags().text("target") == "hsm";
  return fmt::format("sys/{}/{}", is_recovery ? "rekey-recovery-key" : "rekey", part);
}

int show_status(Context& context, const Json& status) {
  static const Layout kLayout = {
      {"nonce", "started", "t", "n", "progress", "required", "pgp_fingerprints", "backup",
       "verification_required", "verification_nonce"},
      {}};
  const bool is_verifying = status.find("verification_nonce") == nullptr &&
                            status.find("verification_required") == nullptr;
  Json all = status;
  if (!is_verifying && status.find("verification_nonce") == nullptr && all.is_object()) {
    all.as_object()->set("verification_nonce", "");
  }
  if (context.show_structured(all, kLayout)) return 0;
  std::vector<Row> rows;
  if (is_verifying) {
    rows = {{"Started", member_text(status, "started")},
            {"New Shares", member_text(status, "n")},
            {"New Threshold", member_text(status, "t")},
            {"Verification Nonce", member_text(status, "nonce")},
            {"Verification Progress",
             fmt::format("{}/{}", member_text(status, "progress"), member_text(status, "t"))}};
    context.console().out << format_pairs(rows);
    return 0;
  }
  rows = {{"Nonce", member_text(status, "nonce")}, {"Started", member_text(status, "started")}};
  if (member_flag(status, "started")) {
    if (member_text(status, "progress") == member_text(status, "required") &&
        !member_text(status, "verification_nonce").empty()) {
      rows.push_back({"New Shares", member_text(status, "n")});
      rows.push_back({"New Threshold", member_text(status, "t")});
      rows.push_back({"Verification Nonce", member_text(status, "verification_nonce")});
      rows.push_back({"Verification Progress", "0/" + member_text(status, "t")});
    } else {
      rows.push_back({"Progress", fmt::format("{}/{}", member_text(status, "progress"),
                                              member_text(status, "required"))});
      rows.push_back({"New Shares", member_text(status, "n")});
      rows.push_back({"New Threshold", member_text(status, "t")});
    }
    rows.push_back({"Verification Required", member_text(status, "verification_required")});
  }
  context.console().out << format_pairs(rows);
  return 0;
}

int start(Context& context) {
  constexpr int64_t kSharesDefault = 5;
  constexpr int64_t kThresholdDefault = 3;
  const Flags& flags = context.flags();
  JsonObject body{{"secret_shares", flags.integer("key-shares").value_or(kSharesDefault)},
                  {"secret_threshold", flags.integer("key-threshold").value_or(kThresholdDefault)},
                  {"backup", flags.on("backup")},
                  {"require_verification", flags.on("verify")}};
  if (flags.given("pgp-keys")) body.set("pgp_keys", comma_list(flags.text("pgp-keys")));
  Result<Reply> reply = context.api().put(endpoint(context, "init"), std::move(body));
  if (!reply) return context.fail(2, "Error initializing rekey: ", reply.error());
  if (context.is_table()) {
    context.warn(
        wrap_text("WARNING! If you lose the keys after they are returned, there is no "
                  "recovery. Consider canceling this operation and starting it again "
                  "with -verify: the old keys then stay in force until the new ones have "
                  "been given back once."));
    context.warn("");
  }
  return show_status(context, reply->json);
}

int cancel(Context& context) {
  const bool is_verifying = context.flags().on("verify");
  const std::string path = endpoint(context, is_verifying ? "verify" : "init");
  // The nonce shows that whoever cancels knows of this attempt.
  Result<Reply> status = context.api().send({.path = path, .always = true});
  Call call{.method = "DELETE", .path = path};
  std::string nonce = context.flags().text("nonce");
  if (nonce.empty() && status) nonce = member_text(status->json, "nonce");
  if (!nonce.empty()) call.body = Json(JsonObject{{"nonce", nonce}});
  Result<Reply> reply = context.api().send(call);
  if (!reply) return context.fail(2, "Error canceling rekey: ", reply.error());
  return context.say(is_verifying ? "Success! Canceled rekey verification (if it was started)"
                                  : "Success! Canceled rekeying (if it was started)");
}

// `threshold` is of the new keys; the answer that brings them doesn't repeat it.
int show_result(Context& context, const Json& answer, const std::string& threshold) {
  if (context.show_structured(answer)) return 0;
  std::ostream& out = context.console().out;
  out << "\n";
  size_t number = 1;
  const Json* keys = answer.find("keys_base64");
  for (const Json& key : keys != nullptr && keys->is_array() ? *keys->as_array() : JsonArray()) {
    out << fmt::format("Key {}: {}\n", number++, format_cell(key));
  }
  out << "\nOperation nonce: " << member_text(answer, "nonce") << "\n\n";
  if (member_flag(answer, "verification_required")) {
    out << wrap_text(fmt::format(
               "{0} has created a new key, split into {1} key shares and a key threshold of {2}. "
               "These will not be active until after verification is complete. Please securely "
               "distribute the key shares printed above. When {0} is re-sealed, restarted, or "
               "stopped, you must supply at least {2} of these keys to unseal it before it can "
               "start servicing requests.",
               context.product(), number - 1, threshold))
        << "\n\nVerification nonce: " << member_text(answer, "verification_nonce") << "\n";
    return 0;
  }
  out << wrap_text(fmt::format(
             "{0} unseal keys rekeyed to {1} key shares and a key threshold of {2}. Please "
             "securely distribute the key shares printed above. When {0} is re-sealed, restarted, "
             "or stopped, you must supply at least {2} of these keys to unseal it before it can "
             "start servicing requests.",
             context.product(), number - 1, threshold))
      << "\n";
  return 0;
}

int give_key(Context& context) {
  const bool is_verifying = context.flags().on("verify");
  Result<Reply> status = context.api().send(
      {.path = endpoint(context, is_verifying ? "verify" : "init"), .always = true});
  if (!status) return context.fail(2, "Error getting rekey status: ", status.error());
  if (!is_verifying && !member_flag(status->json, "started")) {
    return context.fail(1,
                        wrap_text(fmt::format("No rekey is in progress. Start a rekey process by "
                                              "running \"{} operator rekey -init\".",
                                              context.program())));
  }
  std::string nonce = context.flags().text("nonce");
  if (nonce.empty() && !context.arguments().empty()) {
    return context.fail(1, wrap_text(fmt::format("Missing nonce value: specify it via the -nonce "
                                                 "flag, as \"{} operator rekey -status\" shows it.",
                                                 context.program())));
  }
  if (nonce.empty()) nonce = member_text(status->json, "nonce");
  Result<std::string> key = take_key(
      context, fmt::format("Rekey operation nonce: {}\nUnseal Key (will be hidden): ", nonce),
      "rekey");
  if (!key) return context.fail(1, key.error().message());
  Result<Reply> reply = context.api().put(endpoint(context, is_verifying ? "verify" : "update"),
                                          {{"key", *key}, {"nonce", nonce}});
  if (!reply) return context.fail(2, "Error posting unseal key: ", reply.error());
  if (!member_flag(reply->json, "complete")) {
    Result<Reply> now = context.api().get(endpoint(context, is_verifying ? "verify" : "init"));
    if (!now) return context.fail(2, "Error getting rekey status: ", now.error());
    return show_status(context, now->json);
  }
  if (is_verifying) {
    return context.say(
        wrap_text("Rekey verification successful. The rekey operation is complete and the new "
                  "keys are now active."));
  }
  return show_result(context, reply->json, member_text(status->json, "t"));
}

int backup_retrieve(Context& context) {
  Result<Reply> reply = context.api().get(endpoint(context, "backup"));
  if (!reply) return context.fail(2, "Error retrieving rekey backed up keys: ", reply.error());
  return context.show_secret(*reply);
}

int backup_delete(Context& context) {
  Result<Reply> reply = context.api().erase(endpoint(context, "backup"));
  if (!reply) return context.fail(2, "Error deleting rekey backed up keys: ", reply.error());
  return context.say("Success! Delete backup keys (if they existed)");
}

int rekey(Context& context) {
  const Flags& flags = context.flags();
  if (flags.on("backup-delete")) return backup_delete(context);
  if (flags.on("backup-retrieve")) return backup_retrieve(context);
  if (flags.on("cancel")) return cancel(context);
  if (flags.on("init")) return start(context);
  if (!flags.on("status")) return give_key(context);
  Result<Reply> reply =
      context.api().get(endpoint(context, flags.on("verify") ? "verify" : "init"));
  if (!reply) return context.fail(2, "Error reading rekey status: ", reply.error());
  return show_status(context, reply->json);
}

constexpr FlagSpec kFlags[] = {
    {.name = "init", .kind = FlagKind::kSwitch, .help = "Start."},
    {.name = "cancel", .kind = FlagKind::kSwitch, .help = "Give up what was started."},
    {.name = "status", .kind = FlagKind::kSwitch, .help = "Show how far it is."},
    {.name = "verify",
     .kind = FlagKind::kSwitch,
     .help = "With -init: the new keys must be given back once before they are in force. "
             "Otherwise: the command is about that step."},
    {.name = "key-shares",
     .kind = FlagKind::kInteger,
     .help = "Into how many keys to split; 5 if not given.",
     .alias = "n"},
    {.name = "key-threshold",
     .kind = FlagKind::kInteger,
     .help = "How many of them are enough; 3 if not given.",
     .alias = "t"},
    {.name = "nonce", .help = "What -init printed; it goes with every key."},
    {.name = "pgp-keys", .help = "PGP keys to encrypt the new keys with; Rekey refuses them."},
    {.name = "target",
     .help = "\"barrier\", or \"recovery\" where the seal opens itself.",
     .default_text = "barrier",
     .choices = "barrier recovery"},
    {.name = "backup",
     .kind = FlagKind::kSwitch,
     .help = "Keep the new keys, encrypted, in the server."},
    {.name = "backup-retrieve", .kind = FlagKind::kSwitch, .help = "Show keys kept by -backup."},
    {.name = "backup-delete", .kind = FlagKind::kSwitch, .help = "Delete keys kept by -backup."},
};

constexpr Command kCommands[] = {
    {.name = "operator rekey",
     .summary = "Generate new unseal keys",
     .usage = "[options] [KEY]",
     .help = "Makes new unseal keys; the server goes on. A quorum of the old keys is needed.\n\n"
             "    $ rekey operator rekey -init -verify -key-shares=15 -key-threshold=9\n\n"
             "Then, once with each old key:\n\n"
             "    $ rekey operator rekey\n\n"
             "And with -verify once with each new one:\n\n"
             "    $ rekey operator rekey -verify",
     .run = rekey,
     .flags = kFlags,
     .sets = kHttp | kFormat,
     .arguments_max = 1},
};

}  // namespace

std::span<const Command> rekey_commands() { return kCommands; }

}  // namespace rekey::cli
