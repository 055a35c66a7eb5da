#include "pipeline/login_mfa.h"

#include <algorithm>
#include <set>

#include "logical/answer.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using identity::MfaEnforcement;
using identity::MfaMethod;
using identity::MfaStore;

bool contains(const std::vector<std::string>& items, std::string_view item) {
  return std::ranges::find(items, item) != items.end();
}

std::string quoted(std::string_view text) {
  std::string out;
  base::append_json_string(out, text);
  return out;
}

// A login that isn't let in, as methods refuse one; kDenied is for tokens.
std::unexpected<base::Error> denied(std::string message, std::string detail = {}) {
  return base::fail(ErrorKind::kUnauthenticated, std::move(message), std::move(detail));
}

// One text for a code that is wrong, was used before or can't be had: which it is, is nobody's
// business who has only the first factor.
std::unexpected<base::Error> incorrect(std::string detail) {
  return denied("MFA credentials not supplied or incorrect", std::move(detail));
}

Result<void> add(MfaCredentials& into, std::string_view method, std::string_view text) {
  if (text.size() > kMfaCredentialBytesMax) return logical::bad_request("invalid mfa payload");
  std::vector<std::string>& texts = into[std::string(method)];
  if (texts.size() >= kMfaCredentialsMax || into.size() > kMfaCredentialsMax) {
    return logical::bad_request("invalid mfa payload");
  }
  if (!text.empty()) texts.emplace_back(text);
  return {};
}

bool matches(const MfaEnforcement& one, const logical::Mount& mount, const LoginFor& whose) {
  if (contains(one.accessors, mount.accessor) || contains(one.types, mount.type)) return true;
  if (whose.standing == nullptr) return false;
  const identity::Entity& entity = whose.standing->entity;
  if (contains(one.entity_ids, entity.id)) return true;
  // Whoever was merged into this one didn't get rid of it that way.
  for (const std::string& merged : entity.merged) {
    if (contains(one.entity_ids, merged)) return true;
  }
  for (const auto& group : whose.standing->names.groups) {
    if (contains(one.group_ids, group.id)) return true;
  }
  return false;
}

// The one passcode among what was sent for a method.
Result<std::string> passcode_of(const std::vector<std::string>& sent) {
  constexpr std::string_view kName = "passcode=";
  std::string passcode;
  for (std::string_view text : sent) {
    if (text.starts_with(kName)) {
      text.remove_prefix(kName.size());
      if (text.empty()) return denied("failed to parse MFA factor, invalid passcode");
    } else if (text.contains('=')) {
      return denied("failed to parse MFA factor, found an invalid MFA cred");
    }
    if (!passcode.empty()) {
      return denied("failed to parse MFA factor, found multiple passcodes for the same MFA method");
    }
    passcode = text;
  }
  if (passcode.empty()) return incorrect("no passcode");
  return passcode;
}

// A request that lost a race and runs again has tried once.
std::optional<base::Duration> count_try(CallContext& context, const std::string& key,
                                        const MfaMethod& method, base::Duration period) {
  std::vector<std::string>& counted = context.factor_try->counted;
  if (contains(counted, key)) return std::nullopt;
  const auto wait = context.state->second_factors->count_try(key, method.attempts_max, period,
                                                             context.clock.wall());
  if (!wait) counted.push_back(key);
  return wait;
}

Result<void> check_code(CallContext& context, const MfaMethod& method, std::string_view entity_id,
                        const std::vector<std::string>& sent) {
  auto passcode = passcode_of(sent);
  if (!passcode) return forward(passcode);
  MfaStore store(*context.txn);
  auto secret = store.secret(method.id, entity_id);
  if (!secret) return forward(secret);
  if (!*secret) return incorrect("the entity has no key for this method");
  const crypto::TotpParams& params = (*secret)->params;
  const base::Duration period = std::chrono::seconds(params.period_s);
  const std::string key = factor_key(method.id, entity_id);
  if (const auto wait = count_try(context, key, method, period)) {
    return denied("maximum TOTP validation attempts " + std::to_string(method.attempts_max + 1) +
                  " exceeded the allowed attempts " + std::to_string(method.attempts_max) +
                  ". Please try again in " +
                  base::format_duration(std::chrono::ceil<std::chrono::seconds>(*wait)));
  }
  const int64_t now_s =
      std::chrono::floor<std::chrono::seconds>(context.clock.wall()).time_since_epoch().count();
  const auto step = crypto::find_totp_step(params, (*secret)->key, *passcode, now_s);
  if (!step) return incorrect("a wrong code");
  if (*step <= (*secret)->last_step) return incorrect("a code that was used, or an older one");
  (*secret)->last_step = *step;
  store.save_step(method.id, entity_id, **secret);
  // Only with the batch that uses the code up: a request that is refused by another factor has not
  // been right.
  context.after_commit.push_back([factors = context.state->second_factors, key] {
    return factors->right(key), Result<void>();
  });
  return {};
}

