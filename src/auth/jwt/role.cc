#include "auth/jwt/role.h"

#include <algorithm>
#include <set>

#include "base/codec.h"
#include "logical/answer.h"
#include "logical/named_rows.h"
#include "logical/row.h"

namespace rekey::auth::jwt {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Fields;

std::string row_of(std::string_view name) { return "role/" + base::to_lower(name); }

Json list_or_null(const std::vector<std::string>& items) {
  return items.empty() ? Json() : Json::strings(items);
}

JsonObject own_members(const Role& role) {
  return {{"allowed_redirect_uris", list_or_null(role.allowed_redirect_uris)},
          {"bound_audiences", list_or_null(role.bound_audiences)},
          {"bound_claims", role.bound_claims.empty() ? Json() : Json(role.bound_claims)},
          {"bound_claims_type", role.claims_are_globs ? "glob" : "string"},
          {"bound_subject", role.bound_subject},
          {"claim_mappings",
           role.claim_mappings.empty() ? Json() : Json(logical::object_of(role.claim_mappings))},
          {"clock_skew_leeway", role.leeway.clock_skew_s},
          {"expiration_leeway", role.leeway.expiration_s},
          {"groups_claim", role.groups_claim},
          {"max_age", role.max_age_s},
          {"not_before_leeway", role.leeway.not_before_s},
          {"oidc_scopes", list_or_null(role.oidc_scopes)},
          {"role_type", role.type},
          {"user_claim", role.user_claim},
          {"user_claim_json_pointer", role.user_claim_json_pointer},
          {"verbose_oidc_logging", role.verbose_oidc_logging}};
}

Result<Role> decode(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(base::ErrorKind::kCorrupt, "a role of auth/jwt can't be read");
  }
  Role role;
  role.name = row->string_or("name", "");
  role.type = row->string_or("role_type", "");
  role.bound_audiences = logical::strings_at(*row, "bound_audiences");
  role.bound_subject = row->string_or("bound_subject", "");
  if (const Json* claims = row->find("bound_claims"); claims && claims->as_object()) {
    role.bound_claims = *claims->as_object();
  }
  role.claims_are_globs = row->string_or("bound_claims_type", "") == "glob";
  role.claim_mappings = logical::pairs_at(*row, "claim_mappings");
  role.user_claim = row->string_or("user_claim", "");
  role.user_claim_json_pointer = logical::flag_at(*row, "user_claim_json_pointer");
  role.groups_claim = row->string_or("groups_claim", "");
  role.leeway = {.expiration_s = logical::int_at(*row, "expiration_leeway"),
                 .not_before_s = logical::int_at(*row, "not_before_leeway"),
                 .clock_skew_s = logical::int_at(*row, "clock_skew_leeway")};
  role.allowed_redirect_uris = logical::strings_at(*row, "allowed_redirect_uris");
  role.oidc_scopes = logical::strings_at(*row, "oidc_scopes");
  role.verbose_oidc_logging = logical::flag_at(*row, "verbose_oidc_logging");
  role.max_age_s = logical::int_at(*row, "max_age");
  role.token = logical::parse_token_params(*row);
  return role;
}

// What every value of a bound claim must be for globs.
Result<void> check_globs(const JsonObject& claims) {
  const auto text = [](const Json& value) -> Result<void> {
    if (value.is_string()) return {};
    return logical::bad_request("claim is not a string: " + value.dump());
  };
  for (const auto& [name, value] : claims) {
    if (const JsonArray* array = value.as_array()) {
      for (const Json& item : *array) {
        if (auto good = text(item); !good) return good;
      }
    } else if (auto good = text(value); !good) {
      return good;
    }
  }
  return {};
}

Result<void> check_mappings(const Pairs& mappings) {
  std::set<std::string> targets;
  for (const auto& [claim, target] : mappings) {
    if (target == "role") {
      return logical::bad_request(
          "metadata key \"role\" is reserved and may not be a mapping destination");
    }
    if (!targets.insert(target).second) {
      return logical::bad_request("multiple keys are mapped to metadata key \"" + target + '"');
    }
  }
  return {};
}

