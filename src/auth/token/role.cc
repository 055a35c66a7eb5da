#include "auth/token/role.h"

#include <algorithm>

#include "auth/token/token_backend.h"
#include "logical/answer.h"
#include "logical/cidr.h"

namespace rekey::auth::token {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

std::string row_of(std::string_view name) { return "role/" + std::string(name); }

std::vector<std::string> strings(const Json& row, std::string_view name) {
  std::vector<std::string> out;
  const Json* member = row.find(name);
  if (member == nullptr || member->as_array() == nullptr) return out;
  for (const Json& item : *member->as_array()) {
    if (const std::string* text = item.as_string()) out.push_back(*text);
  }
  return out;
}

int64_t integer(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  return member == nullptr ? 0 : member->as_int().value_or(0);
}

bool flag(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  return member != nullptr && member->as_bool() && *member->as_bool();
}

Result<Response> list(Context& context) {
  auto page = logical::read_page(context.fields);
  if (!page) return forward(page);
  auto names = context.storage->list("role/", page->after, page->limit);
  if (!names) return forward(names);
  return logical::with_keys(*names);
}

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

// `token_x` is the present name of a field, `x` an older one; the present one wins.
std::string_view named(const logical::Fields& fields, std::string_view present,
                       std::string_view older) {
  return fields.has(present) || !fields.has(older) ? present : older;
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
    std::ranges::transform(alias, alias.begin(), [](unsigned char c) { return std::tolower(c); });
  }
  role.orphan = fields.flag("orphan", role.orphan);
  role.renewable = fields.flag("renewable", role.renewable);
  role.no_default_policy = fields.flag("token_no_default_policy", role.no_default_policy);
  role.path_suffix = fields.text("path_suffix", role.path_suffix);
  if (role.path_suffix.find("..") != std::string::npos || role.path_suffix.size() > 256) {
    return logical::bad_request("given role path suffix does not match path restrictions");
  }
  const auto period = named(fields, "token_period", "period");
  if (const auto value = fields.duration(period)) {
    role.period_s = value->count() / 1'000'000'000;
    role.older_period = period == "period";
  }
  const auto explicit_max = named(fields, "token_explicit_max_ttl", "explicit_max_ttl");
  if (const auto value = fields.duration(explicit_max)) {
    role.explicit_max_ttl_s = value->count() / 1'000'000'000;
    role.older_explicit_max_ttl = explicit_max == "explicit_max_ttl";
  }
  role.num_uses = fields.integer("token_num_uses", role.num_uses);
  if (role.period_s < 0 || role.explicit_max_ttl_s < 0 || role.num_uses < 0) {
    return logical::bad_request("a period, TTL or number of uses can't be negative");
  }
  const auto cidrs = named(fields, "token_bound_cidrs", "bound_cidrs");
  if (fields.has(cidrs)) {
    role.bound_cidrs.clear();
    role.older_bound_cidrs = cidrs == "bound_cidrs";
    for (const std::string& text : fields.strings(cidrs)) {
      auto cidr = logical::parse_cidr(text);
      if (!cidr)
        return logical::bad_request("error parsing bound_cidrs: " + cidr.error().message());
      role.bound_cidrs.push_back(*cidr);
    }
  }
  const std::string_view type = fields.text("token_type", role.type);
  if (type != "service" && type != "batch" && type != "default-service" &&
      type != "default-batch" && type != "default") {
    return logical::bad_request("invalid 'token_type' value");
  }
  role.type = type == "default" ? "default-service" : std::string(type);
  if (role.type == "batch" && !role.orphan) {
    return logical::bad_request(
        "'token_type' cannot be 'batch' when role is set to generate "
        "non-orphan tokens");
  }
  if (role.type == "batch" && role.renewable && fields.has("renewable")) {
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
      {"period", role.older_period ? role.period_s : 0},
      {"token_period", role.period_s},
      {"explicit_max_ttl", role.older_explicit_max_ttl ? role.explicit_max_ttl_s : 0},
      {"token_explicit_max_ttl", role.explicit_max_ttl_s},
      {"token_no_default_policy", role.no_default_policy},
      {"token_type", role.type}};
  if (role.num_uses != 0) out.set("token_num_uses", role.num_uses);
  if (!role.bound_cidrs.empty()) {
    if (role.older_bound_cidrs) out.set("bound_cidrs", Json::strings(role.bound_cidrs));
    out.set("token_bound_cidrs", Json::strings(role.bound_cidrs));
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
  role.allowed_policies = strings(*row, "allowed_policies");
  role.disallowed_policies = strings(*row, "disallowed_policies");
  role.allowed_policies_glob = strings(*row, "allowed_policies_glob");
  role.disallowed_policies_glob = strings(*row, "disallowed_policies_glob");
  role.allowed_entity_aliases = strings(*row, "allowed_entity_aliases");
  role.bound_cidrs = strings(*row, "token_bound_cidrs");
  role.orphan = flag(*row, "orphan");
  role.renewable = flag(*row, "renewable");
  role.no_default_policy = flag(*row, "token_no_default_policy");
  role.path_suffix = row->string_or("path_suffix", "");
  role.type = row->string_or("token_type", "default-service");
  role.period_s = integer(*row, "token_period");
  role.explicit_max_ttl_s = integer(*row, "token_explicit_max_ttl");
  role.num_uses = integer(*row, "token_num_uses");
  role.older_period = integer(*row, "period") != 0;
  role.older_explicit_max_ttl = integer(*row, "explicit_max_ttl") != 0;
  role.older_bound_cidrs = row->find("bound_cidrs") != nullptr;
  return role;
}

Result<std::optional<Role>> read_role(Context& context, std::string_view name) {
  if (name.empty()) return std::optional<Role>();
  auto row = context.storage->get(row_of(name));
  if (!row) return forward(row);
  if (!*row) return std::optional<Role>();
  auto role = parse_role(**row);
  if (!role) return forward(role);
  return std::optional<Role>(std::move(*role));
}

bool glob_matches(std::string_view pattern, std::string_view text) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  std::string_view rest = text.substr(star);
  pattern.remove_prefix(star + 1);
  while (true) {
    const size_t next = pattern.find('*');
    if (next == std::string_view::npos) return rest.ends_with(pattern);
    const size_t found = rest.find(pattern.substr(0, next));
    if (found == std::string_view::npos) return false;
    rest.remove_prefix(found + next);
    pattern.remove_prefix(next + 1);
  }
}

