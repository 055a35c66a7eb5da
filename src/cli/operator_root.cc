// operator generate-root: a new root token, by a quorum of the unseal keys.
#include <fmt/format.h>
#include <ostream>

#include "base/codec.h"
#include "cli/commands.h"
#include "cli/operator_common.h"

namespace rekey::cli {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;

namespace {

constexpr std::string_view kAttempt = "sys/generate-root/attempt";
constexpr std::string_view kUpdate = "sys/generate-root/update";

int show_status(Context& context, const Json& status) {
  static const Layout kLayout = {
      {"nonce", "started", "progress", "required", "complete", "encoded_token",
       "encoded_root_token", "pgp_fingerprint", "otp", "otp_length"},
      {}};
  if (context.show_structured(status, kLayout)) return 0;
  std::vector<Row> rows = {{"Nonce", member_text(status, "nonce")},
                           {"Started", member_text(status, "started")},
                           {"Progress", fmt::format("{}/{}", member_text(status, "progress"),
                                                    member_text(status, "required"))},
                           {"Complete", member_text(status, "complete")}};
  if (!member_text(status, "pgp_fingerprint").empty()) {
    rows.push_back({"PGP Fingerprint", member_text(status, "pgp_fingerprint")});
  }
  const std::string token = member_text(status, "encoded_token");
  const std::string old_name = member_text(status, "encoded_root_token");
  if (!token.empty() || !old_name.empty()) {
    rows.push_back({"Encoded Token", token.empty() ? old_name : token});
  }
  if (!member_text(status, "otp").empty()) rows.push_back({"OTP", member_text(status, "otp")});
  if (const std::string length = member_text(status, "otp_length");
      !length.empty() && length != "0") {
    rows.push_back({"OTP Length", length});
  }
  context.console().out << format_columns(rows);
  return 0;
}

int print_bare(Context& context, std::string_view text) {
  context.console().out << text << (context.console().out_is_terminal ? "\n" : "");
  return 0;
}

int64_t otp_length(const Json& status) {
  const Json* length = status.find("otp_length");
  return length == nullptr ? 0 : length->as_int().value_or(0);
}

int generate_otp(Context& context) {
  constexpr int64_t kLengthMax = 1024;
  Result<Reply> status = context.api().get(kAttempt);
  if (!status) return context.fail(2, "Error getting root generation status: ", status.error());
  const int64_t length = otp_length(status->json);
  if (length <= 0 || length > kLengthMax) {
    return context.fail(2, "The server doesn't say how long the OTP must be");
  }
  return print_bare(context, context.console().random.base62(static_cast<size_t>(length)));
}

int decode(Context& context) {
  std::string encoded = context.flags().text("decode");
  if (encoded == "-") encoded = context.console().read_all();
  while (encoded.ends_with('\n') || encoded.ends_with(' ')) encoded.pop_back();
  const std::string otp = context.flags().text("otp");
  if (otp.empty()) return context.fail(1, "Missing otp: use -otp to supply it");
  Result<std::string> bytes = base::base64_decode(encoded);
  if (!bytes) return context.fail(1, "Error decoding root token: ", bytes.error());
  if (bytes->size() != otp.size()) {
    return context.fail(1, fmt::format("Error decoding root token: the token has {} bytes and the "
                                       "OTP {}; use the OTP of the same -init",
                                       bytes->size(), otp.size()));
  }
  for (size_t i = 0; i < otp.size(); i++) (*bytes)[i] = static_cast<char>((*bytes)[i] ^ otp[i]);
  if (context.show_structured(Json(JsonObject{{"token", *bytes}}))) return 0;
  return print_bare(context, *bytes);
}

int start(Context& context) {
  JsonObject body;
  if (context.flags().given("otp")) body.set("otp", context.flags().text("otp"));
  if (context.flags().given("pgp-key")) body.set("pgp_key", context.flags().text("pgp-key"));
  Result<Reply> reply = context.api().put(kAttempt, std::move(body));
  if (!reply) return context.fail(2, "Error initializing root generation: ", reply.error());
  if (context.is_table() && !member_text(reply->json, "otp").empty()) {
    context.warn(
        wrap_text("A One-Time-Password has been generated for you and is shown in the OTP "
                  "field. You will need this value to decode the resulting root token, so "
                  "keep it safe."));
  }
  return show_status(context, reply->json);
}

int cancel(Context& context) {
  Call call{.method = "DELETE", .path = std::string(kAttempt)};
  // The nonce shows that whoever cancels knows of this attempt.
  std::string nonce = context.flags().text("nonce");
  Result<Reply> status = context.api().send({.path = std::string(kAttempt), .always = true});
  if (nonce.empty() && status) nonce = member_text(status->json, "nonce");
  if (!nonce.empty()) call.body = Json(JsonObject{{"nonce", nonce}});
  Result<Reply> reply = context.api().send(call);
  if (!reply) return context.fail(2, "Error canceling root token generation: ", reply.error());
  return context.say("Success! Root token generation canceled (if it was started)");
}

int give_key(Context& context) {
  Result<Reply> status = context.api().send({.path = std::string(kAttempt), .always = true});
  if (!status) return context.fail(2, "Error getting root generation status: ", status.error());
  if (!member_flag(status->json, "started")) {
    std::string text =
        wrap_text(fmt::format("No root generation is in progress. Start a root "
                              "generation by running \"{} operator generate-root "
                              "-init\".",
                              context.program()));
    if (const int64_t length = otp_length(status->json); length > 0) {
      text += "\n" + wrap_text(fmt::format("If starting root generation using the OTP method and "
                                           "generating your own OTP, the length of the OTP string "
                                           "needs to be {} characters in length.",
                                           length));
    }
    return context.fail(1, text);
  }
  std::string nonce = context.flags().text("nonce");
  if (nonce.empty() && !context.arguments().empty()) {
    return context.fail(1, wrap_text("Missing nonce value: specify it via the -nonce flag"));
  }
  if (nonce.empty()) nonce = member_text(status->json, "nonce");
  Result<std::string> key =
      take_key(context, fmt::format("Operation nonce: {}\nUnseal Key (will be hidden): ", nonce),
               "generate-root");
  if (!key) return context.fail(1, key.error().message());
  Result<Reply> reply = context.api().put(kUpdate, {{"key", *key}, {"nonce", nonce}});
  if (!reply) return context.fail(2, "Error posting unseal key: ", reply.error());
  return show_status(context, reply->json);
}

int generate_root(Context& context) {
  const Flags& flags = context.flags();
  if (flags.on("generate-otp")) return generate_otp(context);
  if (flags.given("decode")) return decode(context);
  if (flags.on("cancel")) return cancel(context);
  if (flags.on("init")) return start(context);
  if (!flags.on("status")) return give_key(context);
  Result<Reply> reply = context.api().get(kAttempt);
  if (!reply) return context.fail(2, "Error getting root generation status: ", reply.error());
  return show_status(context, reply->json);
}

constexpr FlagSpec kFlags[] = {
    {.name = "init", .kind = FlagKind::kSwitch, .help = "Start."},
    {.name = "cancel", .kind = FlagKind::kSwitch, .help = "Give up what was started."},
    {.name = "status", .kind = FlagKind::kSwitch, .help = "Show how far it is."},
    {.name = "generate-otp",
     .kind = FlagKind::kSwitch,
     .help = "Print a one-time password for -init."},
    {.name = "decode",
     .help = "The encoded token, to be turned into the token with -otp; \"-\" reads it from "
             "standard input."},
    {.name = "otp", .help = "The one-time password, for -init or -decode."},
    {.name = "nonce", .help = "What -init printed; it goes with every key."},
    {.name = "pgp-key", .help = "A PGP key to encrypt the token with; Rekey refuses it."},
};

constexpr Command kCommands[] = {
    {.name = "operator generate-root",
     .summary = "Generate a new root token",
     .usage = "[options] [KEY]",
     .help = "Makes a root token by a quorum of the unseal keys.\n\n"
             "Start; keep the OTP that is printed:\n\n"
             "    $ rekey operator generate-root -init\n\n"
             "Then, once with each key:\n\n"
             "    $ rekey operator generate-root\n\n"
             "Turn what the last one printed into the token:\n\n"
             "    $ rekey operator generate-root -decode=ENCODED_TOKEN -otp=OTP",
     .run = generate_root,
     .flags = kFlags,
     .sets = kHttp | kFormat,
     .arguments_max = 1},
};

}  // namespace

std::span<const Command> generate_root_commands() { return kCommands; }

}  // namespace rekey::cli
