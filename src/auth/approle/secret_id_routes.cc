// auth/approle/role/<name>/secret-id*: making, finding and destroying secret ids.
#include "auth/approle/approle.h"
#include "auth/approle/secret_id.h"
#include "logical/answer.h"
#include "logical/cidr.h"

namespace rekey::auth::approle {
namespace {

using base::ErrorKind;
using base::Json;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

// {"a": "b"} as text, or a=b,c=d.
Result<logical::StringPairs> parse_metadata(std::string_view text) {
  logical::StringPairs out;
  if (text.empty()) return out;
  if (text.size() > kMetadataBytesMax) return logical::bad_request("the metadata is too long");
  if (const auto json = Json::parse(text); json && json->is_object()) {
    for (const auto& [key, value] : *json->as_object()) {
      const std::string* member = value.as_string();
      if (member == nullptr) {
        return logical::bad_request("failed to parse metadata: its values must be strings");
      }
      out.emplace_back(key, *member);
    }
    return out;
  }
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find(','));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    const size_t equals = pair.find('=');
    if (equals == pair.npos || equals == 0) {
      return logical::bad_request(
          "failed to parse metadata: failed to parse the input: invalid <key,value> format");
    }
    out.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return out;
}

Result<void> check_within(const std::vector<std::string>& inner,
                          const std::vector<std::string>& outer) {
  for (const std::string& block : inner) {
    if (logical::cidr_within(block, outer)) continue;
    return logical::bad_request(
        "failed to verify subset relationship between CIDR blocks on the role " +
        Json::strings(outer).dump() + " and CIDR blocks on the secret ID " +
        Json::strings(inner).dump());
  }
  return {};
}

// What the request and the role say of a new secret id.
Result<SecretId> wanted(Context& context, const Role& role) {
  const logical::Fields& fields = context.fields;
  SecretId secret;
  secret.num_uses = fields.integer("num_uses", role.secret_id_num_uses);
  if (secret.num_uses < 0) return logical::bad_request("num_uses cannot be negative");
  // Where the role says a number, "any number" is more than it.
  if (role.secret_id_num_uses > 0 &&
      (secret.num_uses == 0 || secret.num_uses > role.secret_id_num_uses)) {
    return logical::bad_request("num_uses cannot be higher than the role's secret_id_num_uses");
  }
  auto ttl = logical::seconds_of(fields, "ttl");
  if (!ttl) return forward(ttl);
  secret.ttl_s = ttl->value_or(role.secret_id_ttl_s);
  if (role.secret_id_ttl_s > 0 && (secret.ttl_s == 0 || secret.ttl_s > role.secret_id_ttl_s)) {
    return logical::bad_request("ttl cannot be longer than the role's secret_id_ttl");
  }
  auto metadata = parse_metadata(fields.text("metadata"));
  if (!metadata) return forward(metadata);
  secret.metadata = std::move(*metadata);
  auto cidrs = parse_blocks(fields.strings("cidr_list"));
  if (!cidrs) return forward(cidrs);
  auto within = check_within(*cidrs, role.secret_id_bound_cidrs);
  if (!within) return forward(within);
  auto token_cidrs = parse_blocks(fields.strings("token_bound_cidrs"));
  if (!token_cidrs) return forward(token_cidrs);
  within = check_within(*token_cidrs, role.token.bound_cidrs);
  if (!within) return forward(within);
  secret.cidrs = std::move(*cidrs);
  secret.token_cidrs = std::move(*token_cidrs);
  return secret;
}

Result<Response> make(Context& context, std::string text) {
  const std::string name(context.fields.text("role_name"));
  auto role = read_role(context, name);
  if (!role) return forward(role);
  if (!*role) return base::fail(ErrorKind::kNotFound, "role \"" + name + "\" does not exist");
  if (!(*role)->bind_secret_id) {
    return logical::bad_request("bind_secret_id is not set on the role");
  }
  auto secret = wanted(context, **role);
  if (!secret) return forward(secret);
  auto made = SecretIds(context, **role).make(*secret, text);
  if (!made) return forward(made);
  return logical::with_data({{"secret_id", std::move(text)},
                             {"secret_id_accessor", secret->accessor},
                             {"secret_id_num_uses", secret->num_uses},
                             {"secret_id_ttl", secret->ttl_s}});
}

Result<Response> generate(Context& context) { return make(context, context.random.uuid()); }

Result<Response> make_custom(Context& context) {
  const std::string_view text = context.fields.text("secret_id");
  if (text.empty()) return logical::bad_request("missing secret_id");
  if (text.size() > kSecretIdBytesMax) return logical::bad_request("the secret_id is too long");
  return make(context, std::string(text));
}

Result<Role> known_role(Context& context) {
  const std::string name(context.fields.text("role_name"));
  auto role = read_role(context, name);
  if (!role) return forward(role);
  if (!*role) return logical::bad_request("role \"" + name + "\" does not exist");
  return std::move(**role);
}

Result<Response> list(Context& context) {
  auto role = known_role(context);
  if (!role) return forward(role);
  auto page = logical::read_page(context.fields);
  if (!page) return forward(page);
  auto accessors = SecretIds(context, *role).accessors(page->after, page->limit);
  if (!accessors) return forward(accessors);
  return logical::with_keys(*accessors);
}

// The secret id that the request names: itself or by its accessor.
Result<std::optional<SecretId>> find(Context& context, const Role& role, bool by_accessor) {
  const std::string_view field = by_accessor ? "secret_id_accessor" : "secret_id";
  const std::string_view text = context.fields.text(field);
  if (text.empty()) return logical::bad_request("missing " + std::string(field));
  SecretIds secrets(context, role);
  auto found = by_accessor ? secrets.find_by_accessor(text) : secrets.find(text);
  if (!found) return found;
  if (*found && expired(**found, context.clock.wall())) found->reset();
  return found;
}

std::string no_accessor(const Context& context) {
  return "failed to find accessor entry for secret_id_accessor: \"" +
         std::string(context.fields.text("secret_id_accessor")) + "\"";
}

Result<Response> lookup(Context& context, bool by_accessor) {
  auto role = known_role(context);
  if (!role) return forward(role);
  auto secret = find(context, *role, by_accessor);
  if (!secret) return forward(secret);
  if (*secret) return logical::with_data(describe(**secret));
  if (!by_accessor) return Response{};
  // Vault's odd form of a 404: clients read `data.error`.
  Response response = logical::with_data({{"error", no_accessor(context)}});
  response.status = 404;
  return response;
}

Result<Response> destroy(Context& context, bool by_accessor) {
  auto role = known_role(context);
  if (!role) return forward(role);
  auto secret = find(context, *role, by_accessor);
  if (!secret) return forward(secret);
  if (!*secret) {
    if (by_accessor) return base::fail(ErrorKind::kNotFound, no_accessor(context));
    return Response{};
  }
  auto erased = SecretIds(context, *role).erase(**secret);
  if (!erased) return forward(erased);
  return Response{};
}

Result<Response> tidy(Context& context) {
  auto swept = sweep(context, kSweepOnTidy);
  if (!swept) return forward(swept);
  Response response;
  response.status = 202;
  response.warnings.push_back(
      "Expired secret ids were removed; the rest is removed as new ones "
      "are made.");
  return response;
}

}  // namespace

