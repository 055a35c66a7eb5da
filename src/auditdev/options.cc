#include "auditdev/options.h"

#include <array>
#include <charconv>

#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"

namespace rekey::auditdev {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using Texts = std::map<std::string, std::string>;

std::unexpected<base::Error> invalid(std::string message) {
  return base::fail(ErrorKind::kInvalid, std::move(message));
}

std::string_view option(const Texts& options, const std::string& name) {
  const auto found = options.find(name);
  return found == options.end() ? std::string_view() : std::string_view(found->second);
}

// The words that Go's strconv.ParseBool takes.
Result<bool> flag(const Texts& options, const std::string& name, bool otherwise) {
  const auto found = options.find(name);
  if (found == options.end()) return otherwise;
  for (std::string_view word : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (found->second == word) return true;
  }
  for (std::string_view word : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (found->second == word) return false;
  }
  return invalid("strconv.ParseBool: parsing \"" + found->second + "\": invalid syntax");
}

Result<void> read_common(const Texts& options, Options& out) {
  for (const auto& [name, value] : options) {
    if (value.size() > kOptionBytesMax) return invalid("the option " + name + " is too long");
    if (value.find('\0') != value.npos) return invalid("the option " + name + " has a NUL in it");
  }
  const std::string_view format = option(options, "format");
  if (format == "jsonx") {
    return invalid(
        "jsonx formatting has been removed, consider switching to json by omitting \"format\" or "
        "setting it to \"json\"");
  }
  if (!format.empty() && format != "json") {
    return invalid("unknown format type \"" + std::string(format) + "\"");
  }
  struct Flag {
    const char* name;
    bool Options::* member;
  };
  for (const Flag& one :
       {Flag{"hmac_accessor", &Options::hmac_accessor}, Flag{"log_raw", &Options::log_raw},
        Flag{"elide_list_responses", &Options::elide_list_responses},
        Flag{"fallback", &Options::fallback}}) {
    auto value = flag(options, one.name, out.*one.member);
    if (!value) return forward(value);
    out.*one.member = *value;
  }
  out.prefix = option(options, "prefix");
  if (out.prefix.size() > kPrefixBytesMax) return invalid("the prefix is too long");
  for (const char c : out.prefix) {
    // A line break would let who may enable a device write whole lines of their own into a file.
    if (static_cast<unsigned char>(c) < 0x20) {
      return invalid("the prefix may not have control characters in it");
    }
  }
  const std::string_view expression = option(options, "filter");
  auto filter = Filter::parse(expression);
  if (!filter) return forward(filter);
  out.filter = std::move(*filter);
  if (out.fallback && !out.filter.takes_everything()) {
    return invalid("cannot configure a fallback device with a filter");
  }
  return {};
}

Result<void> read_file(const Texts& options, Options& out) {
  out.file_path = option(options, "file_path");
  if (out.file_path.empty()) out.file_path = option(options, "path");
  if (out.file_path.empty()) return invalid("file_path is required");
  if (out.file_path == "stdout") out.kind = Kind::kStdout;
  if (out.file_path == "discard") out.kind = Kind::kDiscard;
  const std::string_view text = option(options, "mode");
  if (text.empty()) return {};
  unsigned mode = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (problem != std::errc() || end != text.data() + text.size() || mode > 07777) {
    return invalid("strconv.ParseUint: parsing \"" + std::string(text) + "\": invalid syntax");
  }
  if ((mode & 07111) != 0) {
    return invalid("file mode does not support executable permissions or special bits: " +
                   std::string(text));
  }
  out.mode = mode;
  return {};
}

Result<void> read_socket(const Texts& options, Options& out) {
  out.address = option(options, "address");
  if (out.address.empty()) return invalid("address is required");
  const std::string_view type = option(options, "socket_type");
  if (type.empty() || type == "tcp" || type == "tcp4" || type == "tcp6") {
    out.kind = Kind::kTcp;
  } else if (type == "udp" || type == "udp4" || type == "udp6") {
    out.kind = Kind::kUdp;
  } else if (type == "unix") {
    out.kind = Kind::kUnix;
  } else {
    const std::string again =
        "\t* dial " + std::string(type) + ": unknown network " + std::string(type) + "\n";
    return invalid("audit backend failed test message: 2 errors occurred:\n" + again + again +
                   "\n");
  }
  const std::string_view timeout = option(options, "write_timeout");
  if (timeout.empty()) return {};
  const auto parsed = base::parse_duration(timeout);
  if (!parsed || parsed->count() < 0) {
    return invalid("time: invalid duration \"" + std::string(timeout) + "\"");
  }
  if (parsed->count() == 0) return {};
  out.write_timeout =
      std::min(std::chrono::ceil<std::chrono::milliseconds>(*parsed), kWriteTimeoutMax);
  return {};
}

Result<void> read_syslog(const Texts& options, Options& out) {
  // RFC 5424 section 6.2.1, by the names that syslog(3) and Vault use; the place is the number.
  static constexpr std::array<std::string_view, 24> kNames = {
      "KERN",   "USER",   "MAIL",     "DAEMON", "AUTH",   "SYSLOG", "LPR",    "NEWS",
      "UUCP",   "CRON",   "AUTHPRIV", "FTP",    "",       "",       "",       "",
      "LOCAL0", "LOCAL1", "LOCAL2",   "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7"};
  out.kind = Kind::kSyslog;
  const std::string_view facility = option(options, "facility");
  if (!facility.empty()) {
    out.facility = -1;
    for (size_t i = 0; i < kNames.size(); i++) {
      if (kNames[i] == facility) out.facility = static_cast<int>(i);
    }
    if (out.facility < 0) return invalid("invalid syslog facility: " + std::string(facility));
  }
  const std::string_view tag = option(options, "tag");
  if (!tag.empty()) out.tag = tag;
  for (const char c : out.tag) {
    if (static_cast<unsigned char>(c) <= 0x20) return invalid("the tag may not have spaces in it");
  }
  return {};
}

}  // namespace