Result<void> apply_claims(const Fields& fields, Role& role) {
  const std::string_view kind = fields.text("bound_claims_type", "string");
  if (kind != "string" && kind != "glob") {
    return logical::bad_request("invalid 'bound_claims_type': " + std::string(kind));
  }
  role.claims_are_globs = kind == "glob";
  if (fields.has("bound_claims")) {
    const JsonObject* claims = fields.object("bound_claims");
    role.bound_claims = claims == nullptr ? JsonObject() : *claims;
  }
  if (role.claims_are_globs) {
    if (auto good = check_globs(role.bound_claims); !good) return good;
  }
  if (fields.has("claim_mappings")) {
    role.claim_mappings = fields.string_map("claim_mappings");
    if (auto good = check_mappings(role.claim_mappings); !good) return good;
  }
  if (fields.has("user_claim")) role.user_claim = fields.text("user_claim");
  if (role.user_claim.empty()) {
    return logical::bad_request("a user claim must be defined on the role");
  }
  role.user_claim_json_pointer =
      fields.flag("user_claim_json_pointer", role.user_claim_json_pointer);
  if (fields.has("groups_claim")) role.groups_claim = fields.text("groups_claim");
  return {};
}

void apply_lists(const Fields& fields, Role& role) {
  for (const auto& [name, into] : {std::pair{"bound_audiences", &role.bound_audiences},
                                   {"allowed_redirect_uris", &role.allowed_redirect_uris},
                                   {"oidc_scopes", &role.oidc_scopes}}) {
    if (!fields.has(name)) continue;
    *into = fields.strings(name);
    std::erase(*into, "");
  }
  for (const auto& [name, into] : {std::pair{"expiration_leeway", &role.leeway.expiration_s},
                                   {"not_before_leeway", &role.leeway.not_before_s},
                                   {"clock_skew_leeway", &role.leeway.clock_skew_s},
                                   {"max_age", &role.max_age_s}}) {
    if (const auto value = fields.duration(name)) {
      *into = std::chrono::duration_cast<std::chrono::seconds>(*value).count();
    }
  }
  role.verbose_oidc_logging = fields.flag("verbose_oidc_logging", role.verbose_oidc_logging);
}

Result<void> check(const Role& role) {
  if (role.type == "oidc" && role.allowed_redirect_uris.empty()) {
    return logical::bad_request(
        "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.");
  }
  if (role.type == "jwt" && role.bound_audiences.empty() && role.bound_subject.empty() &&
      role.bound_claims.empty() && role.token.bound_cidrs.empty()) {
    return logical::bad_request(
        "must have at least one bound constraint when creating/updating a role");
  }
  size_t values = 0;
  for (const auto& [name, value] : role.bound_claims) {
    values += value.as_array() == nullptr ? 1 : value.as_array()->size();
  }
  for (const size_t size : {role.bound_audiences.size(), role.claim_mappings.size(), values,
                            role.allowed_redirect_uris.size(), role.oidc_scopes.size()}) {
    if (size > kRoleListMax) return logical::bad_request("a list of the role is too long");
  }
  for (const std::string* claim : {&role.user_claim, &role.groups_claim}) {
    if (claim->size() > kClaimPointerBytesMax) {
      return logical::bad_request("the name of a claim is too long");
    }
  }
  return {};
}

}  // namespace

bool is_role_name(std::string_view name) { return logical::is_name(name, kRoleNameBytesMax); }

JsonObject describe(const Role& role) {
  JsonObject data = own_members(role);
  logical::describe_token_params(role.token, data);
  return data;
}

Result<std::optional<Role>> read_role(Context& context, std::string_view name) {
  if (!is_role_name(name)) return std::optional<Role>();
  return logical::read_row(context, row_of(name), decode);
}

Result<void> save_role(Context& context, const Role& role) {
  JsonObject row = own_members(role);
  row.set("name", role.name);
  logical::store_token_params(role.token, row);
  return context.storage->put(row_of(role.name), Json(std::move(row)).dump());
}

Result<void> apply_fields(const Fields& fields, Role& role) {
  role.type = fields.text("role_type", "oidc");  // as in Vault it is said in every write
  if (role.type.empty()) role.type = "oidc";
  if (role.type != "oidc" && role.type != "jwt") {
    return logical::bad_request("invalid 'role_type': " + role.type);
  }
  auto read = logical::read_token_params(fields, kOlderNames, role.token);
  if (!read) return read;
  apply_lists(fields, role);
  if (fields.has("bound_subject")) role.bound_subject = fields.text("bound_subject");
  if (auto claims = apply_claims(fields, role); !claims) return claims;
  return check(role);
}

}  // namespace rekey::auth::jwt
