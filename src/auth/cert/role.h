// A role of the cert method (Vault: a "cert"): which certificates log in by it, and what their
// tokens get. Values and functions of a request's View; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/x509_chain.h"
#include "logical/context.h"
#include "logical/decoded_rows.h"
#include "logical/token_params.h"

namespace rekey::auth::cert {

inline constexpr size_t kRoleNameBytesMax = 256;
inline constexpr size_t kRolePatternsMax = 1000;      // of all lists of one role together
inline constexpr size_t kRolePatternBytesMax = 4096;  // one of them
// Roles that are tried for a login that names none; with more it has to name one.
inline constexpr size_t kRolesTriedMax = 1000;

inline constexpr logical::OlderName kOlderNames[] = {{"policies", "token_policies"},
                                                     {"ttl", "token_ttl"},
                                                     {"max_ttl", "token_max_ttl"},
                                                     {"period", "token_period"},
                                                     {"bound_cidrs", "token_bound_cidrs"}};

struct Role {
  std::string name;         // in lower case
  std::string certificate;  // PEM, as it was sent: the first one says which sort of role it is
  std::string display_name;
  // Globs. An empty list takes everything; of one that isn't, one glob has to match.
  std::vector<std::string> allowed_names;  // common name, DNS and e-mail names
  std::vector<std::string> allowed_common_names, allowed_dns_sans, allowed_email_sans;
  std::vector<std::string> allowed_uri_sans, allowed_organizational_units;
  std::vector<std::string> required_extensions;  // "oid:glob", "hex:oid:glob"; all have to match
  std::vector<std::string> allowed_metadata_extensions;  // oids
  // OCSP isn't asked: with it on, and not fail_open, no login succeeds.
  bool ocsp_enabled = false, ocsp_fail_open = false, ocsp_query_all_servers = false;
  std::string ocsp_ca_certificates;
  std::vector<std::string> ocsp_servers_override;
  logical::TokenParams token;

  bool wants_ocsp() const { return ocsp_enabled && !ocsp_fail_open; }
};

// A role with its certificates read.
struct LoadedRole final : logical::DecodedRow {
  LoadedRole(Role role_of, crypto::TrustedCertificates trust_of)
      : role(std::move(role_of)), trust(std::move(trust_of)) {}
  Role role;
  crypto::TrustedCertificates trust;
};

// Null where there is none.
base::Result<std::shared_ptr<const LoadedRole>> find_role(logical::Context& context,
                                                          std::string_view name);
// The same, as a condition of the commit: to change it.
base::Result<std::shared_ptr<const LoadedRole>> role_to_change(logical::Context& context,
                                                               std::string_view name);
base::Result<void> save_role(logical::Context& context, const Role& role);
base::JsonObject describe(const Role& role);
// Changes in `role` what the request sent; checks the whole. Failure: kInvalid.
base::Result<void> apply_fields(const logical::Fields& fields, Role& role);
// For the route's declaration.
std::vector<logical::Field> role_fields();

// Whether the role's lists let this certificate in.
bool allows(const Role& role, const crypto::CertificateFacts& facts);

}  // namespace rekey::auth::cert
