#include "auditdev/line.h"

#include <algorithm>

#include "base/clock.h"

namespace rekey::auditdev {
namespace {

using base::Json;
using base::JsonObject;
using base::JsonWriter;
using logical::Operation;

// As sys/mounts shows it.
constexpr std::string_view kRunningVersion = "v1.14.10+builtin.vault";

std::string_view class_of(const logical::Mount& mount) {
  return mount.is_auth() ? "auth" : "secret";
}

// Whether Go would read it with time.RFC3339Nano: only what begins like a date is tried.
bool is_time(std::string_view text) {
  return text.size() >= 20 && text.size() <= 40 && text[4] == '-' && text[10] == 'T' &&
         base::parse_rfc3339(text).has_value();
}

class Writer {
 public:
  Writer(const LineStyle& style, std::string& out)
      : options_(style.options), hasher_(style.hasher), json_(out) {}

  JsonWriter& json() { return json_; }
  bool elides_lists() const { return options_.elide_list_responses; }

  void text(const char* name, std::string_view value) {
    if (!value.empty()) json_.member(name, value);
  }
  void number(const char* name, int64_t value) {
    if (value != 0) json_.member(name, value);
  }
  void secret(const char* name, std::string_view value) {
    if (value.empty()) return;
    json_.key(name);
    hashed(value);
  }
  void accessor(const char* name, std::string_view value) {
    if (options_.hmac_accessor) return secret(name, value);
    text(name, value);
  }
  void strings(const char* name, std::span<const std::string> values) {
    if (values.empty()) return;
    json_.key(name);
    json_.begin_array();
    for (const std::string& value : values) json_.value(value);
    json_.end_array();
  }
  void metadata(std::span<const std::pair<std::string, std::string>> pairs) {
    if (pairs.empty()) return;
    json_.key("metadata");
    json_.begin_object();
    for (const auto& [name, value] : pairs) {
      json_.dynamic_key(name);
      json_.value(value);
    }
    json_.end_object();
  }
  void hashed(std::string_view value) {
    if (options_.log_raw) return json_.value(value);
    hash_always(value);
  }
  void hash_always(std::string_view value) {
    scratch_ = '"';
    hasher_.append(value, scratch_);
    scratch_ += '"';
    json_.raw(scratch_);
  }

  // `clear` names members at the top that stay as they are (audit_non_hmac_..._keys).
  void data(const Json& data, std::span<const std::string> clear, bool elide_list) {
    const JsonObject* object = data.as_object();
    if (object == nullptr || object->empty()) return;
    leaves_left_ = kLineLeavesMax;
    cut_ = false;
    json_.key("data");
    json_.begin_object();
    for (const auto& [name, member] : *object) {
      json_.dynamic_key(name);
      if (elide_list && name == "keys" && member.is_array()) {
        json_.value(member.as_array()->size());
      } else if (elide_list && name == "key_info" && member.is_object()) {
        json_.value(member.as_object()->size());
      } else if (options_.log_raw || std::ranges::find(clear, name) != clear.end()) {
        json_.value(member);
      } else {
        walk(member, 0);
      }
    }
    json_.end_object();
    // More than one line should carry: one hash stands for the whole.
    if (cut_) {
      json_.key("data_cut");
      hash_always(data.dump());
    }
  }

 private:
  bool stop() {
    if (leaves_left_ == 0) cut_ = true;
    return cut_;
  }

  void walk(const Json& value, size_t depth) {
    if (stop()) return json_.null();
    if (const std::string* string = value.as_string()) {
      leaves_left_--;
      return is_time(*string) ? json_.value(*string) : hash_always(*string);
    }
    if (depth == kLineDepthMax) return hash_always(value.dump());
    if (const JsonObject* object = value.as_object()) {
      json_.begin_object();
      for (const auto& [name, member] : *object) {
        if (stop()) break;
        json_.dynamic_key(name);
        walk(member, depth + 1);
      }
      return json_.end_object();
    }
    if (const base::JsonArray* array = value.as_array()) {
      json_.begin_array();
      for (const Json& item : *array) {
        if (stop()) break;
        walk(item, depth + 1);
      }
      return json_.end_array();
    }
    leaves_left_--;
    json_.value(value);
  }