const std::vector<std::string>* credentials_for(const MfaCredentials& credentials,
                                                const MfaMethod& method) {
  auto at = credentials.find(method.id);
  if (at == credentials.end() && !method.name.empty()) at = credentials.find(method.name);
  return at == credentials.end() ? nullptr : &at->second;
}

std::string listed_ids(const MfaEnforcement& one) {
  std::string out;
  for (const std::string& id : one.method_ids) out.append(out.empty() ? "" : " ").append(id);
  return "[" + out + "]";
}

// One enforcement: by the first of its methods for which something right was sent. A method that
// was satisfied counts for all enforcements: its code can't be used twice.
Result<void> satisfy(CallContext& context, const MfaEnforcement& one, const LoginFor& whose,
                     const MfaCredentials& credentials, std::set<std::string>& satisfied) {
  MfaStore store(*context.txn);
  std::vector<std::string> wrong;
  std::string detail;
  for (const std::string& id : one.method_ids) {
    if (satisfied.contains(id)) return {};
  }
  for (const std::string& id : one.method_ids) {
    auto method = store.method(id);
    if (!method) return forward(method);
    if (!*method) continue;
    const auto* sent = credentials_for(credentials, **method);
    if (sent == nullptr) continue;
    Result<void> checked =
        (*method)->is_totp()
            ? check_code(context, **method, whose.entity_id, *sent)
            : denied("MFA type " + quoted((*method)->type) + " is not supported by this build");
    if (checked) {
      satisfied.insert(id);
      return {};
    }
    // What isn't about the factor (a row that can't be read) is no reason to try another.
    if (checked.error().kind() != ErrorKind::kUnauthenticated) return checked;
    wrong.push_back(checked.error().message());
    detail = checked.error().detail();
  }
  if (wrong.empty()) wrong.push_back("MFA credentials not supplied or incorrect");
  wrong.push_back("login MFA validation failed for methodID: " + listed_ids(one));
  std::string text = "failed to satisfy enforcement " + one.name +
                     ". error: " + std::to_string(wrong.size()) + " errors occurred:";
  for (const std::string& line : wrong) text.append("\n\t* ").append(line);
  return denied(text + "\n\n", detail);
}

Result<Json> describe(CallContext& context, const MfaEnforcement& one) {
  MfaStore store(*context.txn);
  JsonArray any;
  for (const std::string& id : one.method_ids) {
    auto method = store.method(id);
    if (!method) return forward(method);
    if (!*method) continue;
    JsonObject shown{
        {"id", id}, {"type", (*method)->type}, {"uses_passcode", (*method)->is_totp()}};
    if (!(*method)->name.empty()) shown.set("name", (*method)->name);
    any.emplace_back(std::move(shown));
  }
  return Json(JsonObject{{"any", std::move(any)}});
}

// Everything that was so when it began must still be so.
Result<LoginFor> still_good(CallContext& context, const PendingLogin& pending,
                            const logical::Mount& mount) {
  auto whose = find_login_entity(context, mount, pending.login);
  if (!whose) return whose;
  if (whose->entity_id != pending.entity_id) {
    return base::fail(ErrorKind::kUnauthenticated, "permission denied", "another entity by now");
  }
  if (login_cut_off(context, mount, pending.path, pending.login, *whose, pending.seen)) {
    return base::fail(ErrorKind::kUnauthenticated, "permission denied",
                      "a cut-off came before the second factor");
  }
  if (auto allowed = ask_whether_renewable(context, mount, pending.login); !allowed) {
    return forward(allowed);
  }
  return whose;
}

Result<logical::Response> complete(CallContext& context, const PendingLogin& pending,
                                   const MfaCredentials& credentials) {
  const auto mount = mount_by_accessor(*context.state, pending.mount_accessor);
  if (mount == nullptr || mount->backend == nullptr || mount->uuid != pending.mount_uuid) {
    return logical::bad_request("invalid request ID");
  }
  auto whose = still_good(context, pending, *mount);
  if (!whose) return forward(whose);
  auto required = enforcements_for(context, *mount, *whose);
  if (!required) return forward(required);
  if (required->empty()) return denied("found nil or empty MFAEnforcement configuration");
  auto right = check_second_factor(context, *required, *whose, credentials);
  if (!right) return forward(right);
  logical::Response response;
  auto auth =
      make_login_token(context, *mount, pending.path, pending.login, *whose, response.warnings);
  if (!auth) return forward(auth);
  response.auth = std::move(*auth);
  return response;
}

}  // namespace

