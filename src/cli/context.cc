#include <fmt/format.h>
#include <charconv>
#include <ostream>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/secret.h"
#include "cli/values.h"

namespace rekey::cli {

using base::Json;
using base::Result;

Context::Context(Console& console, const Command& command, CommandLine line)
    : console_(console), command_(command), line_(std::move(line)) {}

std::string Context::format() const {
  const std::string format = flags().text("format");
  return (command_.sets & kFormat) == 0 || format.empty() ? "table" : format;
}

std::string token_file_path(const Console& console) {
  return console.environment("HOME").value_or("/") + "/.vault-token";
}

std::string find_token(const Console& console) {
  if (const std::optional<std::string> token = console.setting("TOKEN")) return *token;
  Result<std::string> stored = read_file(token_file_path(console));
  if (!stored) return "";
  while (stored->ends_with('\n') || stored->ends_with(' ')) stored->pop_back();
  return std::move(*stored);
}

ApiOptions Context::api_options() const {
  ApiOptions options;
  options.address = flags().text("address");
  if (const std::string agent = flags().text("agent-address"); !agent.empty()) {
    options.address = agent;
  }
  options.program = program();
  options.token = find_token(console_);
  options.namespace_path = clean_path(flags().text("namespace"));
  if (!options.namespace_path.empty()) options.namespace_path += '/';
  if (const auto ttl = flags().duration("wrap-ttl"); ttl && ttl->count() > 0) {
    options.wrap_ttl = base::format_duration(*ttl);
  }
  options.mfa = flags().texts("mfa");
  options.headers = flags().pairs("header");
  options.policy_override = flags().on("policy-override");
  options.net.follow_one_307 = !flags().on("disable-redirects");
  options.curl_only = flags().on("output-curl-string");
  options.policy_only = flags().on("output-policy");
  net::ClientTlsOptions& tls = options.net.tls;
  tls.ca_file = flags().text("ca-cert");
  tls.ca_path = flags().text("ca-path");
  tls.client_cert_file = flags().text("client-cert");
  tls.client_key_file = flags().text("client-key");
  tls.server_name = flags().text("tls-server-name");
  tls.skip_verify = flags().on("tls-skip-verify");
  if (tls.ca_file.empty()) options.ca_pem = console_.setting("CACERT_BYTES").value_or("");
  for (const char* name : {"HTTP_PROXY", "PROXY_ADDR"}) {  // the later wins, as with vault
    if (auto proxy = console_.setting(name)) options.net.proxy = std::move(*proxy);
  }
  if (const auto timeout = console_.setting("CLIENT_TIMEOUT")) {
    if (Result<base::Duration> parsed = base::parse_duration(*timeout)) {
      options.net.total_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(*parsed);
    }
  }
  if (const auto retries = console_.setting("MAX_RETRIES")) {
    int count = 0;
    const auto [end, error] =
        std::from_chars(retries->data(), retries->data() + retries->size(), count);
    if (error == std::errc() && count >= 0) options.retries_max = count;
  }
  return options;
}

Api& Context::api() {
  if (api_ == nullptr) {
    api_ = std::make_unique<Api>(api_options(), console_.random, console_.wait);
  }
  return *api_;
}

int Context::say(std::string_view text) const {
  console_.out << text << '\n';
  return 0;
}

void Context::warn(std::string_view text) const { console_.err << text << '\n'; }

int Context::fail(int code, std::string_view text) {
  if (api_ != nullptr && !api_->instead().empty()) return say(api_->instead());
  warn(text);
  return code;
}

bool Context::show_structured(const Json& value, const Layout& layout) {
  if (format() == "json") {
    say(format_json(value, layout));
    return true;
  }
  if (format() == "yaml" || format() == "yml") {
    console_.out << format_yaml(value);
    return true;
  }
  return false;
}

int Context::show_data(const Json& data, std::span<const Row> rows, const Layout& layout) {
  if (!show_structured(data, layout)) console_.out << format_pairs(rows);
  return 0;
}

int Context::show_list(const Json& keys) {
  if (show_structured(keys) || keys.as_array() == nullptr) return 0;
  std::vector<Row> rows = {{"Keys"}, {"----"}};
  for (const Json& key : *keys.as_array()) rows.push_back({format_cell(key)});
  console_.out << format_columns(rows);
  return 0;
}

int Context::show_field(const Json* value, std::string_view of) {
  if (value == nullptr) {
    return fail(1, fmt::format("Field \"{}\" not present in {}", flags().text("field"), of));
  }
  if (format() == "json") {
    console_.out << format_json(*value);
  } else if (format() == "yaml") {
    console_.out << format_yaml(*value);
    return 0;
  } else {
    console_.out << format_cell(*value);
  }
  if (console_.out_is_terminal) console_.out << '\n';
  return 0;
}

void Context::show_warnings(const Json& answer) {
  const Json* warnings = answer.find("warnings");
  if (warnings == nullptr || !warnings->is_array() || warnings->as_array()->empty()) return;
  warn(fmt::format("WARNING! The following warnings were returned from {}:\n", product()));
  for (const Json& warning : *warnings->as_array()) {
    warn(wrap_text("* " + format_cell(warning), 2));
    warn("");
  }
}

int Context::show_secret(const Reply& reply) {
  if (const std::string field = flags().text("field"); !field.empty()) {
    const std::optional<Json> value = secret_field(reply.json, field);
    return show_field(value ? &*value : nullptr, "secret");
  }
  if (format() == "raw") {
    say(reply.body);
    return 0;
  }
  if (show_structured(secret_envelope(reply.json), secret_layout())) return 0;
  show_warnings(reply.json);
  console_.out << format_pairs(secret_rows(reply.json));
  return 0;
}

std::string clean_path(std::string_view path) {
  while (!path.empty() && (path.front() == ' ' || path.front() == '/')) path.remove_prefix(1);
  while (!path.empty() && (path.back() == ' ' || path.back() == '/')) path.remove_suffix(1);
  return std::string(path);
}

std::string mount_path(std::string_view path) { return clean_path(path) + "/"; }

}  // namespace rekey::cli