Result<Options> parse_options(const std::string& type, const Texts& options) {
  Options out;
  auto read = type == "file"     ? read_file(options, out)
              : type == "socket" ? read_socket(options, out)
              : type == "syslog" ? read_syslog(options, out)
                                 : invalid("unknown backend type: \"" + type + "\"");
  if (!read) return forward(read);
  auto common = read_common(options, out);
  if (!common) return forward(common);
  return out;
}

std::string Config::encode() const {
  JsonObject texts;
  for (const auto& [name, value] : options) texts.set(name, value);
  return Json(JsonObject{{"path", path},
                         {"type", type},
                         {"description", description},
                         {"local", local},
                         {"options", std::move(texts)},
                         {"salt", base::hex_encode(salt.reveal())}})
      .dump();
}

Result<Config> Config::decode(std::string_view text) {
  const auto row = Json::parse(text);
  const auto damaged = [] {
    return base::fail(ErrorKind::kCorrupt, "the row of an audit device can't be read");
  };
  if (!row || !row->is_object()) return damaged();
  Config config;
  config.path = row->string_or("path", "");
  config.type = row->string_or("type", "");
  config.description = row->string_or("description", "");
  const Json* local = row->find("local");
  config.local = local != nullptr && local->as_bool() != nullptr && *local->as_bool();
  if (const Json* options = row->find("options"); options != nullptr && options->as_object()) {
    for (const auto& [name, value] : *options->as_object()) {
      if (const std::string* value_text = value.as_string()) config.options[name] = *value_text;
    }
  }
  const auto salt = base::hex_decode(row->string_or("salt", ""));
  if (!salt || salt->size() != kSaltBytes || !config.path.ends_with('/')) return damaged();
  config.salt = base::SecretBytes::copy_of(*salt);
  return config;
}

}  // namespace rekey::auditdev
