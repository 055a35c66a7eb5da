// aws, gcp and azure: machines that a cloud vouches for. Fields and defaults as in Vault 1.14.
#include "auth/kept/table.h"

namespace rekey::auth::kept {
namespace {

using enum logical::FieldType;
using logical::OlderName;

constexpr OlderName kOlderNames[] = {{"policies", "token_policies"},
                                     {"ttl", "token_ttl"},
                                     {"max_ttl", "token_max_ttl"},
                                     {"period", "token_period"}};

constexpr KeptField kAwsClient[] = {{.name = "access_key"},
                                    {.name = "secret_key", .shown = Shown::kNever},
                                    {.name = "endpoint"},
                                    {.name = "iam_endpoint"},
                                    {.name = "sts_endpoint"},
                                    {.name = "sts_region"},
                                    {.name = "use_sts_region_from_client", .type = kBoolean},
                                    {.name = "iam_server_id_header_value"},
                                    {.name = "allowed_sts_header_values", .type = kStrings},
                                    {.name = "max_retries", .type = kInteger, .otherwise = "-1"}};
constexpr KeptField kAwsIdentity[] = {
    {.name = "iam_alias",
     .otherwise = R"("role_id")",
     .choices = "role_id|unique_id|canonical_arn|full_arn"},
    {.name = "iam_metadata", .type = kStrings, .otherwise = R"(["account_id","auth_type"])"},
    {.name = "ec2_alias", .otherwise = R"("role_id")", .choices = "role_id|instance_id|image_id"},
    {.name = "ec2_metadata", .type = kStrings, .otherwise = R"(["account_id","auth_type"])"}};
constexpr KeptField kAwsCertificate[] = {
    {.name = "aws_public_cert", .required = "missing aws_public_cert"},
    {.name = "type", .otherwise = R"("pkcs7")", .choices = "pkcs7|identity"}};
constexpr KeptField kAwsSts[] = {{.name = "sts_role", .required = "sts role cannot be empty"}};
constexpr KeptField kAwsTidy[] = {
    {.name = "safety_buffer", .type = kDuration, .otherwise = "259200"},
    {.name = "disable_periodic_tidy", .type = kBoolean}};
constexpr KeptField kAwsRole[] = {
    {.name = "auth_type", .otherwise = R"("iam")", .choices = "iam|ec2"},
    {.name = "bound_ami_id", .type = kStrings},
    {.name = "bound_account_id", .type = kStrings},
    {.name = "bound_region", .type = kStrings},
    {.name = "bound_vpc_id", .type = kStrings},
    {.name = "bound_subnet_id", .type = kStrings},
    {.name = "bound_iam_role_arn", .type = kStrings},
    {.name = "bound_iam_instance_profile_arn", .type = kStrings},
    {.name = "bound_iam_principal_arn", .type = kStrings},
    {.name = "bound_ec2_instance_id", .type = kStrings},
    {.name = "role_tag"},
    {.name = "inferred_entity_type", .choices = "|ec2_instance"},
    {.name = "inferred_aws_region"},
    {.name = "resolve_aws_unique_ids", .type = kBoolean, .otherwise = "true"},
    {.name = "allow_instance_migration", .type = kBoolean},
    {.name = "disallow_reauthentication", .type = kBoolean}};
constexpr KeptPath kAwsPaths[] = {
    {.pattern = "config/client",
     .row = "config/client",
     .fields = kAwsClient,
     .synopsis = "How AWS is asked.",
     .tells_create = true},
    {.pattern = "config/identity",
     .row = "config/identity",
     .fields = kAwsIdentity,
     .synopsis = "How entities are named.",
     .shows_defaults = true,
     .erasable = false},
    {.pattern = "config/certificate/{cert_name}",
     .row = "certificate/",
     .list = "config/certificates",
     .fields = kAwsCertificate,
     .synopsis = "A key by which AWS signs instances' identities.",
     .tells_create = true},
    {.pattern = "config/sts/{account_id}",
     .row = "sts/",
     .list = "config/sts",
     .fields = kAwsSts,
     .synopsis = "The role to take in another account.",
     .tells_create = true},
    {.pattern = "config/tidy/identity-accesslist",
     .row = "config/tidy-identities",
     .fields = kAwsTidy,
     .synopsis = "When logins of instances are forgotten.",
     .tells_create = true},
    {.pattern = "config/tidy/roletag-denylist",
     .row = "config/tidy-roletags",
     .fields = kAwsTidy,
     .synopsis = "When denied role tags are forgotten.",
     .tells_create = true},
    {.pattern = "role/{role}",
     .row = "role/",
     .list = "roles",
     .list_too = "role",
     .fields = kAwsRole,
     .synopsis = "A role: which principals or instances, and what they get.",
     .token_fields = true,
     .older = kOlderNames,
     .lower_names = true,
     .tells_create = true,
     .id_field = "role_id"},
};
constexpr KeptField kAwsProof[] = {{.name = "role"},
                                   {.name = "nonce"},
                                   {.name = "pkcs7"},
                                   {.name = "identity"},
                                   {.name = "signature"},
                                   {.name = "iam_http_request_method"},
                                   {.name = "iam_request_url"},
                                   {.name = "iam_request_body"},
                                   {.name = "iam_request_headers", .type = kAny}};
constexpr KeptLogin kAwsLogins[] = {{"login", kAwsProof}};

constexpr KeptField kGcpConfig[] = {
    {.name = "credentials", .shown = Shown::kNever},
    {.name = "iam_alias", .otherwise = R"("role_id")", .choices = "role_id|unique_id"},
    {.name = "iam_metadata",
     .type = kStrings,
     .otherwise = R"(["project_id","role","service_account_id","service_account_email"])"},
    {.name = "gce_alias", .otherwise = R"("role_id")", .choices = "role_id|instance_id"},
    {.name = "gce_metadata",
     .type = kStrings,
     .otherwise =
         R"(["instance_creation_timestamp","instance_id","instance_name","project_id",)"
         R"("project_number","role","service_account_id","service_account_email","zone"])"},
    {.name = "custom_endpoint", .type = kStringMap, .shown = Shown::kNotEmpty}};
constexpr KeptField kGcpRole[] = {
    {.name = "type", .choices = "iam|gce", .required = "role type cannot be empty"},
    {.name = "bound_service_accounts", .type = kStrings, .shown = Shown::kNotEmpty},
    {.name = "bound_projects", .type = kStrings, .shown = Shown::kNotEmpty},
    {.name = "add_group_aliases", .type = kBoolean},
    {.name = "max_jwt_exp", .type = kDuration, .otherwise = "900", .only_for = "iam"},
    {.name = "allow_gce_inference", .type = kBoolean, .otherwise = "true", .only_for = "iam"},
    {.name = "bound_zones", .type = kStrings, .shown = Shown::kNotEmpty, .only_for = "gce"},
    {.name = "bound_regions", .type = kStrings, .shown = Shown::kNotEmpty, .only_for = "gce"},
    {.name = "bound_instance_groups",
     .type = kStrings,
     .shown = Shown::kNotEmpty,
     .only_for = "gce"},
    {.name = "bound_labels", .type = kStrings, .shown = Shown::kNotEmpty, .only_for = "gce"}};
constexpr KeptPath kGcpPaths[] = {
    {.pattern = "config",
     .row = "config",
     .fields = kGcpConfig,
     .synopsis = "How Google is asked.",
     .erasable = false},
    {.pattern = "role/{name}",
     .row = "role/",
     .list = "roles",
     .list_too = "role",
     .fields = kGcpRole,
     .synopsis = "A role: which accounts or instances, and what they get.",
     .token_fields = true,
     .older = kOlderNames,
     .lower_names = true,
     .tells_create = true,
     .id_field = "role_id"},
};
constexpr KeptEdit kGcpEdits[] = {{.pattern = "role/{name}/service-accounts",
                                   .path = &kGcpPaths[1],
                                   .field = "bound_service_accounts",
                                   .only_for = "iam",
                                   .attribute = "service_accounts"},
                                  {.pattern = "role/{name}/labels",
                                   .path = &kGcpPaths[1],
                                   .field = "bound_labels",
                                   .only_for = "gce",
                                   .attribute = "labels",
                                   .pairs = true}};
constexpr KeptField kRoleAndJwt[] = {{.name = "role"}, {.name = "jwt"}};
constexpr KeptLogin kGcpLogins[] = {{"login", kRoleAndJwt}};

constexpr KeptField kAzureConfig[] = {
    {.name = "tenant_id", .required = "tenant_id is required"},
    {.name = "resource", .required = "resource is required"},
    {.name = "environment"},
    {.name = "client_id"},
    {.name = "client_secret", .shown = Shown::kNever},
    {.name = "root_password_ttl", .type = kDuration, .otherwise = "15768000"}};
constexpr KeptField kAzureRole[] = {{.name = "bound_service_principal_ids", .type = kStrings},
                                    {.name = "bound_group_ids", .type = kStrings},
                                    {.name = "bound_locations", .type = kStrings},
                                    {.name = "bound_subscription_ids", .type = kStrings},
                                    {.name = "bound_resource_groups", .type = kStrings},
                                    {.name = "bound_scale_sets", .type = kStrings}};
constexpr KeptPath kAzurePaths[] = {
    {.pattern = "config",
     .row = "config",
     .fields = kAzureConfig,
     .synopsis = "How Azure is asked.",
     .tells_create = true},
    {.pattern = "role/{name}",
     .row = "role/",
     .list = "role",
     .fields = kAzureRole,
     .synopsis = "A role: which principals or machines, and what they get.",
     .token_fields = true,
     .older = kOlderNames,
     .lower_names = true,
     .tells_create = true},
};
constexpr KeptField kAzureProof[] = {{.name = "role"},
                                     {.name = "jwt"},
                                     {.name = "subscription_id"},
                                     {.name = "resource_group_name"},
                                     {.name = "vm_name"},
                                     {.name = "vmss_name"},
                                     {.name = "resource_id"}};
constexpr KeptLogin kAzureLogins[] = {{"login", kAzureProof}};

constexpr KeptTable kTables[] = {{"aws", kAwsPaths, kAwsLogins},
                                 {"gcp", kGcpPaths, kGcpLogins, kGcpEdits},
                                 {"azure", kAzurePaths, kAzureLogins}};

}  // namespace

std::span<const KeptTable> cloud_tables() { return kTables; }

}  // namespace rekey::auth::kept
