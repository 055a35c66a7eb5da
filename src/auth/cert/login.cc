// auth/cert/login, and what a renewal asks again.
#include <algorithm>

#include "auth/cert/cert.h"
#include "auth/cert/config.h"
#include "auth/cert/crl.h"
#include "auth/cert/role.h"
#include "base/codec.h"
#include "logical/answer.h"
#include "logical/cidr.h"
#include "logical/row.h"

namespace rekey::auth::cert {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using crypto::PresentedChain;
using crypto::TrustedCertificates;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;

using RolePointer = std::shared_ptr<const LoadedRole>;

Result<PresentedChain> presented_by(const Context& context) {
  const logical::Origin& origin = context.request.origin;
  if (origin.client_certificate_der.empty()) {
    return logical::bad_request("no client certificate found");
  }
  auto chain =
      PresentedChain::parse(origin.client_certificate_der, origin.client_intermediates_der);
  if (!chain) {
    return logical::bad_request("the client certificate can't be used: " + chain.error().message());
  }
  return chain;
}

// The role with this name, or all; those that pin one client's certificate first.
Result<std::vector<RolePointer>> roles_to_try(Context& context, std::string_view name) {
  std::vector<std::string> names;
  if (name.empty()) {
    auto all = context.storage->list("role/", {}, kRolesTriedMax + 1);
    if (!all) return forward(all);
    if (all->size() > kRolesTriedMax) {
      return logical::bad_request("there are too many roles to try them all: give its \"name\"");
    }
    names = std::move(*all);
  } else {
    names.push_back(base::to_lower(name));
  }
  std::vector<RolePointer> roles, of_authorities;
  for (const std::string& each : names) {
    auto role = find_role(context, each);
    if (!role) return forward(role);
    if (*role == nullptr) continue;
    ((*role)->trust.is_authority() ? of_authorities : roles).push_back(std::move(*role));
  }
  roles.insert(roles.end(), of_authorities.begin(), of_authorities.end());
  return roles;
}

Result<bool> passes(Context& context, const LoadedRole& role, const PresentedChain& presented,
                    const std::vector<crypto::ChainLink>& chain) {
  if (!allows(role.role, presented.leaf())) return false;
  auto revoked = is_revoked(context, chain);
  if (!revoked) return forward(revoked);
  return !*revoked;
}

// The first role that lets the certificate in. Every failure is a 400 in Vault's words.
Result<RolePointer> match(Context& context, const PresentedChain& presented,
                          std::string_view name) {
  auto roles = roles_to_try(context, name);
  if (!roles) return forward(roles);
  const base::WallTime now = context.clock.wall();
  bool led_to_trust = false, wants_ocsp = false;
  std::string reason;
  for (const RolePointer& role : *roles) {
    const bool pinned = !role->trust.is_authority();
    if (pinned) {
      const auto same = role->trust.compare(presented);
      if (same == TrustedCertificates::Pinned::kOtherKey) {
        return logical::bad_request("public key mismatch of a trusted leaf certificate");
      }
      if (same == TrustedCertificates::Pinned::kOther) continue;
    }
    auto chain =
        pinned ? role->trust.verify_pinned(presented, now) : role->trust.verify(presented, now);
    if (!chain) {
      if (chain.error().kind() == ErrorKind::kDenied) reason = chain.error().message();
      continue;
    }
    led_to_trust = true;
    auto good = passes(context, *role, presented, *chain);
    if (!good) return forward(good);
    if (!*good) continue;
    if (!role->role.wants_ocsp()) return role;
    wants_ocsp = true;  // another role may take the certificate as it is
  }
  if (wants_ocsp) {
    return logical::bad_request(
        "the role insists on OCSP, which this build does not ask: set ocsp_fail_open, or write a "
        "CRL");
  }
  if (led_to_trust) {
    return logical::bad_request(
        "no chain matching all constraints could be found for this login certificate");
  }
  if (!reason.empty()) {
    return logical::bad_request("failed to verify client's certificate: " + reason);
  }
  return logical::bad_request("invalid certificate or no client certificate supplied");
}

std::string with_colons(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    if (!out.empty()) out += ':';
    out += base::hex_encode({&byte, 1});
  }
  return out;
}

