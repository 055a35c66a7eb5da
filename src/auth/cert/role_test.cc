// Which certificates a role's lists let in. Logins as a whole: tests/clients/cert_client.py.
#include "auth/cert/role.h"

#include <gtest/gtest.h>

namespace rekey::auth::cert {
namespace {

class RoleTest : public ::testing::Test {
 protected:
  RoleTest() {
    facts_.info.common_name = "web";
    facts_.info.dns_names = {"a.example.org", "b.example.org"};
    facts_.info.email_addresses = {"web@example.org"};
    facts_.info.uris = {"spiffe://example.org/web"};
    facts_.organizational_units = {"shop", "ops"};
    facts_.extensions = {{.oid = "1.2.3.4", .value = "\x0c\x01\x61", .text = "a"},
                         {.oid = "1.2.3.5", .value = "\x30\x00", .text = ""}};
  }
  bool allowed(std::vector<std::string> Role::* list, std::vector<std::string> globs) {
    Role role;
    role.*list = std::move(globs);
    return allows(role, facts_);
  }
  crypto::CertificateFacts facts_;
};

TEST_F(RoleTest, NoListsTakeEverything) { EXPECT_TRUE(allows(Role{}, facts_)); }

TEST_F(RoleTest, OneGlobOfAListMustMatchOneName) {
  EXPECT_TRUE(allowed(&Role::allowed_common_names, {"db", "w*"}));
  EXPECT_FALSE(allowed(&Role::allowed_common_names, {"WEB"}));
  EXPECT_TRUE(allowed(&Role::allowed_dns_sans, {"b.*"}));
  EXPECT_FALSE(allowed(&Role::allowed_dns_sans, {"web"}));  // the common name is no DNS name
  EXPECT_TRUE(allowed(&Role::allowed_email_sans, {"*@example.org"}));
  EXPECT_TRUE(allowed(&Role::allowed_uri_sans, {"spiffe://*/web"}));
  EXPECT_FALSE(allowed(&Role::allowed_uri_sans, {"spiffe://example.org"}));
  EXPECT_TRUE(allowed(&Role::allowed_organizational_units, {"ops"}));
  EXPECT_FALSE(allowed(&Role::allowed_organizational_units, {"op"}));
}

TEST_F(RoleTest, AllowedNamesAreForTheNamesTogether) {
  EXPECT_TRUE(allowed(&Role::allowed_names, {"web"}));
  EXPECT_TRUE(allowed(&Role::allowed_names, {"a.example.org"}));
  EXPECT_TRUE(allowed(&Role::allowed_names, {"web@*"}));
  EXPECT_FALSE(allowed(&Role::allowed_names, {"spiffe*", "ops"}));
}

TEST_F(RoleTest, ListsAreAllToBeMet) {
  Role role;
  role.allowed_common_names = {"web"};
  role.allowed_dns_sans = {"c.example.org"};
  EXPECT_FALSE(allows(role, facts_));
  role.allowed_dns_sans = {"a.example.org"};
  EXPECT_TRUE(allows(role, facts_));
  facts_.info.dns_names.clear();
  EXPECT_FALSE(allows(role, facts_));
}

TEST_F(RoleTest, AllRequiredExtensionsMustBeThere) {
  EXPECT_TRUE(allowed(&Role::required_extensions, {"1.2.3.4:a"}));
  EXPECT_TRUE(allowed(&Role::required_extensions, {"1.2.3.4:*", "1.2.3.5:*"}));
  EXPECT_FALSE(allowed(&Role::required_extensions, {"1.2.3.4:a", "1.2.3.6:*"}));
  EXPECT_FALSE(allowed(&Role::required_extensions, {"1.2.3.4:b"}));
  EXPECT_TRUE(allowed(&Role::required_extensions, {"hex:1.2.3.4:0C01*"}));
  EXPECT_FALSE(allowed(&Role::required_extensions, {"hex:1.2.3.5:0c*"}));
  EXPECT_FALSE(allowed(&Role::required_extensions, {"nonsense"}));  // an older row: nobody
}

}  // namespace
}  // namespace rekey::auth::cert
