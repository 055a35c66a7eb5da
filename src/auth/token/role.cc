#include "auth/token/role.h"

#include <algorithm>

#include "auth/token/token_backend.h"
#include "base/codec.h"
#include "logical/answer.h"
#include "logical/named_rows.h"
#include "logical/row.h"
#include "logical/token_params.h"

namespace rekey::auth::token {
namespace {

constexpr size_t kPathSuffixBytesMax = 256;  // of a role

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

std::string row_of(std::string_view name) { return "role/" + std::string(name); }

Result<Response> list(Context& context) { return logical::list_rows(context, "role/"); }

Result<Response> read(Context& context) {
  auto role = read_role(context, context.fields.text("role_name"));
  if (!role) return forward(role);
  if (!*role) return logical::nothing_there();
  return logical::with_json(describe(**role));
}

Result<Response> erase(Context& context) {
  auto erased = context.storage->erase(row_of(context.fields.text("role_name")));
  if (!erased) return forward(erased);
  return Response{};
}

constexpr logical::OlderName kOlderNames[] = {{"period", "token_period"},
                                              {"explicit_max_ttl", "token_explicit_max_ttl"},
                                              {"bound_cidrs", "token_bound_cidrs"}};
// Who makes a token says these himself.
constexpr std::string_view kNotOfRoles[] = {"token_max_ttl", "token_policies", "token_ttl"};

bool has_older(const Role& role, std::string_view name) {
  return std::ranges::any_of(role.token.older_names,
                             [&](const auto& pair) { return pair.first == name; });
}

// Vault's `\w[\w-.]+\w`, anywhere in it; and nothing that leads out of the path.
bool is_path_suffix(std::string_view text) {
  if (text.empty()) return true;
  const auto word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  };
  bool found = false;
  for (size_t from = 0; from < text.size() && !found; from++) {
    if (!word(text[from])) continue;
    size_t at = from + 1;
    while (at < text.size() && (word(text[at]) || text[at] == '-' || text[at] == '.')) {
      found |= at >= from + 2 && word(text[at]);
      at++;
    }
  }
  return found && !text.contains("..");
}

Result<void> apply(const logical::Fields& fields, Role& role) {
  const auto list_of = [&](std::string_view name, std::vector<std::string>& into) {
    if (fields.has(name)) into = fields.strings(name);
  };
  list_of("allowed_policies", role.allowed_policies);
  list_of("disallowed_policies", role.disallowed_policies);
  list_of("allowed_policies_glob", role.allowed_policies_glob);
  list_of("disallowed_policies_glob", role.disallowed_policies_glob);
  list_of("allowed_entity_aliases", role.allowed_entity_aliases);
  for (std::string& alias : role.allowed_entity_aliases) {
    alias = base::to_lower(alias);
  }
  role.orphan = fields.flag("orphan", role.orphan);
  role.renewable = fields.flag("renewable", role.renewable);
  role.path_suffix = fields.text("path_suffix", role.path_suffix);
  if (role.path_suffix.size() > kPathSuffixBytesMax || !is_path_suffix(role.path_suffix)) {
    return logical::bad_request(
        R"(given role path suffix contains invalid characters; must match \w[\w-.]+\w)");
  }
  auto read = logical::read_token_params(fields, kOlderNames, role.token);
  if (!read) return read;
  using logical::TokenKind;
  if (role.token.kind == TokenKind::kDefault) role.token.kind = TokenKind::kDefaultService;
  const bool batch = role.token.kind == TokenKind::kBatch;
  if (batch && !role.orphan) {
    return logical::bad_request(
        "'token_type' cannot be 'batch' when role is set to generate "
        "non-orphan tokens");
  }
  if (batch && role.renewable && fields.has("renewable")) {
    return logical::bad_request(
        "'token_type' cannot be 'batch' when role is set to generate "
        "renewable tokens");
  }
  return {};
}

Result<Response> write(Context& context) {
  const std::string name(context.fields.text("role_name"));
  auto known = read_role(context, name);
  if (!known) return forward(known);
  Role role = *known ? **known : Role{};
  role.name = name;
  auto applied = apply(context.fields, role);
  if (!applied) return forward(applied);
  auto put = context.storage->put(row_of(name), describe(role).dump());
  if (!put) return forward(put);
  return Response{};
}

Result<bool> exists(Context& context) {
  auto role = read_role(context, context.fields.text("role_name"));
  if (!role) return forward(role);
  return role->has_value();
}

}  // namespace

