// auth/kubernetes/login.
#include <algorithm>

#include "auth/kubernetes/config.h"
#include "auth/kubernetes/kubernetes.h"
#include "auth/kubernetes/review.h"
#include "auth/kubernetes/role.h"
#include "base/codec.h"
#include "crypto/jws.h"
#include "crypto/jwt.h"
#include "logical/answer.h"
#include "logical/cidr.h"
#include "logical/glob.h"

namespace rekey::auth::kubernetes {
namespace {

using base::ErrorKind;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;

// One text for whoever has no token of the cluster; the detail is for the operator.
std::unexpected<base::Error> denied(std::string detail) {
  return base::fail(ErrorKind::kUnauthenticated, "permission denied", std::move(detail));
}

std::unexpected<base::Error> unfit(std::string message) {
  return base::fail(ErrorKind::kUnauthenticated, std::move(message));
}

bool signed_by_cluster(const Config& config, const crypto::Jws& jws) {
  return std::ranges::any_of(config.public_keys, [&](const std::string& pem) {
    const auto key = crypto::KeyPair::from_key_or_certificate_pem(pem);
    return key && crypto::jws_signed_by(jws, *key);
  });
}

bool listed(const std::vector<std::string>& globs, std::string_view name) {
  return std::ranges::any_of(
      globs, [&](const std::string& glob) { return logical::glob_matches(glob, name); });
}

// What can be said of the token without asking anybody.
Result<crypto::JwtClaims> check_token(const Context& context, const Config& config,
                                      const Role& role, std::string_view token) {
  const auto jws = crypto::parse_jws(token);
  if (!jws) return denied(jws.error().message());
  if (!config.public_keys.empty() && !signed_by_cluster(config, *jws)) {
    return denied("none of pem_keys signed the token");
  }
  auto claims = crypto::parse_jwt_claims(jws->payload);
  if (!claims) return denied(claims.error().message());
  if (!config.disable_issuer_check && !config.issuer.empty() && claims->issuer != config.issuer) {
    return unfit("invalid issuer (iss) claim");
  }
  if (!role.audience.empty() && !claims->is_for(role.audience)) {
    return unfit(
        "invalid audience (aud) claim: audience claim does not match any expected audience");
  }
  auto timely = crypto::check_jwt_times_if_any(*claims, context.clock.wall());
  if (!timely) return unfit(timely.error().message());
  return claims;
}

Result<void> check_account(const Role& role, const Account& account) {
  if (account.space.empty() || account.name.empty() || account.uid.empty()) {
    return denied("the token is not of a service account");
  }
  // Whether its labels are those of the role is for the cluster to say.
  if (!listed(role.namespaces, account.space) && role.selector.empty()) {
    return unfit("namespace not authorized");
  }
  if (!listed(role.accounts, account.name)) return unfit("service account name not authorized");
  return {};
}

// Of a namespace that isn't in the role's list.
Result<void> check_labels(const net::Outgoing& outgoing, const Review& question, const Role& role,
                          std::string_view reviewer, std::string_view space) {
  if (reviewer.empty()) {
    return unfit(
        "namespace lookup failed: TokenReviewer JWT needs to be configured to use namespace "
        "selectors");
  }
  const auto selector = Selector::parse(role.selector);
  if (!selector) return denied("the role's selector: " + selector.error().message());
  const auto labels = ask_for_labels(outgoing, question, space);
  if (!labels) return denied("the namespace's labels: " + labels.error().describe());
  if (!selector->matches(*labels)) return unfit("namespace not authorized");
  return {};
}

Result<void> review(const net::Outgoing& outgoing, const Config& config, const Role& role,
                    std::string_view token, const crypto::JwtClaims& claims) {
  const Account claimed = account_of(claims.all);
  const std::string reviewer = reviewer_of(config);
  Review question{.host = config.host,
                  .ca_pem = ca_of(config),
                  .reviewer = reviewer,
                  .token = token,
                  .audiences = claims.audiences};
  if (reviewer.empty()) question.reviewer = token;
  if (!role.audience.empty()) question.audiences = {role.audience};
  const auto account = ask_for_review(outgoing, question);
  if (!account) return denied("TokenReview: " + account.error().describe());
  if (account->space != claimed.space || account->name != claimed.name ||
      account->uid != claimed.uid) {
    return denied("TokenReview speaks of another account than the token");
  }
  if (listed(role.namespaces, claimed.space)) return {};
  return check_labels(outgoing, question, role, reviewer, claimed.space);
}

Response granted(Role role, const Account& account) {
  logical::Login login;
  login.alias_name = role.alias_by_name ? account.space + "/" + account.name : account.uid;
  login.alias_metadata = {{"service_account_name", account.name},
                          {"service_account_namespace", account.space},
                          {"service_account_secret_name", account.secret_name},
                          {"service_account_uid", account.uid}};
  login.metadata = login.alias_metadata;
  login.metadata.insert(login.metadata.begin(), {"role", role.name});
  login.display_name = account.space + "-" + account.name;
  login.role = role.name;
  login.token = std::move(role.token);
  Response response;
  response.login = std::move(login);
  return response;
}

Result<Response> login(Context& context, const net::Outgoing& outgoing) {
  const std::string name = base::to_lower(context.fields.text("role"));
  const std::string_view token = context.fields.text("jwt");
  if (name.empty()) return logical::bad_request("missing role");
  if (token.empty()) return logical::bad_request("missing jwt");
  auto role = read_role(context, name);
  if (!role) return forward(role);
  if (!*role) return logical::bad_request("invalid role name \"" + name + '"');
  if (!logical::address_allowed(context.request.origin.address, (*role)->token.bound_cidrs)) {
    return denied("a login from an address outside the role's bound CIDRs");
  }
  auto config = read_config(context);
  if (!config) return forward(config);
  if (!*config) return logical::bad_request("could not load backend configuration");
  auto claims = check_token(context, **config, **role, token);
  if (!claims) return forward(claims);
  const Account account = account_of(claims->all);
  auto fits = check_account(**role, account);
  if (!fits) return forward(fits);
  if (!context.may_block) return context.to_pool();
  auto vouched = review(outgoing, **config, **role, token, *claims);
  if (!vouched) return forward(vouched);
  return granted(std::move(**role), account);
}

}  // namespace

Result<std::optional<logical::TokenParams>> Kubernetes::renew_login(
    Context& context, const logical::Renewal& renewal) const {
  auto role = read_role(context, renewal.role);
  if (!role) return forward(role);
  if (!*role) {
    return logical::bad_request("failed to renew entry: role " + renewal.role +
                                " does not exist during renewal");
  }
  return std::move((*role)->token);
}

void Kubernetes::add_login_routes() {
  routes_.add({.pattern = "login",
               .fields = {{"role", FieldType::kString, "The role."},
                          {"jwt", FieldType::kString, "The token of a service account."}},
               .handlers = {{Operation::kUpdate,
                             [this](Context& context) { return login(context, *outgoing_); }}},
               .synopsis = "Logs in.",
               .unauthenticated = true,
               .waits = true});
}

}  // namespace rekey::auth::kubernetes