Result<MfaCredentials> read_mfa_headers(const logical::Request& request) {
  MfaCredentials out;
  if (!request.values_named) return out;
  for (std::string_view value : request.values_named(kMfaHeader)) {
    const size_t colon = std::min(value.find(':'), value.size());
    const std::string_view method = value.substr(0, colon);
    value.remove_prefix(std::min(colon + 1, value.size()));
    if (method.empty() || value.contains(':')) {
      return logical::bad_request("failed to parse X-Vault-MFA header: invalid value");
    }
    if (auto added = add(out, method, value); !added) return forward(added);
  }
  return out;
}

Result<MfaCredentials> read_mfa_payload(const JsonObject& payload) {
  MfaCredentials out;
  for (const auto& [method, sent] : payload) {
    if (method.empty()) return logical::bad_request("invalid mfa payload");
    if (sent.as_array() == nullptr) return logical::bad_request("invalid mfa payload");
    if (auto added = add(out, method, ""); !added) return forward(added);
    for (const Json& item : *sent.as_array()) {
      const std::string* text = item.as_string();
      if (text == nullptr) return logical::bad_request("invalid mfa payload");
      if (auto added = add(out, method, *text); !added) return forward(added);
    }
  }
  return out;
}

Result<std::vector<MfaEnforcement>> enforcements_for(CallContext& context,
                                                     const logical::Mount& mount,
                                                     const LoginFor& whose) {
  auto all = MfaStore(*context.txn).enforcements();
  if (!all) return all;
  std::erase_if(*all, [&](const MfaEnforcement& one) { return !matches(one, mount, whose); });
  return all;
}

Result<void> check_second_factor(CallContext& context,
                                 const std::vector<MfaEnforcement>& enforcements,
                                 const LoginFor& whose, const MfaCredentials& credentials) {
  if (whose.entity_id.empty()) return denied("MFA validation failed. entity not found");
  std::set<std::string> satisfied;
  for (const MfaEnforcement& one : enforcements) {
    auto good = satisfy(context, one, whose, credentials, satisfied);
    if (!good) return good;
  }
  return {};
}

Result<void> hold_for_second_factor(CallContext& context,
                                    const std::vector<MfaEnforcement>& enforcements,
                                    const LoginFor& whose, logical::Login login,
                                    logical::Response& response) {
  if (whose.entity_id.empty()) return denied("MFA validation failed. entity not found");
  JsonObject constraints;
  for (const MfaEnforcement& one : enforcements) {
    auto any = describe(context, one);
    if (!any) return forward(any);
    constraints.set(one.name, std::move(*any));
  }
  // The id is a secret of its own: it isn't the request's, which the record shows.
  std::string& id = context.factor_try->pending_id;
  if (id.empty()) id = context.random.uuid();
  auto held = context.state->second_factors->put(
      id,
      {context.mount.accessor, context.mount.uuid, context.request.path, std::move(login),
       whose.entity_id, context.lane.revision()},
      context.clock.wall());
  if (!held) return held;
  logical::Auth auth;
  auth.mfa_requirement =
      Json(JsonObject{{"mfa_constraints", std::move(constraints)}, {"mfa_request_id", id}}).dump();
  response.auth = std::move(auth);
  response.warnings.push_back(
      "A login request was issued that is subject to MFA validation. Please make sure to validate "
      "the login by sending another request to mfa/validate endpoint.");
  return {};
}

Result<logical::Response> complete_login(CallContext& context, std::string_view request_id,
                                         const MfaCredentials& credentials) {
  const auto factors = context.state->second_factors;
  const auto pending = factors->claim(request_id, context.request.id, context.clock.wall());
  if (pending == nullptr) return logical::bad_request("invalid request ID");
  // Until the request ends it alone has the login, also when it has to run again; whatever it fails
  // by, the next one may try.
  const std::string id(request_id);
  std::shared_ptr<void>& claim = context.factor_try->claim;
  if (claim == nullptr) {
    claim = std::shared_ptr<void>(nullptr, [factors, id](void*) { factors->let_go(id); });
  }
  auto response = complete(context, *pending, credentials);
  if (!response) return response;
  context.after_commit.push_back([factors, id] { return factors->finish(id), Result<void>(); });
  return response;
}

}  // namespace rekey::pipeline
