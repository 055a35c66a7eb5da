// auth/token/create, create-orphan and create/<role>: the rules by which one token makes another.
#include <algorithm>
#include <set>

#include "auth/token/role.h"
#include "auth/token/token_backend.h"
#include "base/codec.h"
#include "identity/entity_store.h"
#include "identity/standing.h"
#include "logical/answer.h"
#include "logical/glob.h"
#include "logical/token_params.h"
#include "pipeline/authenticate.h"
#include "pipeline/call_context.h"

namespace rekey::auth::token {
namespace {

using base::ErrorKind;
using base::Result;
using identity::Token;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

bool contains(const std::vector<std::string>& items, std::string_view item) {
  return std::ranges::find(items, item) != items.end();
}

bool any_glob(const std::vector<std::string>& patterns, std::string_view text) {
  return std::ranges::any_of(patterns,
                             [&](const std::string& p) { return logical::glob_matches(p, text); });
}

std::vector<std::string> sorted_policies(std::vector<std::string> names, bool with_default) {
  names = logical::clean_policies(std::move(names));
  std::set<std::string> unique(names.begin(), names.end());
  if (unique.contains("root")) return {"root"};
  if (with_default) unique.insert("default");
  return {unique.begin(), unique.end()};
}

// ["a" "b"], as Vault writes lists into its messages.
std::string quoted(const std::vector<std::string>& names) {
  std::string out = "[";
  for (const std::string& name : names) {
    if (out.size() > 1) out += ' ';
    base::append_json_string(out, name);
  }
  return out + "]";
}

// Which policies the new token has. Without a role it may have no more than its maker, unless its
// maker has sudo.
Result<std::vector<std::string>> choose_policies(const logical::Fields& fields, const Token& parent,
                                                 const Role* role, bool sudo) {
  std::vector<std::string> wanted = fields.strings("policies");
  const bool with_default =
      !fields.flag("no_default_policy") && !(role != nullptr && role->token.no_default_policy);
  if (role != nullptr) {
    const bool limited = !role->allowed_policies.empty() || !role->allowed_policies_glob.empty();
    if (wanted.empty() && limited) wanted = role->allowed_policies;
    if (wanted.empty() && !limited) wanted = parent.policies;
    auto policies = sorted_policies(wanted, with_default);
    if (!limited && !sudo) {
      for (const std::string& name : policies) {
        if (name != "default" && !contains(parent.policies, name) && !parent.is_root()) {
          return logical::bad_request("child policies must be subset of parent");
        }
      }
    }
    for (const std::string& name : policies) {
      if (limited && name != "default" && !contains(role->allowed_policies, name) &&
          !any_glob(role->allowed_policies_glob, name)) {
        return logical::bad_request("token policies (" + quoted(policies) +
                                    ") must be subset of the role's allowed policies (" +
                                    quoted(role->allowed_policies) + ") or glob policies (" +
                                    quoted(role->allowed_policies_glob) + ")");
      }
      if (contains(role->disallowed_policies, name) ||
          any_glob(role->disallowed_policies_glob, name)) {
        return logical::bad_request("token policy \"" + name + "\" is disallowed by this role");
      }
    }
    return policies;
  }
  const bool inherit = wanted.empty();
  if (inherit) wanted = parent.policies;
  auto policies =
      sorted_policies(wanted, inherit ? contains(wanted, "default") && with_default : with_default);
  if (sudo) return policies;
  for (const std::string& name : policies) {
    const bool may = contains(parent.policies, name) || (name == "default" && !inherit);
    if (!may) return logical::bad_request("child policies must be subset of parent");
  }
  return policies;
}

std::string capped(const std::string& what, int64_t ttl_s, int64_t longest_s) {
  return what + " of \"" + base::format_duration(std::chrono::seconds(ttl_s)) +
         "\" exceeded the effective max_ttl of \"" +
         base::format_duration(std::chrono::seconds(longest_s)) + "\"; " + what +
         " value is capped accordingly";
}

// How long it lives: what was asked for, within the mount's bounds; a root token for ever.
void choose_ttl(const Context& context, const Role* role, Token& token,
                std::vector<std::string>& warnings) {
  const auto seconds = [](base::Duration d) { return d.count() / 1'000'000'000; };
  const logical::Fields& fields = context.fields;
  const int64_t longest = seconds(context.lease_limits.max_lease_ttl);
  int64_t ttl = fields.duration("ttl")
                    ? seconds(*fields.duration("ttl"))
                    : seconds(fields.duration("lease").value_or(base::Duration{}));
  if (token.period_s > 0) {
    if (token.period_s > longest) {
      warnings.push_back(capped("period", token.period_s, longest));
      token.period_s = longest;
    }
    ttl = token.period_s;
  } else if (ttl == 0 && !token.is_root()) {
    ttl = seconds(context.lease_limits.default_lease_ttl);
  }
  if (ttl > longest && token.period_s == 0) {
    warnings.push_back(capped("TTL", ttl, longest));
    ttl = longest;
  }
  if (role != nullptr && role->token.explicit_max_ttl_s > 0) {
    const bool both = token.explicit_max_ttl_s > 0;
    const int64_t lesser = std::min(token.explicit_max_ttl_s, role->token.explicit_max_ttl_s);
    token.explicit_max_ttl_s = both ? lesser : role->token.explicit_max_ttl_s;
    if (both) {
      warnings.push_back(
          "Explicit max TTL specified both during creation call and in role; using the lesser "
          "value of " +
          std::to_string(lesser) + " seconds");
    }
  }
  if (token.explicit_max_ttl_s > longest) {
    warnings.push_back("Explicit max TTL of \"" +
                       base::format_duration(std::chrono::seconds(token.explicit_max_ttl_s)) +
                       "\" is greater than system max TTL; value is being capped");
    token.explicit_max_ttl_s = longest;
  }
  if (token.explicit_max_ttl_s > 0 && (ttl == 0 || ttl > token.explicit_max_ttl_s)) {
    const char* what = token.period_s > 0 ? "period" : "TTL";
    if (ttl != 0) warnings.push_back(capped(what, ttl, token.explicit_max_ttl_s));
    ttl = token.explicit_max_ttl_s;
  }
  token.creation_ttl_s = ttl;
  if (ttl > 0) token.expires_s = token.created_s + ttl;
}

Result<void> choose_meta(const logical::Fields& fields, Token& token) {
  token.meta = fields.string_map("meta");
  if (token.meta.empty()) token.meta = fields.string_map("metadata");
  size_t bytes = 0;
  for (const auto& [key, value] : token.meta) bytes += key.size() + value.size();
  if (token.meta.size() > kMetaPairsMax || bytes > kMetaBytesMax) {
    return logical::bad_request("too much metadata: at most " + std::to_string(kMetaPairsMax) +
                                " pairs and " + std::to_string(kMetaBytesMax) + " bytes");
  }
  return {};
}

// "token", or "token-" and the wanted name with anything unusual made a dash.
std::string display_name(std::string_view wanted) {
  if (wanted.empty()) return "token";
  std::string name = "token-";
  for (unsigned char c : wanted) name += isalnum(c) || c == '-' ? static_cast<char>(c) : '-';
  while (name.ends_with('-')) name.pop_back();
  return name;
}

logical::Auth auth_of(const Token& token, std::string text) {
  logical::Auth auth;
  auth.client_token = std::move(text);
  auth.accessor = token.accessor;
  auth.policies = token.policies;
  auth.token_policies = token.policies;
  auth.metadata = token.meta;
  auth.lease_duration_s = token.creation_ttl_s;
  auth.renewable = token.renewable && token.creation_ttl_s != 0;
  auth.entity_id = token.entity_id;
  auth.type = token.type;
  auth.orphan = token.orphan;
  auth.num_uses = token.num_uses;
  return auth;
}

bool has_sudo(const CallContext& context) {
  const auto decision = context.rights->acl->decide(
      {.path = context.request.path, .needed = policy::Capability::kUpdate});
  return decision.root || decision.sudo;
}

// What the maker must be, whatever it makes.
Result<void> check_parent(const Token& parent) {
  if (parent.num_uses != 0) {
    return logical::bad_request("restricted use token cannot generate child tokens");
  }
  if (parent.type == logical::TokenType::kBatch) {
    return logical::bad_request("batch tokens cannot create more tokens");
  }
  return {};
}

Result<void> check_privileges(const logical::Fields& fields, bool sudo) {
  if (sudo) return {};
  if (!fields.text("id").empty()) {
    return logical::bad_request("root or sudo privileges required to specify token id");
  }
  if (fields.duration("period").value_or(base::Duration{}).count() > 0) {
    return logical::bad_request("root or sudo privileges required to create periodic token");
  }
  return {};
}

// A text of the maker's choice must not look like one of ours, nor like what others split at dots.
Result<void> check_wanted_id(std::string_view id) {
  for (std::string_view prefix : {identity::kServicePrefix, std::string_view("s.")}) {
    if (id.starts_with(prefix)) {
      return logical::bad_request("custom token ID cannot have the '" + std::string(prefix) +
                                  "' prefix");
    }
  }
  if (id.find('.') != std::string_view::npos) {
    return logical::bad_request("custom token ID cannot have a '.' in the value");
  }
  return {};
}

Result<void> check_times(const logical::Fields& fields) {
  for (std::string_view name : {"ttl", "lease", "period", "explicit_max_ttl"}) {
    if (fields.duration(name).value_or(base::Duration{}).count() < 0) {
      return logical::bad_request(std::string(name) + " must be positive");
    }
  }
  return {};
}

// What is wrong with the request whoever makes it.
Result<void> check_fields(const logical::Fields& fields) {
  auto times = check_times(fields);
  if (!times) return times;
  for (const std::string& name : fields.strings("policies")) {
    if (name == "response-wrapping" || name == "control-group") {
      return logical::bad_request("cannot assign policy \"" + name + "\"");
    }
  }
  return check_wanted_id(fields.text("id"));
}

void warn_of_missing_policies(const CallContext& context, const Token& token,
                              std::vector<std::string>& warnings) {
  for (const std::string& name : token.policies) {
    if (!context.state->policies->contains(name)) {
      warnings.push_back("Policy \"" + name + "\" does not exist");
    }
  }
}

Result<bool> wants_batch(const logical::Fields& fields, const Role* role) {
  const std::string_view asked = fields.text("type");
  if (!asked.empty() && asked != "service" && asked != "batch") {
    return logical::bad_request("invalid 'token_type' value");
  }
  if (role == nullptr) return asked == "batch";
  if (role->token.kind == logical::TokenKind::kService) return false;
  if (role->token.kind == logical::TokenKind::kBatch) return true;
  if (asked.empty()) return role->token.kind == logical::TokenKind::kDefaultBatch;
  return asked == "batch";
}

// The smaller of what was asked for and what the role gives; 0 is no bound.
int64_t choose_uses(const logical::Fields& fields, const Role* role) {
  const int64_t asked = fields.integer("num_uses");
  if (role == nullptr || role->token.num_uses <= 0) return asked;
  return asked == 0 || role->token.num_uses < asked ? role->token.num_uses : asked;
}

Result<void> check_batch(const Token& token) {
  if (token.explicit_max_ttl_s != 0) {
    return logical::bad_request("batch tokens cannot have \"explicit_max_ttl\" set");
  }
  if (token.num_uses != 0) {
    return logical::bad_request("batch tokens cannot have \"num_uses\" set");
  }
  if (token.period_s != 0) return logical::bad_request("batch tokens cannot have \"period\" set");
  if (token.is_root()) return logical::bad_request("batch tokens cannot be root tokens");
  return {};
}

Result<Response> seal_batch(const CallContext& context, const Token& parent, Token token,
                            Response response) {
  token.renewable = false;
  token.issued_at = context.lane.revision();
  if (!token.orphan) {
    token.hang_below(parent);
    token.hash = parent.hash;  // the row without which it is void
  }
  auto sealed = pipeline::seal_batch_token(*context.state, token, context.random);
  if (!sealed) return forward(sealed);
  response.auth = auth_of(token, std::move(*sealed));
  return response;
}

// Whom the token speaks for: the entity with the alias that was named, which the role must allow
// and which is made if there is none; else the maker's, unless it is an orphan.
Result<void> choose_entity(CallContext& context, const Token& parent, const Role* role, bool orphan,
                           Token& token) {
  std::string alias(context.fields.text("entity_alias"));
  if (alias.empty()) {
    if (!orphan) token.entity_id = parent.entity_id;
    return {};
  }
  if (role == nullptr) {
    return logical::bad_request("'entity_alias' is only allowed in combination with token role");
  }
  alias = base::to_lower(alias);
  if (!contains(role->allowed_entity_aliases, alias) &&
      !any_glob(role->allowed_entity_aliases, alias)) {
    return logical::bad_request("invalid 'entity_alias' value");
  }
  identity::EntityStore entities(*context.txn, context.clock, context.random);
  auto found = entities.find_or_make(context.mount.accessor, alias, {});
  if (!found) return forward(found);
  if (found->entity.disabled) {
    return base::fail(ErrorKind::kUnauthenticated, "entity from given entity alias is disabled");
  }
  token.entity_id = found->entity.id;
  token.alias_id = found->alias_id;
  return {};
}

Result<Response> make_token(CallContext& context, const Role* role, bool orphan) {
  const logical::Fields& fields = context.fields;
  if (context.token->type == logical::TokenType::kBatch) {
    return logical::bad_request("batch tokens cannot create more tokens");
  }
  // Read again as a condition: a maker that is being revoked makes nothing. What it says is known:
  // this request was authenticated from the same snapshot.
  auto there = context.txn->hold(identity::token_row_key(context.token->hash));
  if (!there) return forward(there);
  if (*there == 0) return base::fail(ErrorKind::kUnauthenticated, "permission denied");
  const Token& parent = *context.token;
  auto able = check_parent(parent);
  if (!able) return forward(able);
  const bool sudo = has_sudo(context);
  auto privileged = check_privileges(fields, sudo);
  if (!privileged) return forward(privileged);
  auto sound = check_fields(fields);
  if (!sound) return forward(sound);
  auto batch = wants_batch(fields, role);
  if (!batch) return forward(batch);
  Token token;
  token.type = *batch ? logical::TokenType::kBatch : logical::TokenType::kService;
  auto policies = choose_policies(fields, parent, role, sudo);
  if (!policies) return forward(policies);
  token.policies = std::move(*policies);
  if (token.is_root() && !parent.is_root()) {
    return logical::bad_request("root tokens may not be created without parent token being root");
  }
  token.path = context.request.path;
  if (role != nullptr && !role->path_suffix.empty()) token.path += "/" + role->path_suffix;
  token.mount_accessor = context.mount.accessor;
  token.display_name = display_name(fields.text("display_name"));
  token.role = role == nullptr ? "" : role->name;
  token.renewable = fields.flag("renewable", true) && (role == nullptr || role->renewable);
  token.num_uses = choose_uses(fields, role);
  if (token.num_uses < 0) return logical::bad_request("number of uses cannot be negative");
  const auto period = fields.duration("period");
  if (period) token.period_s = period->count() / 1'000'000'000;
  if (role != nullptr && role->token.period_s > 0) token.period_s = role->token.period_s;
  const auto explicit_max = fields.duration("explicit_max_ttl");
  if (explicit_max) token.explicit_max_ttl_s = explicit_max->count() / 1'000'000'000;
  // A token that is bound to addresses makes one that isn't only by a role.
  token.bound_cidrs = role != nullptr ? role->token.bound_cidrs : parent.bound_cidrs;
  auto meta = choose_meta(fields, token);
  if (!meta) return forward(meta);
  token.created_s =
      std::chrono::floor<std::chrono::seconds>(context.clock.wall()).time_since_epoch().count();
  auto entity = choose_entity(context, parent, role, orphan, token);
  if (!entity) return forward(entity);
  Response response;
  warn_of_missing_policies(context, token, response.warnings);
  if (*batch) {
    auto fit = check_batch(token);
    if (!fit) return forward(fit);
  }
  token.orphan = orphan;
  choose_ttl(context, role, token, response.warnings);
  if (token.is_root() && token.expires_s == 0 && parent.expires_s != 0) {
    return logical::bad_request("expiring root tokens cannot create non-expiring root tokens");
  }
  if (*batch) return seal_batch(context, parent, std::move(token), std::move(response));
  auto text = context.tokens().create(token, orphan ? nullptr : &parent, fields.text("id"));
  if (!text) return forward(text);
  response.auth = auth_of(token, std::move(*text));
  return response;
}

Result<Response> create_token(CallContext& context, const Role* role, bool orphan) {
  auto response = make_token(context, role, orphan);
  if (!response || response->auth->entity_id.empty()) return response;
  auto standing = identity::find_standing(*context.txn, response->auth->entity_id, nullptr);
  if (!standing) return forward(standing);
  if (*standing == nullptr) return response;
  response->auth->identity_policies = (*standing)->policies;
  for (const std::string& name : (*standing)->policies) {
    identity::add_sorted(response->auth->policies, name);
  }
  return response;
}

Result<Response> create(Context& context) {
  CallContext& call = CallContext::of(context);
  const bool orphan = context.fields.flag("no_parent");
  if (orphan) {
    if (!has_sudo(call)) {
      return logical::bad_request("root or sudo privileges required to create orphan token");
    }
  }
  return create_token(call, nullptr, orphan);
}

Result<Response> create_orphan(Context& context) {
  return create_token(CallContext::of(context), nullptr, true);
}

Result<Response> create_by_role(Context& context) {
  const std::string_view name = context.fields.text("role_name");
  auto role = read_role(context, name);
  if (!role) return forward(role);
  if (!*role) return logical::bad_request("unknown role " + std::string(name));
  const bool orphan = (*role)->orphan || context.fields.flag("no_parent");
  return create_token(CallContext::of(context), &**role, orphan);
}

}  // namespace

void TokenBackend::add_create_routes() {
  const std::vector<Field> fields = {
      {"id", FieldType::kString, "The token itself, where its maker chooses it."},
      {"policies", FieldType::kStrings, "Its policies; its maker's if none are named."},
      {"meta", FieldType::kStringMap, "Strings shown in the record."},
      {"metadata", FieldType::kStringMap, "Older name of meta."},
      {"no_parent", FieldType::kBoolean, "Make it an orphan."},
      {"no_default_policy", FieldType::kBoolean, "Leave out the default policy."},
      {"renewable", FieldType::kBoolean, "Whether it can be renewed."},
      {"ttl", FieldType::kDuration, "How long it lives."},
      {"lease", FieldType::kDuration, "Older name of ttl."},
      {"explicit_max_ttl", FieldType::kDuration, "The end, whatever is renewed."},
      {"display_name", FieldType::kString, "How the record calls it."},
      {"num_uses", FieldType::kInteger, "Requests it is good for; 0 for any number."},
      {"period", FieldType::kDuration, "Lives as long as it is renewed within this time."},
      {"type", FieldType::kString, "service or batch."},
      {"entity_alias", FieldType::kString, "The entity alias it belongs to."}};
  routes_.add({.pattern = "create",
               .fields = fields,
               .handlers = {{Operation::kUpdate, create}},
               .synopsis = "Makes a token, a child of the one that asks."});
  routes_.add({.pattern = "create-orphan",
               .fields = fields,
               .handlers = {{Operation::kUpdate, create_orphan}},
               .synopsis = "Makes a token without a parent.",
               .sudo = true});
  routes_.add({.pattern = "create/{role_name}",
               .fields = fields,
               .handlers = {{Operation::kUpdate, create_by_role}},
               .synopsis = "Makes a token by a role."});
}

}  // namespace rekey::auth::token