void TokenBackend::add_role_routes() {
  routes_.add({.pattern = "roles",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list}},
               .synopsis = "Lists the roles by which tokens can be made."});
  const auto strings_field = [](std::string_view name, std::string_view text) {
    return Field{name, FieldType::kStrings, text};
  };
  routes_.add(
      {.pattern = "roles/{role_name}",
       .fields = {strings_field("allowed_policies", "Policies that its tokens may have."),
                  strings_field("disallowed_policies", "Policies that its tokens may not have."),
                  strings_field("allowed_policies_glob", "The same, with * as a wildcard."),
                  strings_field("disallowed_policies_glob", "The same, with * as a wildcard."),
                  strings_field("allowed_entity_aliases", "Entity aliases that may be named."),
                  strings_field("token_bound_cidrs", "Addresses that may use its tokens."),
                  strings_field("bound_cidrs", "Older name of token_bound_cidrs."),
                  {"orphan", FieldType::kBoolean, "Whether its tokens have no parent."},
                  {"renewable", FieldType::kBoolean, "Whether its tokens can be renewed."},
                  {"path_suffix", FieldType::kString, "Ends the path that its tokens show."},
                  {"token_period", FieldType::kDuration, "Its tokens live as long as renewed."},
                  {"period", FieldType::kDuration, "Older name of token_period."},
                  {"token_explicit_max_ttl", FieldType::kDuration, "The end, whatever is renewed."},
                  {"explicit_max_ttl", FieldType::kDuration, "Older name."},
                  {"token_no_default_policy", FieldType::kBoolean, "Without the default policy."},
                  {"token_num_uses", FieldType::kInteger, "Requests a token is good for."},
                  {"token_type", FieldType::kString, "service or batch."}},
       .handlers = {{Operation::kRead, read},
                    {Operation::kUpdate, write},
                    {Operation::kDelete, erase}},
       .synopsis = "A role by which tokens can be made.",
       .exists = exists});
}

}  // namespace rekey::auth::token