  const Options& options_;
  const audit::Hasher& hasher_;
  JsonWriter json_;
  std::string scratch_;
  size_t leaves_left_ = 0;
  bool cut_ = false;
};

// The members of a mount's config that name what stays in clear.
std::vector<std::string> clear_keys(const logical::Mount* mount, std::string_view name) {
  std::vector<std::string> out;
  const Json* list = mount == nullptr ? nullptr : mount->config.find(name);
  if (list == nullptr || list->as_array() == nullptr) return out;
  for (const Json& item : *list->as_array()) {
    if (const std::string* text = item.as_string()) out.push_back(*text);
  }
  return out;
}

void write_mount(Writer& line, const logical::Mount* mount, const char* version_name) {
  if (mount == nullptr) return;
  line.text("mount_point", mount->path);
  line.text("mount_type", mount->type);
  line.text("mount_accessor", mount->accessor);
  line.text(version_name, kRunningVersion);
  line.text("mount_class", class_of(*mount));
}

std::string_view type_name(logical::TokenType type) {
  return type == logical::TokenType::kBatch ? "batch" : "service";
}

void write_policy_results(Writer& line, const RequestFacts& facts) {
  if (!facts.decided) return;
  JsonWriter& json = line.json();
  json.key("policy_results");
  json.begin_object();
  json.member("allowed", facts.allowed);
  if (facts.allowed && !facts.granting_policy.empty()) {
    json.key("granting_policies");
    json.begin_array();
    json.begin_object();
    json.member("name", facts.granting_policy);
    json.member("namespace_id", "root");
    json.member("type", "acl");
    json.end_object();
    json.end_array();
  }
  json.end_object();
}

void write_auth(Writer& line, const RequestFacts& facts) {
  JsonWriter& json = line.json();
  json.key("auth");
  json.begin_object();
  if (facts.token == nullptr) {
    json.member("token_type", "default");
    return json.end_object();
  }
  const identity::Token& token = *facts.token;
  line.secret("client_token", facts.request.token);
  line.accessor("accessor", token.accessor);
  line.text("display_name", token.display_name);
  line.strings("policies", token.policies);
  line.strings("token_policies", token.policies);
  write_policy_results(line, facts);
  line.metadata(token.meta);
  if (token.num_uses > 0) line.number("remaining_uses", token.num_uses - 1);
  line.text("entity_id", token.entity_id);
  line.text("token_type", type_name(token.type));
  line.number("token_ttl", token.creation_ttl_s);
  const base::WallTime created{std::chrono::seconds(token.created_s)};
  // Whole seconds, as Vault has it.
  std::string issued = base::format_rfc3339(created);
  if (const size_t dot = issued.find('.'); dot != issued.npos)
    issued.replace(dot, issued.npos, "Z");
  line.text("token_issue_time", issued);
  json.end_object();
}

void write_headers(Writer& line, std::span<const HeaderFact> headers) {
  if (headers.empty()) return;
  JsonWriter& json = line.json();
  json.key("headers");
  json.begin_object();
  for (const HeaderFact& header : headers) {
    json.dynamic_key(header.name);
    json.begin_array();
    for (const std::string& value : header.values) {
      header.hmac ? line.hash_always(value) : json.value(value);
    }
    json.end_array();
  }
  json.end_object();
}

void write_response_auth(Writer& line, const logical::Auth& auth) {
  JsonWriter& json = line.json();
  json.key("auth");
  json.begin_object();
  line.secret("client_token", auth.client_token);
  line.accessor("accessor", auth.accessor);
  line.strings("policies", auth.policies);
  line.strings("token_policies", auth.token_policies);
  line.strings("identity_policies", auth.identity_policies);
  line.metadata(auth.metadata);
  line.number("num_uses", auth.num_uses);
  line.text("entity_id", auth.entity_id);
  line.text("token_type", type_name(auth.type));
  line.number("token_ttl", auth.lease_duration_s);
  json.end_object();
}

void write_wrap(Writer& line, const logical::WrapInfo& wrap) {
  JsonWriter& json = line.json();
  json.key("wrap_info");
  json.begin_object();
  line.number("ttl", wrap.ttl_s);
  line.secret("token", wrap.token);
  line.accessor("accessor", wrap.accessor);
  line.text("creation_time", base::format_rfc3339(wrap.creation_time));
  line.text("creation_path", wrap.creation_path);
  line.accessor("wrapped_accessor", wrap.wrapped_accessor);
  json.end_object();
}

void write_response(Writer& line, const RequestFacts& request, const ResponseFacts& facts) {
  JsonWriter& json = line.json();
  json.key("response");
  json.begin_object();
  const logical::Response* response = facts.response;
  if (response != nullptr && response->auth && response->auth->mfa_requirement.empty()) {
    write_response_auth(line, *response->auth);
  }
  write_mount(line, request.mount, "mount_running_plugin_version");
  if (response == nullptr) {
    if (!facts.error.empty()) {
      json.key("data");
      json.begin_object();
      line.secret("error", facts.error);
      json.end_object();
    }
    return json.end_object();
  }
  if (!response->lease_id.empty()) {
    json.key("secret");
    json.begin_object();
    json.member("lease_id", response->lease_id);
    json.end_object();
  }
  if (!response->raw_content_type.empty()) {
    json.key("data");
    json.begin_object();
    json.member("http_content_type", response->raw_content_type);
    line.secret("http_raw_body", response->data);
    json.end_object();
  } else if (facts.data != nullptr) {
    line.data(*facts.data, clear_keys(request.mount, "audit_non_hmac_response_keys"),
              request.operation == Operation::kList && line.elides_lists());
  }
  line.strings("warnings", response->warnings);
  if (response->wrap) write_wrap(line, *response->wrap);
  json.end_object();
}

// Everything before the parts that differ.
std::string line_start(const LineStyle& style, base::WallTime time, const char* type) {
  std::string out = style.options.prefix;
  out += "{\"time\":\"";
  base::append_rfc3339(out, time);
  out += "\",\"type\":\"";
  out += type;
  out += "\",";
  return out;
}

void end_line(std::string& out, std::string_view error) {
  if (!error.empty()) {
    out += ",\"error\":";
    base::append_json_string(out, error);
  }
  out += "}\n";
}

}  // namespace

std::string line_middle(const RequestFacts& facts, const LineStyle& style) {
  const logical::Request& request = facts.request;
  std::string out;
  Writer line(style, out);
  JsonWriter& json = line.json();
  write_auth(line, facts);
  json.key("request");
  json.begin_object();
  line.text("id", request.id);
  if (facts.token != nullptr) line.text("client_id", facts.token->entity_id);
  line.text("operation", logical::operation_name(facts.operation));
  write_mount(line, facts.mount, "mount_running_version");
  line.secret("client_token", request.token);
  if (facts.token != nullptr) line.accessor("client_token_accessor", facts.token->accessor);
  json.key("namespace");
  json.begin_object();
  json.member("id", "root");
  json.end_object();
  line.text("path", request.path);
  line.data(request.data, clear_keys(facts.mount, "audit_non_hmac_request_keys"), false);
  line.text("remote_address", request.origin.address);
  line.number("remote_port", request.origin.port);
  if (request.wrap_ttl) {
    line.number("wrap_ttl", std::chrono::floor<std::chrono::seconds>(*request.wrap_ttl).count());
  }
  write_headers(line, facts.headers);
  json.end_object();
  return out;
}

std::string request_line(std::string_view middle, base::WallTime time, std::string_view error,
                         const LineStyle& style) {
  std::string out = line_start(style, time, "request");
  out += middle;
  end_line(out, error);
  return out;
}

std::string response_line(std::string_view middle, const RequestFacts& request,
                          const ResponseFacts& response, const LineStyle& style) {
  std::string out = line_start(style, response.time, "response");
  out += middle;
  out += ',';
  Writer line(style, out);
  write_response(line, request, response);
  end_line(out, response.error);
  return out;
}

std::string test_line(std::string_view request_id, base::WallTime time, const LineStyle& style) {
  std::string middle = "\"auth\":{\"token_type\":\"default\"},\"request\":{\"id\":\"";
  middle += request_id;
  middle +=
      "\",\"operation\":\"update\",\"namespace\":{\"id\":\"root\"},\"path\":\"sys/audit/test\"}";
  return request_line(middle, time, {}, style);
}

}  // namespace rekey::auditdev
