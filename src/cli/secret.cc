#include "cli/secret.h"

#include <fmt/format.h>

namespace rekey::cli {

using base::Json;
using base::JsonObject;

namespace {

base::Duration seconds_at(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return std::chrono::seconds(value == nullptr ? 0 : value->as_int().value_or(0));
}

std::string text_at(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value == nullptr || value->is_null() ? "" : format_cell(*value);
}

bool flag_at(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value != nullptr && value->as_bool() != nullptr && *value->as_bool();
}

// An object that has members, or nullptr.
const Json* part(const Json& answer, std::string_view name) {
  const Json* value = answer.find(name);
  return value == nullptr || !value->is_object() ? nullptr : value;
}

void append_lease_rows(std::vector<Row>& rows, const Json& answer) {
  const base::Duration duration = seconds_at(answer, "lease_duration");
  if (duration.count() == 0) return;
  if (const std::string id = text_at(answer, "lease_id"); !id.empty()) {
    rows.push_back({"lease_id", id});
    rows.push_back({"lease_duration", format_short_duration(duration)});
    rows.push_back({"lease_renewable", flag_at(answer, "renewable") ? "true" : "false"});
  } else {
    // No lease: a hint of when to read again.
    rows.push_back({"refresh_interval", format_short_duration(duration)});
  }
}

void append_auth_rows(std::vector<Row>& rows, const Json& auth) {
  if (const Json* mfa = part(auth, "mfa_requirement")) {
    rows.push_back({"mfa_request_id", text_at(*mfa, "mfa_request_id")});
    if (const Json* constraints = part(*mfa, "mfa_constraints")) {
      for (const auto& [name, constraint] : *constraints->as_object()) {
        const Json* any = constraint.find("any");
        if (any == nullptr || !any->is_array()) continue;
        for (const Json& method : *any->as_array()) {
          const std::string prefix =
              fmt::format("mfa_constraint_{}_{}_", name, text_at(method, "type"));
          rows.push_back({prefix + "id", text_at(method, "id")});
          rows.push_back(
              {prefix + "uses_passcode", flag_at(method, "uses_passcode") ? "true" : "false"});
        }
      }
    }
    return;
  }
  rows.push_back({"token", text_at(auth, "client_token")});
  rows.push_back({"token_accessor", text_at(auth, "accessor")});
  const base::Duration duration = seconds_at(auth, "lease_duration");
  rows.push_back({"token_duration", duration.count() == 0 ? "∞" : format_short_duration(duration)});
  rows.push_back({"token_renewable", flag_at(auth, "renewable") ? "true" : "false"});
  for (const char* name : {"token_policies", "identity_policies", "policies"}) {
    rows.push_back({name, format_quoted_list(auth.find(name))});
  }
  if (const Json* metadata = part(auth, "metadata")) {
    for (const auto& [name, value] : *metadata->as_object()) {
      rows.push_back({"token_meta_" + name, format_cell(value)});
    }
  }
}

// "2026-11-24T02:19:40.005226208Z" as Go prints a time: 2026-11-24 02:19:40.005226208 +0000 UTC.
std::string go_time(std::string text) {
  if (text.size() > 20 && text[10] == 'T' && text.back() == 'Z') {
    text[10] = ' ';
    text.pop_back();
    text += " +0000 UTC";
  }
  return text;
}

void append_wrap_rows(std::vector<Row>& rows, const Json& wrap) {
  rows.push_back({"wrapping_token:", text_at(wrap, "token")});
  rows.push_back({"wrapping_accessor:", text_at(wrap, "accessor")});
  rows.push_back({"wrapping_token_ttl:", format_short_duration(seconds_at(wrap, "ttl"))});
  rows.push_back({"wrapping_token_creation_time:", go_time(text_at(wrap, "creation_time"))});
  rows.push_back({"wrapping_token_creation_path:", text_at(wrap, "creation_path")});
  if (const std::string wrapped = text_at(wrap, "wrapped_accessor"); !wrapped.empty()) {
    rows.push_back({"wrapped_accessor:", wrapped});
  }
}

}  // namespace

std::vector<Row> secret_rows(const Json& answer) {
  std::vector<Row> rows;
  append_lease_rows(rows, answer);
  if (const Json* auth = part(answer, "auth")) append_auth_rows(rows, *auth);
  if (const Json* wrap = part(answer, "wrap_info")) append_wrap_rows(rows, *wrap);
  const Json* data = part(answer, "data");
  if (data == nullptr) return rows;
  for (const auto& [name, value] : *data->as_object()) {
    const std::optional<int64_t> number = value.as_int();
    rows.push_back({name, number && is_duration_name(name)
                              ? format_short_duration(std::chrono::seconds(*number))
                              : format_cell(value)});
  }
  return rows;
}

std::optional<Json> secret_field(const Json& answer, std::string_view name) {
  struct Source {
    std::string_view field, part, member;
  };
  constexpr Source kSources[] = {
      {"token", "auth", "client_token"},
      {"token_accessor", "auth", "accessor"},
      {"token_duration", "auth", "lease_duration"},
      {"token_renewable", "auth", "renewable"},
      {"token_policies", "auth", "token_policies"},
      {"identity_policies", "auth", "identity_policies"},
      {"policies", "auth", "policies"},
      {"wrapping_token", "wrap_info", "token"},
      {"wrapping_accessor", "wrap_info", "accessor"},
      {"wrapping_token_ttl", "wrap_info", "ttl"},
      {"wrapping_token_creation_time", "wrap_info", "creation_time"},
      {"wrapping_token_creation_path", "wrap_info", "creation_path"},
      {"wrapped_accessor", "wrap_info", "wrapped_accessor"},
  };
  for (const Source& source : kSources) {
    if (source.field != name) continue;
    const Json* from = part(answer, source.part);
    const Json* value = from == nullptr ? nullptr : from->find(source.member);
    if (value != nullptr) return *value;
  }
  if (name == "refresh_interval") name = "lease_duration";
  if (const Json* data = part(answer, "data")) {
    if (const Json* value = data->find(name)) return *value;
  }
  for (const std::string_view top : {"lease_id", "lease_duration", "request_id", "data"}) {
    if (name != top) continue;
    if (const Json* value = answer.find(top); value != nullptr && !value->is_null()) return *value;
  }
  return std::nullopt;
}

namespace {

// The members of `from` that the vault command prints, in its order, and what it prints for those
// that the server leaves out.
struct Member {
  std::string_view name;
  Json otherwise;
};

Json only(const Json& from, std::initializer_list<Member> members) {
  JsonObject out;
  for (const Member& member : members) {
    const Json* value = from.find(member.name);
    out.set(member.name, value == nullptr || value->is_null() ? member.otherwise : *value);
  }
  return Json(std::move(out));
}

}  // namespace

Json secret_envelope(const Json& answer) {
  Json out = only(answer, {{"request_id", ""},
                           {"lease_id", ""},
                           {"lease_duration", 0},
                           {"renewable", false},
                           {"data", Json()},
                           {"warnings", Json()}});
  if (const Json* auth = part(answer, "auth")) {
    out.as_object()->set("auth", only(*auth, {{"client_token", ""},
                                              {"accessor", ""},
                                              {"policies", Json()},
                                              {"token_policies", Json()},
                                              {"identity_policies", Json()},
                                              {"metadata", Json()},
                                              {"orphan", false},
                                              {"entity_id", ""},
                                              {"lease_duration", 0},
                                              {"renewable", false},
                                              {"mfa_requirement", Json()}}));
  }
  if (const Json* wrap = part(answer, "wrap_info")) {
    out.as_object()->set("wrap_info", only(*wrap, {{"token", ""},
                                                   {"accessor", ""},
                                                   {"ttl", 0},
                                                   {"creation_time", ""},
                                                   {"creation_path", ""},
                                                   {"wrapped_accessor", ""}}));
  }
  return out;
}

const Layout& secret_layout() {
  static const Layout layout = {
      {"request_id", "lease_id", "lease_duration", "renewable", "data", "warnings", "auth",
       "wrap_info"},
      {{"auth",
        {{"client_token", "accessor", "policies", "token_policies", "identity_policies", "metadata",
          "orphan", "entity_id", "lease_duration", "renewable", "mfa_requirement"},
         {}}},
       {"wrap_info",
        {{"token", "accessor", "ttl", "creation_time", "creation_path", "wrapped_accessor"}, {}}}}};
  return layout;
}

}  // namespace rekey::cli
