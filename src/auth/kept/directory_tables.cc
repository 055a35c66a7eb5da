// ldap, github, okta and radius: people's directories. Fields and defaults as in Vault 1.14.
#include "auth/kept/table.h"

namespace rekey::auth::kept {
namespace {

using enum logical::FieldType;
using logical::OlderName;

constexpr KeptField kPolicies[] = {
    {.name = "policies", .type = kStrings, .otherwise = "[]", .policies = true}};
constexpr KeptField kPassword[] = {{.name = "password"}};
constexpr OlderName kTtls[] = {{"ttl", "token_ttl"}, {"max_ttl", "token_max_ttl"}};

constexpr std::string_view kTlsVersions = "tls10|tls11|tls12|tls13";
constexpr KeptField kLdapConfig[] = {
    {.name = "url", .otherwise = R"("ldap://127.0.0.1")"},
    {.name = "userdn"},
    {.name = "binddn"},
    {.name = "bindpass", .shown = Shown::kNever},
    {.name = "groupdn"},
    {.name = "groupfilter",
     .otherwise =
         R"j("(|(memberUid={{.Username}})(member={{.UserDN}})(uniqueMember={{.UserDN}}))")j"},
    {.name = "groupattr", .otherwise = R"("cn")"},
    {.name = "userfilter", .otherwise = R"j("({{.UserAttr}}={{.Username}})")j"},
    {.name = "upndomain"},
    {.name = "userattr", .otherwise = R"("cn")"},
    {.name = "certificate"},
    {.name = "client_tls_cert", .shown = Shown::kNever},
    {.name = "client_tls_key", .shown = Shown::kNever},
    {.name = "discoverdn", .type = kBoolean},
    {.name = "insecure_tls", .type = kBoolean},
    {.name = "starttls", .type = kBoolean},
    {.name = "tls_min_version", .otherwise = R"("tls12")", .choices = kTlsVersions},
    {.name = "tls_max_version", .otherwise = R"("tls12")", .choices = kTlsVersions},
    {.name = "deny_null_bind", .type = kBoolean, .otherwise = "true"},
    {.name = "case_sensitive_names", .type = kBoolean},
    {.name = "use_token_groups", .type = kBoolean},
    {.name = "use_pre111_group_cn_behavior", .type = kBoolean},
    {.name = "username_as_alias", .type = kBoolean},
    {.name = "anonymous_group_search", .type = kBoolean},
    {.name = "request_timeout", .type = kDuration, .otherwise = "90"},
    {.name = "connection_timeout", .type = kDuration, .otherwise = "30"},
    {.name = "dereference_aliases",
     .otherwise = R"("never")",
     .choices = "never|finding|searching|always"},
    {.name = "max_page_size", .type = kInteger},
};
constexpr KeptField kLdapUser[] = {
    {.name = "groups", .type = kStrings, .otherwise = "[]", .joined = true},
    {.name = "policies", .type = kStrings, .otherwise = "[]", .policies = true}};
constexpr KeptPath kLdapPaths[] = {
    {.pattern = "config",
     .row = "config",
     .fields = kLdapConfig,
     .synopsis = "How the directory is reached.",
     .token_fields = true,
     .shows_defaults = true,
     .erasable = false},
    {.pattern = "groups/{name}",
     .row = "group/",
     .list = "groups",
     .fields = kPolicies,
     .synopsis = "The policies of a group.",
     .lower_names = true},
    {.pattern = "users/{name}",
     .row = "user/",
     .list = "users",
     .fields = kLdapUser,
     .synopsis = "The policies and groups of a user.",
     .lower_names = true},
};
constexpr KeptLogin kLdapLogins[] = {{"login/{username}", kPassword}};

constexpr KeptField kGithubConfig[] = {
    {.name = "organization", .required = "organization is a required parameter"},
    {.name = "organization_id", .type = kInteger},
    {.name = "base_url"}};
constexpr KeptField kGithubMap[] = {{.name = "value"}};
constexpr KeptPath kGithubPaths[] = {
    {.pattern = "config",
     .row = "config",
     .fields = kGithubConfig,
     .synopsis = "The organization whose members may log in.",
     .token_fields = true,
     .older = kTtls,
     .erasable = false},
    {.pattern = "map/teams/{key}",
     .row = "team/",
     .list = "map/teams",
     .fields = kGithubMap,
     .synopsis = "The policies of a team.",
     .lower_names = true,
     .name_field = "key"},
    {.pattern = "map/users/{key}",
     .row = "user/",
     .list = "map/users",
     .fields = kGithubMap,
     .synopsis = "The policies of a user.",
     .lower_names = true,
     .name_field = "key"},
};
constexpr KeptField kGithubToken[] = {{.name = "token"}};
constexpr KeptLogin kGithubLogins[] = {{"login", kGithubToken}};

constexpr KeptField kOktaConfig[] = {{.name = "org_name", .required = "org_name is missing"},
                                     {.name = "api_token", .shown = Shown::kNever},
                                     {.name = "base_url", .shown = Shown::kNotEmpty},
                                     {.name = "bypass_okta_mfa", .type = kBoolean}};
constexpr KeptField kOktaUser[] = {
    {.name = "groups", .type = kStrings, .otherwise = "[]"},
    {.name = "policies", .type = kStrings, .otherwise = "[]", .policies = true}};
constexpr KeptPath kOktaPaths[] = {
    {.pattern = "config",
     .row = "config",
     .fields = kOktaConfig,
     .synopsis = "The organization at Okta.",
     .token_fields = true,
     .older = kTtls,
     .tells_create = true,
     .erasable = false},
    {.pattern = "groups/{name}",
     .row = "group/",
     .list = "groups",
     .fields = kPolicies,
     .synopsis = "The policies of a group.",
     .lower_names = true},
    {.pattern = "users/{name}",
     .row = "user/",
     .list = "users",
     .fields = kOktaUser,
     .synopsis = "The policies and groups of a user.",
     .lower_names = true},
};
constexpr KeptField kOktaPassword[] = {
    {.name = "password"}, {.name = "totp"}, {.name = "provider"}, {.name = "nonce"}};
constexpr KeptLogin kOktaLogins[] = {{"login/{username}", kOktaPassword}};

constexpr KeptField kRadiusConfig[] = {
    {.name = "host", .required = "config parameter `host` cannot be empty"},
    {.name = "port", .type = kInteger, .otherwise = "1812"},
    {.name = "secret",
     .shown = Shown::kNever,
     .required = "config parameter `secret` cannot be empty"},
    {.name = "unregistered_user_policies", .type = kStrings, .otherwise = "[]", .policies = true},
    {.name = "dial_timeout", .type = kDuration, .otherwise = "10"},
    {.name = "read_timeout", .type = kDuration, .otherwise = "10"},
    {.name = "nas_port", .type = kInteger, .otherwise = "10"},
    {.name = "nas_identifier"}};
constexpr KeptPath kRadiusPaths[] = {
    {.pattern = "config",
     .row = "config",
     .fields = kRadiusConfig,
     .synopsis = "How the RADIUS server is reached.",
     .token_fields = true,
     .tells_create = true,
     .erasable = false},
    {.pattern = "users/{name}",
     .row = "user/",
     .list = "users",
     .fields = kPolicies,
     .synopsis = "The policies of a user.",
     .lower_names = true,
     .tells_create = true},
};
constexpr KeptField kRadiusNamed[] = {{.name = "username"}, {.name = "password"}};
constexpr KeptLogin kRadiusLogins[] = {{"login/{urlusername}", kRadiusNamed},
                                       {"login", kRadiusNamed}};

constexpr KeptTable kTables[] = {{"ldap", kLdapPaths, kLdapLogins},
                                 {"github", kGithubPaths, kGithubLogins},
                                 {"okta", kOktaPaths, kOktaLogins},
                                 {"radius", kRadiusPaths, kRadiusLogins}};

}  // namespace

std::span<const KeptTable> directory_tables() { return kTables; }

}  // namespace rekey::auth::kept
