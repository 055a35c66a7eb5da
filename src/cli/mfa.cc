// mfa: an entity's key for a second factor, as something that a phone can scan.
#include <fmt/format.h>

#include "base/base32.h"
#include "cli/commands.h"
#include "cli/qr.h"
#include "crypto/totp.h"

namespace rekey::cli {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;

// The key in groups of four, for those who type it.
std::string grouped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (i > 0 && i % 4 == 0) out += ' ';
    out += text[i];
  }
  return out;
}

int show_code(Context& context, const std::string& url) {
  Result<crypto::Otpauth> key = crypto::parse_otpauth_url(url);
  if (!key) return context.fail(2, "Error reading the server's answer: ", key.error());
  Result<std::string> code = qr_for_terminal(url, context.console().out_is_terminal);
  if (!code) return context.fail(2, "Error making the QR code: ", code.error());
  context.say("Scan this with an authenticator app. It is shown once.");
  context.say("");
  context.say(*code);
  context.say(fmt::format("Issuer:     {}", key->issuer));
  context.say(fmt::format("Account:    {}", key->account));
  context.say(fmt::format("Key:        {}", grouped(base::base32_encode(key->key.reveal()))));
  context.say(fmt::format("Algorithm:  {}, {} digits, {} seconds",
                          crypto::totp_hash_name(key->params.hash), key->params.digits,
                          key->params.period_s));
  return 0;
}

int enroll(Context& context) {
  JsonObject body{{"method_id", context.argument(0)}};
  const std::string entity = context.flags().text("entity");
  std::string path = "identity/mfa/method/totp/generate";
  if (!entity.empty()) {
    body.set("entity_id", entity);
    path = "identity/mfa/method/totp/admin-generate";
  }
  Result<Reply> reply = context.api().put(path, std::move(body));
  if (!reply) return context.fail(2, "Error making a key: ", reply.error());
  const std::string url = reply->data() == nullptr ? "" : reply->data()->string_or("url", "");
  const bool wrapped =
      reply->json.find("wrap_info") != nullptr && reply->json.find("wrap_info")->is_object();
  if (wrapped || !context.flags().text("field").empty() || !context.is_table()) {
    return context.show_secret(*reply);
  }
  if (url.empty()) {
    context.show_warnings(reply->json);
    return context.fail(2,
                        "No key was made: there is one already. Somebody who may can forget it by "
                        "writing to identity/mfa/method/totp/admin-destroy.");
  }
  return show_code(context, url);
}

constexpr FlagSpec kFlags[] = {
    {.name = "entity", .help = "The id of the entity whose key it is; your own if not given."},
};

constexpr Command kCommands[] = {
    {.name = "mfa enroll",
     .summary = "Make a key for a second factor and show it as a QR code",
     .usage = "[options] METHOD_ID",
     .help =
         "Makes your key for a TOTP method and shows it once, as a QR code for an authenticator "
         "app and as text.\n\n"
         "    $ rekey mfa enroll 0a1b2c3d-...\n\n"
         "For somebody else, who can't log in without it:\n\n"
         "    $ rekey mfa enroll -entity=$ENTITY_ID $METHOD_ID",
     .run = enroll,
     .flags = kFlags,
     .sets = kHttp | kField | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
};

}  // namespace

std::span<const Command> mfa_commands() { return kCommands; }

}  // namespace rekey::cli