logical::Login::Pairs metadata_of(const Role& role, const crypto::CertificateFacts& facts) {
  logical::Login::Pairs out = {{"authority_key_id", with_colons(facts.authority_key_id)},
                               {"cert_name", role.name},
                               {"common_name", facts.info.common_name},
                               {"serial_number", facts.serial},
                               {"subject_key_id", with_colons(facts.subject_key_id)}};
  for (const crypto::CertificateExtension& extension : facts.extensions) {
    const auto& wanted = role.allowed_metadata_extensions;
    if (std::ranges::find(wanted, extension.oid) == wanted.end()) continue;
    std::string key = extension.oid;
    std::ranges::replace(key, '.', '-');
    out.emplace_back(std::move(key), extension.text);
  }
  return out;
}

// By what a renewal knows the certificate again.
JsonObject remembered(const Role& role, const crypto::CertificateFacts& facts) {
  return {{"common_name", facts.info.common_name},
          {"subject_key_id", base::base64_encode(facts.subject_key_id)},
          {"authority_key_id", base::base64_encode(facts.authority_key_id)},
          {"fingerprint", facts.info.fingerprint_sha256_hex},
          {"policies", Json::strings(role.token.policies)}};
}

Result<Response> login(Context& context) {
  const std::string_view name = context.fields.text("name");
  auto presented = presented_by(context);
  if (!presented) return forward(presented);
  // To try all roles may take long; who shows no certificate doesn't come so far.
  if (name.empty() && !context.may_block) return context.to_pool();
  auto matched = match(context, *presented, name);
  if (!matched) return forward(matched);
  const Role& role = (*matched)->role;
  if (!logical::address_allowed(context.request.origin.address, role.token.bound_cidrs)) {
    return base::fail(ErrorKind::kUnauthenticated, "permission denied",
                      "a login from an address outside the role's bound CIDRs");
  }
  const crypto::CertificateFacts& facts = presented->leaf();
  if (facts.info.common_name.empty()) {
    return logical::bad_request(
        "the client certificate has no common name, which names its entity");
  }
  auto config = read_config(context);
  if (!config) return forward(config);
  logical::Login granted;
  granted.alias_name = facts.info.common_name;
  granted.display_name = role.display_name;
  granted.role = role.name;
  granted.metadata = metadata_of(role, facts);
  if (config->enable_identity_alias_metadata) granted.alias_metadata = granted.metadata;
  granted.internal = remembered(role, facts);
  granted.token = role.token;
  Response response;
  response.login = std::move(granted);
  return response;
}

// A renewed certificate of the same client is taken: of the same name, and with the same key or
// from the same authority, by ids that are there; without them, only the same certificate.
bool is_same_client(const JsonObject& then, const JsonObject& now) {
  const auto same = [&](std::string_view name) {
    const Json* a = then.find(name);
    const Json* b = now.find(name);
    const std::string* text = a == nullptr ? nullptr : a->as_string();
    return text != nullptr && !text->empty() && b != nullptr && *a == *b;
  };
  return same("common_name") &&
         (same("subject_key_id") || same("authority_key_id") || same("fingerprint"));
}

}  // namespace

Result<std::optional<logical::TokenParams>> CertAuth::renew_login(
    Context& context, const logical::Renewal& renewal) const {
  auto config = read_config(context);
  if (!config) return forward(config);
  auto role = find_role(context, renewal.role);
  if (!role) return forward(role);
  if (*role == nullptr) {
    return logical::bad_request("the role no longer exists, not renewing");
  }
  if (!config->disable_binding) {
    auto presented = presented_by(context);
    if (!presented) return forward(presented);
    auto matched = match(context, *presented, renewal.role);
    if (!matched) return forward(matched);
    if (!is_same_client(renewal.internal, remembered((*role)->role, presented->leaf()))) {
      return logical::bad_request(
          "client identity during renewal not matching client identity used during login");
    }
  }
  // A token keeps its policies for life; where the role gives others now, it ends.
  const auto given = logical::strings_at(Json(renewal.internal), "policies");
  if (logical::clean_policies(given) != logical::clean_policies((*role)->role.token.policies)) {
    return logical::bad_request("policies have changed, not renewing");
  }
  return (*role)->role.token;
}

void CertAuth::add_login_routes() {
  routes_.add({.pattern = "login",
               .fields = {{"name", FieldType::kString, "The role; any that fits where not said."}},
               .handlers = {{Operation::kUpdate, login}},
               .synopsis = "Logs in with the certificate of the connection.",
               .unauthenticated = true});
}

CertAuth::CertAuth() {
  add_role_routes();
  add_config_routes();
  add_crl_routes();
  add_login_routes();
}

}  // namespace rekey::auth::cert
