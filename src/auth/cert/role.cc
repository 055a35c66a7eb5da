#include "auth/cert/role.h"

#include <algorithm>
#include <span>

#include "base/codec.h"
#include "logical/answer.h"
#include "logical/glob.h"
#include "logical/row.h"

namespace rekey::auth::cert {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;

struct ListField {
  std::string_view name;
  std::vector<std::string> Role::* list;
  std::string_view text;
};
constexpr ListField kLists[] = {
    {"allowed_names", &Role::allowed_names, "Globs for the common name, DNS and e-mail names."},
    {"allowed_common_names", &Role::allowed_common_names, "Globs for the common name."},
    {"allowed_dns_sans", &Role::allowed_dns_sans, "Globs for the DNS names."},
    {"allowed_email_sans", &Role::allowed_email_sans, "Globs for the e-mail names."},
    {"allowed_uri_sans", &Role::allowed_uri_sans, "Globs for the URIs."},
    {"allowed_organizational_units", &Role::allowed_organizational_units,
     "Globs for the organizational units."},
    {"required_extensions", &Role::required_extensions,
     "Extensions it must have: oid:glob of the text, or hex:oid:glob of the DER in hex."},
    {"allowed_metadata_extensions", &Role::allowed_metadata_extensions,
     "Extensions whose text goes into the token's metadata."},
    {"ocsp_servers_override", &Role::ocsp_servers_override, "Kept; OCSP isn't asked."},
};

struct FlagField {
  std::string_view name;
  bool Role::* flag;
};
constexpr FlagField kFlags[] = {{"ocsp_enabled", &Role::ocsp_enabled},
                                {"ocsp_fail_open", &Role::ocsp_fail_open},
                                {"ocsp_query_all_servers", &Role::ocsp_query_all_servers}};

std::string row_of(std::string_view name) { return "role/" + std::string(name); }

Result<Role> decode(std::string_view name, std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(base::ErrorKind::kCorrupt, "a certificate role can't be read");
  }
  Role role;
  role.name = name;
  role.certificate = row->string_or("certificate", "");
  role.display_name = row->string_or("display_name", "");
  role.ocsp_ca_certificates = row->string_or("ocsp_ca_certificates", "");
  for (const ListField& field : kLists) role.*field.list = logical::strings_at(*row, field.name);
  for (const FlagField& field : kFlags) role.*field.flag = logical::flag_at(*row, field.name);
  role.token = logical::parse_token_params(*row);
  return role;
}

JsonObject own_fields(const Role& role) {
  JsonObject out{{"certificate", role.certificate},
                 {"display_name", role.display_name},
                 {"ocsp_ca_certificates", role.ocsp_ca_certificates}};
  for (const ListField& field : kLists) {
    const auto& list = role.*field.list;
    out.set(field.name, list.empty() ? Json() : Json::strings(list));
  }
  for (const FlagField& field : kFlags) out.set(field.name, role.*field.flag);
  return out;
}

Result<std::shared_ptr<const LoadedRole>> load(Context& context, std::string_view name) {
  auto row = context.storage->get(row_of(name));
  if (!row) return forward(row);
  if (!*row) return std::shared_ptr<const LoadedRole>();
  auto role = decode(name, **row);
  if (!role) return forward(role);
  auto trust = crypto::TrustedCertificates::parse(role->certificate);
  if (!trust) return forward(trust);
  return std::make_shared<const LoadedRole>(std::move(*role), std::move(*trust));
}

bool is_oid(std::string_view text) {
  return !text.empty() && text.find('.') != std::string_view::npos &&
         text.find_first_not_of("0123456789.") == std::string_view::npos;
}

struct Requirement {
  bool hex = false;
  std::string_view oid, glob;
};

// Failure: kInvalid for what would never match, or match by accident.
Result<Requirement> parse_requirement(std::string_view text) {
  Requirement out;
  out.hex = text.starts_with("hex:");
  std::string_view rest = text.substr(out.hex ? 4 : 0);
  const size_t colon = rest.find(':');
  if (colon == std::string_view::npos || !is_oid(rest.substr(0, colon))) {
    return logical::bad_request("required_extensions: expected oid:value or hex:oid:value, not \"" +
                                std::string(text) + "\"");
  }
  out.oid = rest.substr(0, colon);
  out.glob = rest.substr(colon + 1);
  return out;
}

Result<void> check_lists(const Role& role) {
  size_t count = 0;
  for (const ListField& field : kLists) {
    for (const std::string& pattern : role.*field.list) {
      if (++count > kRolePatternsMax) return logical::bad_request("too many names in the role");
      if (pattern.size() > kRolePatternBytesMax) {
        return logical::bad_request(std::string(field.name) + ": an entry is too long");
      }
    }
  }
  for (const std::string& text : role.required_extensions) {
    if (auto parsed = parse_requirement(text); !parsed) return forward(parsed);
  }
  for (const std::string& oid : role.allowed_metadata_extensions) {
    if (!is_oid(oid)) {
      return logical::bad_request("allowed_metadata_extensions: \"" + oid + "\" is no OID");
    }
  }
  return {};
}

