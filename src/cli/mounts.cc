// secrets and auth: enable, disable, list, tune, move; auth help.
#include <fmt/format.h>
#include <ostream>

#include "cli/commands.h"

namespace rekey::cli {

using base::Json;
using base::JsonObject;
using base::Result;

namespace {

// In what the two kinds of mounts differ.
struct Kind {
  std::string_view list;    // "sys/mounts"
  std::string_view tune;    // before PATH/tune
  std::string_view prefix;  // of a path in sys/remount
  std::string_view noun;    // "secrets engine"
};
constexpr Kind kSecrets = {"sys/mounts", "sys/mounts/", "", "secrets engine"};
constexpr Kind kAuth = {"sys/auth", "sys/mounts/auth/", "auth/", "auth method"};

std::string text(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value == nullptr || value->is_null() ? "" : format_cell(*value);
}

// The mounts, which are under `data` and, from old servers, at the top.
const Json* mounts_of(const Reply& reply) {
  return reply.data() != nullptr && reply.data()->is_object() ? reply.data() : &reply.json;
}

std::string lease_ttl(const Json& mount, std::string_view name) {
  const std::string type = text(mount, "type");
  if (type == "system" || type == "cubbyhole" || type == "ns_system") return "n/a";
  const Json* config = mount.find("config");
  const std::string seconds = config == nullptr ? "0" : text(*config, name);
  return seconds == "0" || seconds.empty() ? "system" : seconds;
}

Row detailed_row(const std::string& path, const Json& mount, bool is_auth) {
  const Json* config = mount.find("config");
  const Json empty = Json(JsonObject());
  if (config == nullptr) config = &empty;
  const Json* options = mount.find("options");
  Row row = {path, text(mount, "type"), text(mount, "accessor"),
             lease_ttl(mount, "default_lease_ttl"), lease_ttl(mount, "max_lease_ttl")};
  row.push_back(is_auth ? text(*config, "token_type") : text(*config, "force_no_cache"));
  row.push_back(text(mount, "local") == "true" ? "local" : "replicated");
  row.push_back(text(mount, "seal_wrap"));
  row.push_back(text(mount, "external_entropy_access"));
  row.push_back(options == nullptr || options->is_null() ? "map[]" : format_cell(*options));
  for (const char* name : {"description", "uuid", "plugin_version", "running_plugin_version",
                           "running_sha256", "deprecation_status"}) {
    row.push_back(text(mount, name));
  }
  return row;
}

int list(Context& context, const Kind& kind) {
  const bool is_auth = kind.prefix == "auth/";
  Result<Reply> reply = context.api().get(kind.list);
  if (!reply) {
    return context.fail(
        2,
        fmt::format("Error listing {}: ", is_auth ? "enabled authentications" : "secrets engines"),
        reply.error());
  }
  static const Layout kMount = {
      {"uuid", "type", "description", "accessor", "config", "options", "local", "seal_wrap",
       "external_entropy_access", "plugin_version", "running_plugin_version", "running_sha256",
       "deprecation_status"},
      {{"config", {{"default_lease_ttl", "max_lease_ttl", "force_no_cache"}, {}}}}};
  static const Layout kLayout = {{}, {{"*", kMount}}};
  const Json& mounts = *mounts_of(*reply);
  if (context.show_structured(mounts, kLayout) || !mounts.is_object()) return 0;
  const bool is_detailed = context.flags().on("detailed");
  Row header = {"Path", "Type", "Accessor", "Description"};
  if (is_auth) header.emplace_back("Version");
  if (is_detailed) {
    header = {"Path",
              "Plugin",
              "Accessor",
              "Default TTL",
              "Max TTL",
              is_auth ? "Token Type" : "Force No Cache",
              "Replication",
              "Seal Wrap",
              "External Entropy Access",
              "Options",
              "Description",
              "UUID",
              "Version",
              "Running Version",
              "Running SHA256",
              "Deprecation Status"};
  }
  std::vector<Row> rows;
  for (const auto& [path, mount] : *mounts.as_object()) {
    if (!mount.is_object() || !mount.find("type")) continue;
    if (is_detailed) {
      rows.push_back(detailed_row(path, mount, is_auth));
      continue;
    }
    rows.push_back(
        {path, text(mount, "type"), text(mount, "accessor"), text(mount, "description")});
    if (is_auth) rows.back().push_back(text(mount, "plugin_version"));
  }
  context.console().out << format_table(header, rows);
  return 0;
}

// What enable puts into `config` and tune at the top.
void add_tuning(JsonObject& out, const Flags& flags) {
  for (const auto& [flag, member] :
       {std::pair{"default-lease-ttl", "default_lease_ttl"}, {"max-lease-ttl", "max_lease_ttl"}}) {
    if (const auto time = flags.duration(flag)) out.set(member, base::format_duration(*time));
  }
  for (const auto& [flag, member] : {std::pair{"listing-visibility", "listing_visibility"},
                                     {"token-type", "token_type"},
                                     {"plugin-version", "plugin_version"}}) {
    if (flags.given(flag)) out.set(member, flags.text(flag));
  }
  for (const auto& [flag, member] :
       {std::pair{"audit-non-hmac-request-keys", "audit_non_hmac_request_keys"},
        {"audit-non-hmac-response-keys", "audit_non_hmac_response_keys"},
        {"passthrough-request-headers", "passthrough_request_headers"},
        {"allowed-response-headers", "allowed_response_headers"}}) {
    if (flags.given(flag)) out.set(member, Json::strings(flags.texts(flag)));
  }
}

JsonObject options_given(const Flags& flags) {
  JsonObject options;
  for (const auto& [name, value] : flags.pairs("options")) options.set(name, value);
  if (const auto version = flags.integer("version")) {
    options.set("version", std::to_string(*version));
  }
  return options;
}

int enable(Context& context, const Kind& kind) {
  const Flags& flags = context.flags();
  std::string type = clean_path(context.argument(0));
  if (type == "plugin" && flags.given("plugin-name")) type = flags.text("plugin-name");
  const std::string path = flags.given("path") ? mount_path(flags.text("path")) : type + "/";
  JsonObject config;
  add_tuning(config, flags);
  if (flags.on("force-no-cache")) config.set("force_no_cache", true);
  JsonObject body{{"type", type},
                  {"description", flags.text("description")},
                  {"config", Json(std::move(config))},
                  {"local", flags.on("local")},
                  {"seal_wrap", flags.on("seal-wrap")},
                  {"external_entropy_access", flags.on("external-entropy-access")}};
  if (JsonObject options = options_given(flags); !options.empty()) {
    body.set("options", Json(std::move(options)));
  }
  Result<Reply> reply = context.api().post(fmt::format("{}/{}", kind.list, path), std::move(body));
  const bool is_auth = kind.prefix == "auth/";
  if (!reply) {
    return context.fail(
        2,
        is_auth ? fmt::format("Error enabling {} auth: ", type) : std::string("Error enabling: "),
        reply.error());
  }
  return context.say(
      is_auth ? fmt::format("Success! Enabled {} auth method at: {}", type, path)
              : fmt::format("Success! Enabled the {} secrets engine at: {}", type, path));
}

int disable(Context& context, const Kind& kind) {
  const std::string path = mount_path(context.argument(0));
  Result<Reply> reply = context.api().erase(fmt::format("{}/{}", kind.list, path));
  if (!reply) {
    return context.fail(2, fmt::format("Error disabling {} at {}: ", kind.noun, path),
                        reply.error());
  }
  return context.say(
      fmt::format("Success! Disabled the {} (if it existed) at: {}", kind.noun, path));
}

JsonObject lockout_given(const Flags& flags) {
  JsonObject out;
  for (const auto& [flag, member] :
       {std::pair{"user-lockout-duration", "lockout_duration"},
        {"user-lockout-counter-reset-duration", "lockout_counter_reset_duration"}}) {
    if (const auto time = flags.duration(flag)) out.set(member, base::format_duration(*time));
  }
  if (const auto threshold = flags.integer("user-lockout-threshold")) {
    out.set("lockout_threshold", std::to_string(*threshold));
  }
  if (flags.given("user-lockout-disable")) {
    out.set("lockout_disable", flags.on("user-lockout-disable"));
  }
  return out;
}

int tune(Context& context, const Kind& kind) {
  const std::string path = mount_path(context.argument(0));
  JsonObject body;
  add_tuning(body, context.flags());
  if (context.flags().given("description")) {
    body.set("description", context.flags().text("description"));
  }
  if (JsonObject options = options_given(context.flags()); !options.empty()) {
    body.set("options", Json(std::move(options)));
  }
  if (JsonObject lockout = lockout_given(context.flags()); !lockout.empty()) {
    body.set("user_lockout_config", Json(std::move(lockout)));
  }
  Result<Reply> reply =
      context.api().post(fmt::format("{}{}tune", kind.tune, path), std::move(body));
  if (!reply) {
    return context.fail(2, fmt::format("Error tuning {} {}: ", kind.noun, path), reply.error());
  }
  return context.say(fmt::format("Success! Tuned the {} at: {}", kind.noun, path));
}

int move(Context& context, const Kind& kind) {
  constexpr base::Duration kPollEvery = std::chrono::milliseconds(250);
  const std::string from = mount_path(context.argument(0));
  const std::string to = mount_path(context.argument(1));
  Result<Reply> reply = context.api().post("sys/remount", {{"from", from}, {"to", to}});
  if (!reply) {
    return context.fail(2, fmt::format("Error moving {} {} to {}: ", kind.noun, from, to),
                        reply.error());
  }
  const std::string id =
      reply->data() == nullptr ? "" : reply->data()->string_or("migration_id", "");
  if (id.empty()) {
    return context.say(fmt::format("Success! Moved {} {} to: {}", kind.noun, from, to));
  }
  context.say(
      fmt::format("Started moving {} {} to {}, with migration ID {}", kind.noun, from, to, id));
  while (true) {
    Result<Reply> status = context.api().get("sys/remount/status/" + id);
    if (!status) {
      return context.fail(2, fmt::format("Error checking migration status {}: ", id),
                          status.error());
    }
    const Json* info = status->data() ? status->data()->find("migration_info") : nullptr;
    const std::string state = info == nullptr ? "" : info->string_or("status", "");
    if (state == "success") {
      return context.say(fmt::format("Success! Finished moving {} {} to {}, with migration ID {}",
                                     kind.noun, from, to, id));
    }
    if (state != "in-progress") {
      return context.fail(2, fmt::format("Failure! Error encountered moving {} {} to {}, with "
                                         "migration ID {}",
                                         kind.noun, from, to, id));
    }
    context.console().wait(kPollEvery);
  }
}

int secrets_list(Context& context) { return list(context, kSecrets); }
int secrets_enable(Context& context) { return enable(context, kSecrets); }
int secrets_disable(Context& context) { return disable(context, kSecrets); }
int secrets_tune(Context& context) { return tune(context, kSecrets); }
int secrets_move(Context& context) { return move(context, kSecrets); }
int auth_list(Context& context) { return list(context, kAuth); }
int auth_enable(Context& context) { return enable(context, kAuth); }
int auth_disable(Context& context) { return disable(context, kAuth); }
int auth_tune(Context& context) { return tune(context, kAuth); }
int auth_move(Context& context) { return move(context, kAuth); }

int auth_help(Context& context) {
  const std::string name = clean_path(context.argument(0));
  std::optional<std::string_view> help = login_help(name);
  if (!help) {
    // Not a type: where one is mounted, perhaps.
    Result<Reply> reply = context.api().get("sys/auth");
    if (!reply) return context.fail(2, "Error listing auth methods: ", reply.error());
    const Json* mount = mounts_of(*reply)->find(name + "/");
    if (mount == nullptr) {
      return context.fail(1,
                          fmt::format("No auth method available on the server at \"{}/\"", name));
    }
    help = login_help(mount->string_or("type", ""));
    if (!help) {
      return context.fail(1, wrap_text(fmt::format(
                                 "No method-specific CLI handler available for auth method \"{}\"",
                                 mount->string_or("type", ""))));
    }
  }
  return context.say(under_program_name(std::string(*help), context.program()));
}

constexpr FlagSpec kDetailed[] = {
    {.name = "detailed",
     .kind = FlagKind::kSwitch,
     .help = "Show settings, options and versions too.",
     .env = "DETAILED"},
};

constexpr FlagSpec kDescription = {.name = "description", .help = "What it is for."};
constexpr FlagSpec kDefaultTtl = {.name = "default-lease-ttl",
                                  .kind = FlagKind::kDuration,
                                  .help =
                                      "How long a lease or token from here lives if nobody "
                                      "asks for another time."};
constexpr FlagSpec kMaxTtl = {
    .name = "max-lease-ttl", .kind = FlagKind::kDuration, .help = "How long it lives at most."};
constexpr FlagSpec kVisibility = {.name = "listing-visibility",
                                  .help =
                                      "\"unauth\" shows the mount to those who haven't logged "
                                      "in; \"hidden\" doesn't.",
                                  .choices = "unauth hidden"};
constexpr FlagSpec kRequestKeys = {.name = "audit-non-hmac-request-keys",
                                   .kind = FlagKind::kTexts,
                                   .help = "A member of requests to record as it is."};
constexpr FlagSpec kResponseKeys = {.name = "audit-non-hmac-response-keys",
                                    .kind = FlagKind::kTexts,
                                    .help = "A member of answers to record as it is."};
constexpr FlagSpec kPassthrough = {.name = "passthrough-request-headers",
                                   .kind = FlagKind::kTexts,
                                   .help = "A request header that the mount may see."};
constexpr FlagSpec kAllowed = {.name = "allowed-response-headers",
                               .kind = FlagKind::kTexts,
                               .help = "A response header that the mount may set."};
constexpr FlagSpec kOptions = {
    .name = "options", .kind = FlagKind::kPairs, .help = "An option of the mount."};
constexpr FlagSpec kVersion = {.name = "version",
                               .kind = FlagKind::kInteger,
                               .help = "Which version of its kind, where there are several."};
constexpr FlagSpec kPluginVersion = {.name = "plugin-version",
                                     .help = "Which version of a plugin."};
constexpr FlagSpec kTokenType = {.name = "token-type",
                                 .help = "Which tokens its logins give.",
                                 .choices = "default-service default-batch service batch"};
constexpr FlagSpec kPath = {.name = "path", .help = "Where to mount it; its type if not given."};
constexpr FlagSpec kPluginName = {.name = "plugin-name", .help = "Name of a plugin."};
constexpr FlagSpec kLocal = {
    .name = "local", .kind = FlagKind::kSwitch, .help = "Keep it out of replication."};
constexpr FlagSpec kSealWrap = {.name = "seal-wrap",
                                .kind = FlagKind::kSwitch,
                                .help = "Encrypt its most important values by the seal too."};
constexpr FlagSpec kEntropy = {.name = "external-entropy-access",
                               .kind = FlagKind::kSwitch,
                               .help = "Let it use the server's outside source of randomness."};
constexpr FlagSpec kNoCache = {
    .name = "force-no-cache", .kind = FlagKind::kSwitch, .help = "Don't cache what it stores."};

constexpr FlagSpec kSecretsEnableFlags[] = {
    kPath,       kDescription, kDefaultTtl,   kMaxTtl,      kVersion,    kOptions,
    kLocal,      kSealWrap,    kEntropy,      kNoCache,     kPluginName, kPluginVersion,
    kVisibility, kRequestKeys, kResponseKeys, kPassthrough, kAllowed,
};
constexpr FlagSpec kSecretsTuneFlags[] = {
    kDescription, kDefaultTtl,  kMaxTtl,       kVersion,     kOptions, kPluginVersion,
    kVisibility,  kRequestKeys, kResponseKeys, kPassthrough, kAllowed,
};
constexpr FlagSpec kAuthEnableFlags[] = {
    kPath,       kDescription, kDefaultTtl,   kMaxTtl,      kVersion,   kOptions,
    kLocal,      kSealWrap,    kEntropy,      kPluginName,  kTokenType, kPluginVersion,
    kVisibility, kRequestKeys, kResponseKeys, kPassthrough, kAllowed,
};
constexpr FlagSpec kAuthTuneFlags[] = {
    kDescription,
    kDefaultTtl,
    kMaxTtl,
    kVersion,
    kOptions,
    kPluginVersion,
    kVisibility,
    kRequestKeys,
    kResponseKeys,
    kPassthrough,
    kAllowed,
    kTokenType,
    {.name = "user-lockout-threshold",
     .kind = FlagKind::kInteger,
     .help = "After how many wrong passwords a name is locked out."},
    {.name = "user-lockout-duration",
     .kind = FlagKind::kDuration,
     .help = "How long it is locked out."},
    {.name = "user-lockout-counter-reset-duration",
     .kind = FlagKind::kDuration,
     .help = "After how long without a wrong password the count starts again."},
    {.name = "user-lockout-disable", .kind = FlagKind::kSwitch, .help = "Lock nobody out."},
};

constexpr Command kSecretsCommands[] = {
    {.name = "secrets list",
     .summary = "List enabled secrets engines",
     .usage = "[options]",
     .help = "Lists the secrets engines.\n\n"
             "    $ rekey secrets list -detailed",
     .run = secrets_list,
     .flags = kDetailed,
     .sets = kHttp | kFormat},
    {.name = "secrets enable",
     .summary = "Enable a secrets engine",
     .usage = "[options] TYPE",
     .help = "Mounts a secrets engine.\n\n"
             "    $ rekey secrets enable -path=apps kv-v2\n\n"
             "    $ rekey secrets enable -max-lease-ttl=30m database",
     .run = secrets_enable,
     .flags = kSecretsEnableFlags,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "secrets disable",
     .summary = "Disable a secrets engine",
     .usage = "[options] PATH",
     .help = "Takes a secrets engine away with all that it holds; its leases are revoked.\n\n"
             "    $ rekey secrets disable apps/",
     .run = secrets_disable,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "secrets tune",
     .summary = "Tune a secrets engine configuration",
     .usage = "[options] PATH",
     .help = "Changes the settings of a mount.\n\n"
             "    $ rekey secrets tune -default-lease-ttl=72h pki/",
     .run = secrets_tune,
     .flags = kSecretsTuneFlags,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "secrets move",
     .summary = "Move a secrets engine to a new path",
     .usage = "[options] SOURCE DESTINATION",
     .help = "Mounts a secrets engine elsewhere. Its leases are revoked.\n\n"
             "    $ rekey secrets move apps/ generic/",
     .run = secrets_move,
     .arguments_min = 2,
     .arguments_max = 2},
};

constexpr Command kAuthCommands[] = {
    {.name = "auth list",
     .summary = "List enabled auth methods",
     .usage = "[options]",
     .help = "Lists the auth methods.\n\n"
             "    $ rekey auth list -detailed",
     .run = auth_list,
     .flags = kDetailed,
     .sets = kHttp | kFormat},
    {.name = "auth enable",
     .summary = "Enable a new auth method",
     .usage = "[options] TYPE",
     .help = "Mounts an auth method.\n\n"
             "    $ rekey auth enable -path=staff userpass",
     .run = auth_enable,
     .flags = kAuthEnableFlags,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "auth disable",
     .summary = "Disable an auth method",
     .usage = "[options] PATH",
     .help = "Takes an auth method away; the tokens that it gave are revoked.\n\n"
             "    $ rekey auth disable staff/",
     .run = auth_disable,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "auth tune",
     .summary = "Tune an auth method configuration",
     .usage = "[options] PATH",
     .help = "Changes the settings of a mount.\n\n"
             "    $ rekey auth tune -default-lease-ttl=72h staff/",
     .run = auth_tune,
     .flags = kAuthTuneFlags,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "auth move",
     .summary = "Move an auth method to a new path",
     .usage = "[options] SOURCE DESTINATION",
     .help = "Mounts an auth method elsewhere. The tokens that it gave are revoked.\n\n"
             "    $ rekey auth move auth/staff/ auth/people/",
     .run = auth_move,
     .arguments_min = 2,
     .arguments_max = 2},
    {.name = "auth help",
     .summary = "Print usage for an auth method",
     .usage = "[options] TYPE | PATH",
     .help = "Says what login wants for an auth method.\n\n"
             "    $ rekey auth help userpass",
     .run = auth_help,
     .arguments_min = 1,
     .arguments_max = 1},
};

}  // namespace

std::span<const Command> secrets_commands() { return kSecretsCommands; }
std::span<const Command> auth_commands() { return kAuthCommands; }

}  // namespace rekey::cli