Json describe(const Role& role) {
  JsonObject out{
      {"name", role.name},
      {"allowed_policies", Json::strings(role.allowed_policies)},
      {"disallowed_policies", Json::strings(role.disallowed_policies)},
      {"allowed_policies_glob", Json::strings(role.allowed_policies_glob)},
      {"disallowed_policies_glob", Json::strings(role.disallowed_policies_glob)},
      {"allowed_entity_aliases",
       role.allowed_entity_aliases.empty() ? Json() : Json::strings(role.allowed_entity_aliases)},
      {"orphan", role.orphan},
      {"renewable", role.renewable},
      {"path_suffix", role.path_suffix},
      {"period", has_older(role, "period") ? role.token.period_s : 0},
      {"token_period", role.token.period_s},
      {"explicit_max_ttl", has_older(role, "explicit_max_ttl") ? role.token.explicit_max_ttl_s : 0},
      {"token_explicit_max_ttl", role.token.explicit_max_ttl_s},
      {"token_no_default_policy", role.token.no_default_policy},
      {"token_type", logical::token_kind_name(role.token.kind)}};
  if (role.token.num_uses != 0) out.set("token_num_uses", role.token.num_uses);
  if (!role.token.bound_cidrs.empty()) {
    const Json cidrs = Json::strings(role.token.bound_cidrs);
    if (has_older(role, "bound_cidrs")) out.set("bound_cidrs", cidrs);
    out.set("token_bound_cidrs", cidrs);
  }
  return out;
}

Result<Role> parse_role(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(base::ErrorKind::kCorrupt, "a token role can't be read");
  }
  Role role;
  role.name = row->string_or("name", "");
  role.allowed_policies = logical::strings_at(*row, "allowed_policies");
  role.disallowed_policies = logical::strings_at(*row, "disallowed_policies");
  role.allowed_policies_glob = logical::strings_at(*row, "allowed_policies_glob");
  role.disallowed_policies_glob = logical::strings_at(*row, "disallowed_policies_glob");
  role.allowed_entity_aliases = logical::strings_at(*row, "allowed_entity_aliases");
  role.orphan = logical::flag_at(*row, "orphan");
  role.renewable = logical::flag_at(*row, "renewable");
  role.path_suffix = row->string_or("path_suffix", "");
  role.token = logical::parse_token_params(*row);
  if (role.token.kind == logical::TokenKind::kDefault) {
    role.token.kind = logical::TokenKind::kDefaultService;
  }
  // Which names were older ones is told by the row as it is shown.
  if (logical::int_at(*row, "period") != 0) {
    role.token.older_names.emplace_back("period", "token_period");
  }
  if (logical::int_at(*row, "explicit_max_ttl") != 0) {
    role.token.older_names.emplace_back("explicit_max_ttl", "token_explicit_max_ttl");
  }
  if (row->find("bound_cidrs") != nullptr) {
    role.token.older_names.emplace_back("bound_cidrs", "token_bound_cidrs");
  }
  return role;
}

Result<std::optional<Role>> read_role(Context& context, std::string_view name) {
  if (name.empty()) return std::optional<Role>();
  return logical::read_row(context, row_of(name), parse_role);
}

void TokenBackend::add_role_routes() {
  routes_.add({.pattern = "roles",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list}},
               .synopsis = "Lists the roles by which tokens can be made."});
  const auto strings_field = [](std::string_view name, std::string_view text) {
    return Field{name, FieldType::kStrings, text};
  };
  std::vector<Field> fields = {
      strings_field("allowed_policies", "Policies that its tokens may have."),
      strings_field("disallowed_policies", "Policies that its tokens may not have."),
      strings_field("allowed_policies_glob", "The same, with * as a wildcard."),
      strings_field("disallowed_policies_glob", "The same, with * as a wildcard."),
      strings_field("allowed_entity_aliases", "Entity aliases that may be named."),
      {"orphan", FieldType::kBoolean, "Whether its tokens have no parent."},
      {"renewable", FieldType::kBoolean, "Whether its tokens can be renewed."},
      {"path_suffix", FieldType::kString, "Ends the path that its tokens show."}};
  fields = logical::with_token_fields(std::move(fields), kOlderNames);
  std::erase_if(fields, [](const Field& field) {
    return std::ranges::find(kNotOfRoles, field.name) != std::end(kNotOfRoles);
  });
  routes_.add({.pattern = "roles/{role_name}",
               .fields = std::move(fields),
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, write},
                            {Operation::kDelete, erase}},
               .synopsis = "A role by which tokens can be made.",
               .exists = exists});
}

}  // namespace rekey::auth::token
