#include "auth/userpass/userpass.h"

#include <algorithm>

#include "base/codec.h"
#include "crypto/digest.h"
#include "crypto/password.h"
#include "logical/answer.h"
#include "logical/cidr.h"
#include "logical/context.h"
#include "logical/lockout.h"
#include "logical/named_rows.h"
#include "logical/row.h"
#include "logical/token_params.h"

namespace rekey::auth::userpass {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

constexpr logical::OlderName kOlderNames[] = {{"policies", "token_policies"},
                                              {"ttl", "token_ttl"},
                                              {"max_ttl", "token_max_ttl"},
                                              {"bound_cidrs", "token_bound_cidrs"}};

// Of no password at all: what is checked for a name that doesn't exist, so that it takes as long.
const std::string kNobodysHash =
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct User {
  std::string name;
  std::string hash;
  logical::TokenParams token;
};

// Names are one person's in whatever case.
std::string name_of(const Context& context) {
  std::string name(context.fields.text("username"));
  name = base::to_lower(name);
  return name;
}

Result<std::optional<User>> read_user(Context& context, std::string_view name) {
  if (name.empty() || name.size() > kUserNameBytesMax) return std::optional<User>();
  auto text = context.storage->get("user/" + std::string(name));
  if (!text) return forward(text);
  if (!*text) return std::optional<User>();
  const auto row = Json::parse(**text);
  if (!row || !row->is_object()) {
    return base::fail(ErrorKind::kCorrupt, "a user's row can't be read");
  }
  User user{std::string(name), row->string_or("hash", ""), logical::parse_token_params(*row)};
  return std::optional<User>(std::move(user));
}

Result<void> save_user(Context& context, const User& user) {
  JsonObject row{{"hash", user.hash}};
  logical::store_token_params(user.token, row);
  return context.storage->put("user/" + user.name, Json(std::move(row)).dump());
}

Result<Response> list(Context& context) { return logical::list_rows(context, "user/"); }

Result<Response> read(Context& context) {
  auto user = read_user(context, name_of(context));
  if (!user) return forward(user);
  if (!*user) return logical::nothing_there();
  JsonObject data;
  logical::describe_token_params((*user)->token, data);
  return logical::with_data(std::move(data));
}

// The new hash, where the request brings a password or a hash; nothing where it brings neither.
Result<std::optional<std::string>> new_hash(Context& context) {
  const std::string_view password = context.fields.text("password");
  const std::string_view hash = context.fields.text("password_hash");
  if (!password.empty() && !hash.empty()) {
    return logical::bad_request("only one of password or password_hash may be provided");
  }
  if (!hash.empty()) {
    if (!crypto::is_bcrypt_hash(hash)) {
      return logical::bad_request("password_hash is not a valid bcrypt hash");
    }
    return std::string(hash);
  }
  if (password.empty()) return std::nullopt;
  auto made = crypto::hash_password(password, context.random);
  if (!made) return forward(made);
  return std::move(*made);
}

std::unexpected<base::Error> no_password() {
  return logical::bad_request("must provide either password or password_hash");
}

Result<Response> write(Context& context) {
  const std::string name = name_of(context);
  if (name.size() > kUserNameBytesMax) return logical::bad_request("the username is too long");
  auto known = read_user(context, name);
  if (!known) return forward(known);
  User user = *known ? **known : User{name, "", {}};
  auto hash = new_hash(context);
  if (!hash) return forward(hash);
  if (*hash) user.hash = std::move(**hash);
  if (user.hash.empty()) return no_password();
  auto read = logical::read_token_params(context.fields, kOlderNames, user.token);
  if (!read) return forward(read);
  auto saved = save_user(context, user);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> erase(Context& context) {
  const std::string name = name_of(context);
  if (name.size() > kUserNameBytesMax) return Response{};
  auto erased = context.storage->erase("user/" + name);
  if (!erased) return forward(erased);
  return Response{};
}

Result<bool> exists(Context& context) {
  auto user = read_user(context, name_of(context));
  if (!user) return forward(user);
  return user->has_value();
}

Result<User> known_user(Context& context) {
  auto user = read_user(context, name_of(context));
  if (!user) return forward(user);
  if (!*user) return logical::bad_request("username does not exist");
  return std::move(**user);
}

Result<Response> write_password(Context& context) {
  auto user = known_user(context);
  if (!user) return forward(user);
  auto hash = new_hash(context);
  if (!hash) return forward(hash);
  if (!*hash) return no_password();
  user->hash = std::move(**hash);
  auto saved = save_user(context, *user);
  if (!saved) return forward(saved);
  return Response{};
}

Result<Response> write_policies(Context& context) {
  auto user = known_user(context);
  if (!user) return forward(user);
  auto read = logical::read_token_params(context.fields, kOlderNames, user->token);
  if (!read) return forward(read);
  auto saved = save_user(context, *user);
  if (!saved) return forward(saved);
  return Response{};
}

// Tells a password's hash from the next one's without being it.
std::string mark_of(std::string_view hash) {
  constexpr size_t kMarkBytes = 8;
  const crypto::Sha256Digest digest = crypto::sha256("userpass mark", hash);
  return base::hex_encode(crypto::as_bytes(digest).substr(0, kMarkBytes));
}

Result<Response> login(Context& context) {
  const std::string name = name_of(context);
  const std::string_view password = context.fields.text("password");
  if (password.empty()) return logical::bad_request("missing password");
  const auto now = context.clock.wall();
  if (context.lockout->locked(context.mount, name, now)) {
    return base::fail(ErrorKind::kUnauthenticated, "permission denied", "the name is locked");
  }
  auto user = read_user(context, name);
  if (!user) return forward(user);
  const bool right =
      crypto::check_password(password, *user ? (*user)->hash : kNobodysHash) && user->has_value();
  if (!context.lockout->finish(context.mount, name, right, context.clock.wall())) {
    return logical::bad_request("invalid username or password");
  }
  if (!logical::address_allowed(context.request.origin.address, (*user)->token.bound_cidrs)) {
    return base::fail(ErrorKind::kUnauthenticated, "permission denied",
                      "a login from an address outside the user's bound CIDRs");
  }
  // What an operator brought is kept like all others from now on: it would also take another time.
  if (crypto::is_bcrypt_hash((*user)->hash)) {
    auto hash = crypto::hash_password(password, context.random);
    if (!hash) return forward(hash);
    (*user)->hash = std::move(*hash);
    auto saved = save_user(context, **user);
    if (!saved) return forward(saved);
  }
  logical::Login granted;
  granted.alias_name = name;
  granted.display_name = name;
  granted.metadata = {{"username", name}};
  granted.internal.set("password", mark_of((*user)->hash));
  granted.internal.set("policies", Json::strings((*user)->token.policies));
  granted.token = std::move((*user)->token);
  Response response;
  response.login = std::move(granted);
  return response;
}

}  // namespace

Result<std::optional<logical::TokenParams>> Userpass::renew_login(
    Context& context, const logical::Renewal& renewal) const {
  std::string name;
  for (const auto& [key, value] : renewal.metadata) {
    if (key == "username") name = value;
  }
  auto user = read_user(context, name);
  if (!user) return forward(user);
  if (!*user) return logical::bad_request("the user no longer exists, not renewing");
  // A password that was changed meanwhile is one that may have been known to others.
  if (renewal.waiting &&
      Json(renewal.internal).string_or("password", "") != mark_of((*user)->hash)) {
    return base::fail(ErrorKind::kUnauthenticated, "permission denied",
                      "the password was changed before the second factor");
  }
  // A token keeps its policies for life; where the user has others now, it ends.
  const auto given = logical::strings_at(Json(renewal.internal), "policies");
  if (logical::clean_policies(given) != logical::clean_policies((*user)->token.policies)) {
    return logical::bad_request("failed to renew entry: policies have changed, not renewing");
  }
  return std::move((*user)->token);
}

Userpass::Userpass() {
  const Field password{"password", FieldType::kString, "The password."};
  const Field hash{"password_hash", FieldType::kString, "A bcrypt hash, in its place."};
  const std::vector<Field> secret = {password, hash};
  routes_.add({.pattern = "users",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list}},
               .synopsis = "Lists the users."});
  routes_.add({.pattern = "users/{username}",
               .fields = logical::with_token_fields(secret, kOlderNames),
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, write},
                            {Operation::kDelete, erase}},
               .synopsis = "A user, and what their tokens get.",
               .exists = exists,
               .blocking = true});
  routes_.add({.pattern = "users/{username}/password",
               .fields = secret,
               .handlers = {{Operation::kUpdate, write_password}},
               .synopsis = "Sets a user's password.",
               .blocking = true});
  routes_.add({.pattern = "users/{username}/policies",
               .fields = {{"token_policies", FieldType::kStrings, "Policies of their tokens."},
                          {"policies", FieldType::kStrings, "Older name of token_policies."}},
               .handlers = {{Operation::kUpdate, write_policies}},
               .synopsis = "Sets a user's policies."});
  routes_.add({.pattern = "login/{username}",
               .fields = {password},
               .handlers = {{Operation::kUpdate, login}},
               .synopsis = "Logs in.",
               .unauthenticated = true,
               .blocking = true});
}

}  // namespace rekey::auth::userpass