bool one_matches(const std::vector<std::string>& globs, std::span<const std::string> names) {
  return std::ranges::any_of(globs, [&](const std::string& glob) {
    return std::ranges::any_of(
        names, [&](const std::string& name) { return logical::glob_matches(glob, name); });
  });
}

bool has_extension(const crypto::CertificateFacts& facts, const Requirement& wanted) {
  return std::ranges::any_of(facts.extensions, [&](const crypto::CertificateExtension& extension) {
    if (extension.oid != wanted.oid) return false;
    return wanted.hex ? logical::glob_matches(base::to_lower(wanted.glob),
                                              base::hex_encode(extension.value))
                      : logical::glob_matches(wanted.glob, extension.text);
  });
}

}  // namespace

Result<std::shared_ptr<const LoadedRole>> find_role(Context& context, std::string_view name) {
  if (name.empty() || name.size() > kRoleNameBytesMax) return std::shared_ptr<const LoadedRole>();
  const std::string row = row_of(name);
  auto revision = context.storage->revision(row);
  if (!revision) return forward(revision);
  // Written by this very request, or nothing to keep it in.
  if (!*revision || context.decoded == nullptr) return load(context, name);
  const std::string full = context.storage->prefix() + row;
  if (**revision == 0) {
    context.decoded->drop(full);
    return std::shared_ptr<const LoadedRole>();
  }
  auto known = std::dynamic_pointer_cast<LoadedRole>(context.decoded->find(full, **revision));
  if (known != nullptr) return known;
  auto loaded = load(context, name);
  if (loaded && *loaded != nullptr) {
    context.decoded->keep(full, **revision, std::const_pointer_cast<LoadedRole>(*loaded));
  }
  return loaded;
}

Result<std::shared_ptr<const LoadedRole>> role_to_change(Context& context, std::string_view name) {
  if (name.empty() || name.size() > kRoleNameBytesMax) return std::shared_ptr<const LoadedRole>();
  return load(context, name);
}

Result<void> save_role(Context& context, const Role& role) {
  JsonObject row = own_fields(role);
  logical::store_token_params(role.token, row);
  return context.storage->put(row_of(role.name), Json(std::move(row)).dump());
}

JsonObject describe(const Role& role) {
  JsonObject data = own_fields(role);
  logical::describe_token_params(role.token, data);
  return data;
}

Result<void> apply_fields(const logical::Fields& fields, Role& role) {
  role.certificate = fields.text("certificate", role.certificate);
  role.display_name = fields.text("display_name", role.display_name);
  role.ocsp_ca_certificates = fields.text("ocsp_ca_certificates", role.ocsp_ca_certificates);
  if (role.display_name.empty()) role.display_name = role.name;
  for (const ListField& field : kLists) {
    if (fields.has(field.name)) role.*field.list = fields.strings(field.name);
  }
  for (const FlagField& field : kFlags) {
    role.*field.flag = fields.flag(field.name, role.*field.flag);
  }
  auto listed = check_lists(role);
  if (!listed) return listed;
  auto read = logical::read_token_params(fields, kOlderNames, role.token);
  if (!read) return read;
  const auto trust = crypto::TrustedCertificates::parse(role.certificate);
  if (!trust) return logical::bad_request("failed to parse certificate");
  if (!trust->is_authority() && !trust->may_be_client()) {
    return logical::bad_request(
        "nonCA certificates should have TLS client authentication set as an extended key usage");
  }
  return {};
}

std::vector<logical::Field> role_fields() {
  std::vector<logical::Field> fields = {
      {"certificate", FieldType::kString, "PEM: authorities, or one client's certificate."},
      {"display_name", FieldType::kString, "Of its tokens; its name where not said."},
      {"ocsp_ca_certificates", FieldType::kString, "Kept; OCSP isn't asked."}};
  for (const ListField& field : kLists) {
    fields.push_back({field.name, FieldType::kStrings, field.text});
  }
  for (const FlagField& field : kFlags) {
    fields.push_back({field.name, FieldType::kBoolean,
                      "Kept; OCSP isn't asked, and a role that insists on it lets nobody in."});
  }
  return logical::with_token_fields(std::move(fields), kOlderNames);
}

bool allows(const Role& role, const crypto::CertificateFacts& facts) {
  const crypto::CertificateInfo& info = facts.info;
  const std::vector<std::string> common = {info.common_name};
  const auto passes = [](const std::vector<std::string>& globs,
                         std::span<const std::string> names) {
    return globs.empty() || one_matches(globs, names);
  };
  if (!role.allowed_names.empty() && !one_matches(role.allowed_names, common) &&
      !one_matches(role.allowed_names, info.dns_names) &&
      !one_matches(role.allowed_names, info.email_addresses)) {
    return false;
  }
  if (!passes(role.allowed_common_names, common) ||
      !passes(role.allowed_dns_sans, info.dns_names) ||
      !passes(role.allowed_email_sans, info.email_addresses) ||
      !passes(role.allowed_uri_sans, info.uris) ||
      !passes(role.allowed_organizational_units, facts.organizational_units)) {
    return false;
  }
  return std::ranges::all_of(role.required_extensions, [&](const std::string& text) {
    const auto wanted = parse_requirement(text);
    return wanted.has_value() && has_extension(facts, *wanted);
  });
}

}  // namespace rekey::auth::cert