void AppRole::add_secret_id_routes() {
  const Field secret_id{"secret_id", FieldType::kString, "The secret id."};
  const Field accessor{"secret_id_accessor", FieldType::kString, "The secret id's accessor."};
  const std::vector<Field> made = {
      {"metadata", FieldType::kString, "JSON text of an object of strings; shown at logins."},
      {"cidr_list", FieldType::kStrings, "Blocks that logins with it may come from."},
      {"token_bound_cidrs", FieldType::kStrings, "Blocks that may use its tokens."},
      {"num_uses", FieldType::kInteger, "Logins it is good for."},
      {"ttl", FieldType::kDuration, "How long it lives."}};
  std::vector<Field> with_pages = made;
  with_pages.push_back(logical::after_field());
  with_pages.push_back(logical::limit_field());
  std::vector<Field> custom = made;
  custom.push_back(secret_id);
  const std::string role = "role/{role_name}/";
  routes_.add({.pattern = role + "secret-id",
               .fields = with_pages,
               .handlers = {{Operation::kUpdate, generate}, {Operation::kList, list}},
               .synopsis = "Makes a secret id, or lists the accessors of all."});
  routes_.add({.pattern = role + "custom-secret-id",
               .fields = custom,
               .handlers = {{Operation::kUpdate, make_custom}},
               .synopsis = "Makes a secret id of the client's choice."});
  for (const bool by_accessor : {false, true}) {
    const std::string folder = role + (by_accessor ? "secret-id-accessor/" : "secret-id/");
    const Field& field = by_accessor ? accessor : secret_id;
    const auto end = [by_accessor](Context& c) { return destroy(c, by_accessor); };
    routes_.add({.pattern = folder + "lookup",
                 .fields = {field},
                 .handlers = {{Operation::kUpdate,
                               [by_accessor](Context& c) { return lookup(c, by_accessor); }}},
                 .synopsis = "Shows a secret id's properties."});
    routes_.add({.pattern = folder + "destroy",
                 .fields = {field},
                 .handlers = {{Operation::kUpdate, end}, {Operation::kDelete, end}},
                 .synopsis = "Ends a secret id."});
  }
  routes_.add({.pattern = "tidy/secret-id",
               .handlers = {{Operation::kUpdate, tidy}},
               .synopsis = "Removes expired secret ids."});
}

}  // namespace rekey::auth::approle
