// login: gets a token by one of the auth methods and keeps it for later commands.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ostream>
#include <system_error>

#include "cli/commands.h"
#include "cli/values.h"

namespace rekey::cli {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;

namespace {

// How a method's login request is made. One that isn't here has no command-line login.
struct Method {
  std::string_view name;
  bool in_path;             // the user name is part of the path: login/NAME
  std::string_view secret;  // member to ask for on the terminal if it isn't given
  std::string_view prompt;
  std::string_view help;
};

constexpr Method kMethods[] = {
    {"token", false, "token", "Token (will be hidden): ",
     "Logs in with a token that you have: it is checked and kept.\n\n"
     "    $ rekey login hvs.CAESI...\n\n"
     "Configuration:\n\n    token=<string>\n        The token."},
    {"userpass", true, "password", "Password (will be hidden): ",
     "Logs in with a name and a password of the server's own list.\n\n"
     "    $ rekey login -method=userpass username=bob\n\n"
     "Configuration:\n\n    username=<string>\n        The name.\n\n    password=<string>\n"
     "        The password; asked for on the terminal if it isn't given."},
    {"ldap", true, "password", "Password (will be hidden): ",
     "Logs in with a name and a password of a directory.\n\n"
     "    $ rekey login -method=ldap username=bob\n\n"
     "Configuration:\n\n    username=<string>\n        The name.\n\n    password=<string>\n"
     "        The password; asked for on the terminal if it isn't given."},
    {"radius", true, "password", "Password (will be hidden): ",
     "Logs in with a name and a password of a RADIUS server.\n\n"
     "    $ rekey login -method=radius username=bob\n\n"
     "Configuration:\n\n    username=<string>\n        The name.\n\n    password=<string>\n"
     "        The password; asked for on the terminal if it isn't given."},
    {"approle", false, "secret_id", "Secret ID (will be hidden): ",
     "Logs in as a machine's role.\n\n"
     "    $ rekey login -method=approle role_id=... secret_id=@file\n\n"
     "Configuration:\n\n    role_id=<string>\n        The role.\n\n    secret_id=<string>\n"
     "        Its secret; asked for on the terminal if it isn't given."},
    {"jwt", false, "jwt", "JWT (will be hidden): ",
     "Logs in with a signed token of an identity provider.\n\n"
     "    $ rekey login -method=jwt role=ci jwt=@token\n\n"
     "Configuration:\n\n    role=<string>\n        The role to log in with.\n\n    jwt=<string>\n"
     "        The signed token."},
    {"kubernetes", false, "jwt", "JWT (will be hidden): ",
     "Logs in with a service account's token.\n\n"
     "    $ rekey login -method=kubernetes role=app "
     "jwt=@/var/run/secrets/kubernetes.io/serviceaccount/token\n\n"
     "Configuration:\n\n    role=<string>\n        The role to log in with.\n\n    jwt=<string>\n"
     "        The service account's token."},
    {"cert", false, "", "",
     "Logs in with the client certificate of the connection.\n\n"
     "    $ rekey login -method=cert -client-cert=cert.pem -client-key=key.pem\n\n"
     "Configuration:\n\n    name=<string>\n        The certificate role to try; any if not given."},
    {"github", false, "token", "GitHub Personal Access Token (will be hidden): ",
     "Logs in with a token of GitHub.\n\n"
     "    $ rekey login -method=github\n\n"
     "Configuration:\n\n    token=<string>\n"
     "        The token; asked for on the terminal if it isn't given."},
};

const Method* find_method(std::string_view name) {
  for (const Method& method : kMethods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

std::string text_of(const JsonObject& config, std::string_view name) {
  const Json* value = config.find(name);
  return value == nullptr ? "" : format_cell(*value);
}

Result<void> ask_for_secret(Context& context, const Method& method, JsonObject& config) {
  if (method.secret.empty() || config.contains(method.secret)) return {};
  // A role may need none: where nobody can be asked, the server says.
  if (method.name == "approle" && !context.console().in_is_terminal) return {};
  if (context.flags().on("non-interactive")) {
    return base::fail(ErrorKind::kInvalid,
                      fmt::format("'{}' not supplied and refusing to pull from "
                                  "stdin",
                                  method.secret));
  }
  Result<std::string> answer = context.console().ask_secret(method.prompt);
  if (!answer) {
    if (method.name != "token") return forward(answer);
    return base::fail(
        ErrorKind::kInvalid,
        "An error occurred attempting to ask for a token. The raw error message is shown below, "
        "but usually this is because you attempted to pipe a value into the command or you are "
        "executing outside of a terminal (tty). If you want to pipe the value, pass \"-\" as the "
        "argument to read from stdin. The raw error was: " +
            answer.error().message());
  }
  config.set(method.secret, clean_path(*answer));
  return {};
}

// A token is no secret to trade in: what the server knows of it, in the form of a login's answer.
Result<Reply> look_token_up(Context& context, const JsonObject& config) {
  const std::string token = text_of(config, "token");
  context.api().set_token(token);
  if (context.flags().on("token-only")) {
    Reply reply;
    reply.json = Json(JsonObject{{"auth", Json(JsonObject{{"client_token", token}})}});
    return reply;
  }
  Result<Reply> reply = context.api().get("auth/token/lookup-self");
  if (!reply) {
    return base::fail(reply.error().kind(), "error looking up token: " + reply.error().message());
  }
  const Json* data = reply->data();
  if (data == nullptr) return base::fail(ErrorKind::kUpstream, "empty response from lookup-self");
  const auto member = [&](const char* name) {
    return data->find(name) == nullptr ? Json() : *data->find(name);
  };
  JsonObject auth{{"client_token", token},
                  {"accessor", member("accessor")},
                  {"policies", member("policies")},
                  {"token_policies", member("policies")},
                  {"identity_policies", member("identity_policies")},
                  {"metadata", member("meta")},
                  {"orphan", member("orphan")},
                  {"entity_id", member("entity_id")},
                  {"lease_duration", member("ttl")},
                  {"renewable", member("renewable")},
                  {"mfa_requirement", Json()}};
  reply->json.as_object()->set("auth", Json(std::move(auth)));
  reply->json.as_object()->set("data", Json());
  return reply;
}

Result<Reply> log_in(Context& context, const Method& method, JsonObject config) {
  if (method.in_path && text_of(config, "username").empty()) {
    return base::fail(ErrorKind::kInvalid, "'username' must be specified");
  }
  if (Result<void> asked = ask_for_secret(context, method, config); !asked) return forward(asked);
  if (method.name == "token") return look_token_up(context, config);
  std::string mount = clean_path(context.flags().text("path"));
  if (mount.empty()) mount = config.contains("mount") ? text_of(config, "mount") : method.name;
  config.erase("mount");
  std::string path = "auth/" + mount + "/login";
  if (method.in_path) {
    path += "/" + text_of(config, "username");
    config.erase("username");
  }
  context.api().set_token("");  // an old token is of no use to a login
  return context.api().put(path, std::move(config));
}

// Written whole or not at all, and never readable by others.
bool store_token(Context& context, const std::string& token) {
  const std::string path = token_file_path(context.console());
  const std::string temporary = fmt::format("{}.{}", path, getpid());
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool is_ok =
      fd >= 0 && ::write(fd, token.data(), token.size()) == static_cast<ssize_t>(token.size());
  if (fd >= 0) is_ok = close(fd) == 0 && is_ok;
  is_ok = is_ok && std::rename(temporary.c_str(), path.c_str()) == 0;
  if (!is_ok) {
    const std::string why = std::generic_category().message(errno);
    if (fd >= 0) unlink(temporary.c_str());
    context.warn(fmt::format("Error storing token in {}: {}", path, why));
    context.warn("");
    context.warn(
        wrap_text("Authentication was successful, but the token was not persisted. The "
                  "resulting token is shown below for your records."));
    context.warn("");
  }
  return is_ok;
}

int show_login(Context& context, const Reply& reply, bool is_stored) {
  const bool is_field = !context.flags().text("field").empty();
  if (!is_field && context.is_table()) {
    context.say(wrap_text(fmt::format(
        "Success! You are now authenticated. The token information displayed below is already "
        "stored in the token helper. You do NOT need to run \"{} login\" again. Future {} requests "
        "will automatically use this token.",
        context.program(), context.product())));
    context.say("");
  }
  if (is_stored && context.console().setting("TOKEN")) {
    const std::string name =
        context.console().environment("REKEY_TOKEN") ? "REKEY_TOKEN" : "VAULT_TOKEN";
    context.warn(wrap_text(fmt::format(
        "WARNING! The {0} environment variable is set! The value of this variable will take "
        "precedence; if this is unwanted please unset {0} or update its value accordingly.",
        name)));
    context.warn("");
  }
  if (!is_stored && !context.flags().on("token-only")) {
    context.warn(wrap_text(fmt::format(
        "The token was not stored in token helper. Set the {}_TOKEN environment variable or pass "
        "the token below with each request to {}.",
        context.console().as_vault() ? "VAULT" : "REKEY", context.product())));
    context.warn("");
  }
  return context.show_secret(reply);
}

// ---- the second factor

constexpr int kPasscodeTriesMax = 3;

const Json* requirement_of(const Reply& reply) {
  const Json* auth = reply.json.find("auth");
  const Json* requirement = auth == nullptr ? nullptr : auth->find("mfa_requirement");
  return requirement == nullptr || !requirement->is_object() ? nullptr : requirement;
}

bool wants_second_factor(const Reply& reply) { return requirement_of(reply) != nullptr; }

struct Factor {
  std::string id, name, type;
};

// One method for each enforcement: the first that takes a passcode. Nothing where nobody can be
// asked, or where one takes something else.
std::optional<std::vector<Factor>> factors_to_ask_for(const Context& context, const Reply& reply) {
  if (context.flags().on("non-interactive") || !context.console().in_is_terminal) return {};
  const Json* constraints = requirement_of(reply)->find("mfa_constraints");
  if (constraints == nullptr || !constraints->is_object()) return {};
  std::vector<Factor> factors;
  for (const auto& [name, constraint] : *constraints->as_object()) {
    const Json* any = constraint.find("any");
    if (any == nullptr || any->as_array() == nullptr) return {};
    const auto takes_passcode = [](const Json& method) {
      const Json* takes = method.find("uses_passcode");
      return takes != nullptr && takes->as_bool() && *takes->as_bool();
    };
    const auto method = std::ranges::find_if(*any->as_array(), takes_passcode);
    if (method == any->as_array()->end()) return {};
    Factor factor{method->string_or("id", ""), method->string_or("name", ""),
                  method->string_or("type", "")};
    if (std::ranges::find(factors, factor.id, &Factor::id) == factors.end()) {
      factors.push_back(std::move(factor));
    }
  }
  if (factors.empty()) return {};
  return factors;
}

// Asks for the passcodes and sends them, again where they were wrong.
Result<Reply> give_second_factor(Context& context, const Reply& asked,
                                 const std::vector<Factor>& factors) {
  const std::string id = requirement_of(asked)->string_or("mfa_request_id", "");
  for (int tries = 1;; tries++) {
    JsonObject payload;
    for (const Factor& factor : factors) {
      const std::string shown = factor.name.empty() ? factor.id : factor.name;
      Result<std::string> passcode = context.console().ask_secret(fmt::format(
          "Enter the passcode for MFA method \"{}\" of type \"{}\" (will be hidden): ", shown,
          factor.type));
      if (!passcode) return forward(passcode);
      payload.set(factor.id, base::JsonArray{Json(clean_path(*passcode))});
    }
    JsonObject body{{"mfa_request_id", id}};
    body.set("mfa_payload", std::move(payload));
    Result<Reply> reply = context.api().put("sys/mfa/validate", std::move(body));
    if (reply || tries == kPasscodeTriesMax || reply.error().kind() != ErrorKind::kDenied) {
      return reply;
    }
    context.warn(
        wrap_text("The passcode was not accepted. A code is accepted once: wait for the "
                  "next one if this one was used before."));
  }
}

int login(Context& context) {
  const std::string method_name = context.flags().text("method");
  const Method* method = find_method(method_name);
  if (method == nullptr) {
    return context.fail(
        1, wrap_text(fmt::format("Unknown auth method: {0}. Use \"{1} auth list\" to see the "
                                 "complete list of auth methods. Additionally, some auth methods "
                                 "are only available via the HTTP API.",
                                 method_name, context.program())));
  }
  std::vector<std::string> words = context.arguments();
  if (method->name == "token" && !words.empty() && !words[0].contains('=')) {
    std::string token = words[0];
    if (token == "-") {
      token = context.console().read_all();
      while (token.ends_with('\n') || token.ends_with(' ')) token.pop_back();
    }
    words[0] = "token=" + token;
  }
  Result<JsonObject> config = parse_values(words, [&] { return context.console().read_all(); });
  if (!config) return context.fail(1, "Error parsing configuration: ", config.error());
  Result<Reply> reply = log_in(context, *method, std::move(*config));
  if (!reply) return context.fail(2, "Error authenticating: ", reply.error());
  if (wants_second_factor(*reply)) {
    const std::optional<std::vector<Factor>> factors = factors_to_ask_for(context, *reply);
    if (!factors) {
      context.warn(
          wrap_text("A login request was issued that is subject to MFA validation. Please "
                    "make sure to validate the login by sending another request to "
                    "sys/mfa/validate endpoint."));
      context.warn("");
      return context.show_secret(*reply);
    }
    reply = give_second_factor(context, *reply, *factors);
    if (!reply) return context.fail(2, "Error authenticating: ", reply.error());
  }
  if (const Json* wrap = reply->json.find("wrap_info"); wrap != nullptr && wrap->is_object()) {
    return context.show_secret(*reply);
  }
  const Json* auth = reply->json.find("auth");
  const std::string token = auth == nullptr ? "" : auth->string_or("client_token", "");
  if (token.empty()) return context.fail(2, "Error authenticating: no token in the answer");
  if (context.flags().on("token-only")) {
    context.console().out << token << (context.console().out_is_terminal ? "\n" : "");
    return 0;
  }
  const bool is_stored = !context.flags().on("no-store") && store_token(context, token);
  return context.flags().on("no-print") ? 0 : show_login(context, *reply, is_stored);
}

constexpr FlagSpec kFlags[] = {
    {.name = "method",
     .help = "The auth method's type, as \"userpass\".",
     .default_text = "token",
     .choices = "token userpass ldap radius approle jwt kubernetes cert github"},
    {.name = "path", .help = "Where the method is mounted; its type if not given."},
    {.name = "no-store", .kind = FlagKind::kSwitch, .help = "Don't keep the token."},
    {.name = "no-print", .kind = FlagKind::kSwitch, .help = "Don't print the token."},
    {.name = "token-only",
     .kind = FlagKind::kSwitch,
     .help = "Print the token and nothing else, and don't keep it."},
};

constexpr Command kCommands[] = {
    {.name = "login",
     .summary = "Authenticate locally",
     .usage = "[options] [AUTH K=V...]",
     .help = "Logs in and keeps the token in ~/.vault-token for later commands.\n\n"
             "With a token:\n\n"
             "    $ rekey login hvs.CAESI...\n\n"
             "With a name and a password, which is asked for:\n\n"
             "    $ rekey login -method=userpass username=bob\n\n"
             "What a method wants:\n\n"
             "    $ rekey auth help userpass",
     .run = login,
     .flags = kFlags,
     .sets = kHttp | kField | kFormat,
     .arguments_max = kAnyNumber,
     .takes_data = true},
};

}  // namespace

std::optional<std::string_view> login_help(std::string_view method) {
  const Method* found = find_method(method);
  if (found == nullptr) return std::nullopt;
  return found->help;
}

std::span<const Command> login_commands() { return kCommands; }

}  // namespace rekey::cli
