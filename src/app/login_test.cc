// Logins through the whole server: what the script tests can't do, which is two at once.
#include <gtest/gtest.h>

#include <algorithm>

#include "app/testing/harness.h"
#include "storage/memory_store.h"

namespace rekey::app {
namespace {

using base::ErrorKind;
using logical::Operation;
using testing::Ask;
using testing::Harness;

class LoginTest : public ::testing::Test {
 protected:
  LoginTest() : server_(store_) {
    server_.set_up();
    must("sys/auth/approle", R"({"type":"approle"})");
    must("auth/approle/role/r",
         R"({"role_id":"id","token_policies":"p","token_ttl":"1h","token_max_ttl":"2h"})");
    must("auth/approle/role/r/custom-secret-id", R"({"secret_id":"s"})");
    must("sys/policies/acl/p",
         R"({"policy":"path \"secret/data/p\" { capabilities = [\"create\",\"update\"] }"})");
    must("sys/policies/acl/g",
         R"({"policy":"path \"secret/data/g\" { capabilities = [\"create\",\"update\"] }"})");
  }

  void must(const std::string& path, const std::string& body) {
    auto answer = server_.write(path, body);
    ASSERT_TRUE(answer) << path << ": " << answer.error().describe();
  }
  Harness::Answer try_login(const std::string& role_id = "id", const std::string& secret = "s") {
    return server_.ask(
        {.operation = Operation::kUpdate,
         .path = "auth/approle/login",
         .body = R"({"role_id":")" + role_id + R"(","secret_id":")" + secret + "\"}"});
  }
  logical::Auth login() {
    auto answer = try_login();
    EXPECT_TRUE(answer);
    return answer ? *answer->auth : logical::Auth{};
  }
  bool may(const std::string& path, const std::string& token) {
    return server_.write(path, R"({"data":{"k":"v"}})", token).has_value();
  }
  std::string error_of(const Harness::Answer& answer) {
    return answer ? "none" : answer.error().message();
  }

  storage::MemoryStore store_;
  Harness server_;
};

TEST_F(LoginTest, ALoginGetsItsRolesPoliciesAndNoMore) {
  const auto auth = login();
  EXPECT_EQ(auth.policies, (std::vector<std::string>{"default", "p"}));
  EXPECT_EQ(auth.lease_duration_s, 3600);
  EXPECT_TRUE(may("secret/data/p", auth.client_token));
  EXPECT_FALSE(may("secret/data/g", auth.client_token));
}

TEST_F(LoginTest, OfTwoLoginsWithTheLastUseOneIsRefused) {
  must("auth/approle/role/r/custom-secret-id", R"({"secret_id":"once","num_uses":1})");
  int in = 0, refused = 0;
  for (int i = 0; i < 2; i++) {
    server_.begin({.operation = Operation::kUpdate,
                   .path = "auth/approle/login",
                   .body = R"({"role_id":"id","secret_id":"once"})"},
                  [&](Harness::Answer answer) { (answer ? in : refused)++; });
  }
  server_.pump();
  EXPECT_EQ(in, 1);
  EXPECT_EQ(refused, 1);
}

TEST_F(LoginTest, TwoFirstLoginsAtOnceAreOneEntity) {
  std::vector<std::string> entities;
  for (int i = 0; i < 2; i++) {
    server_.begin({.operation = Operation::kUpdate,
                   .path = "auth/approle/login",
                   .body = R"({"role_id":"id","secret_id":"s"})"},
                  [&](Harness::Answer answer) {
                    ASSERT_TRUE(answer);
                    entities.push_back(answer->auth->entity_id);
                  });
  }
  server_.pump();
  ASSERT_EQ(entities.size(), 2u);
  EXPECT_FALSE(entities[0].empty());
  EXPECT_EQ(entities[0], entities[1]);
}

TEST_F(LoginTest, AGroupsPoliciesAreInForceAtOnceAndEndAtOnce) {
  const auto auth = login();
  EXPECT_FALSE(may("secret/data/g", auth.client_token));
  must("identity/group/name/inner", R"({"member_entity_ids":")" + auth.entity_id + "\"}");
  EXPECT_FALSE(may("secret/data/g", auth.client_token));
  must("identity/group/name/inner", R"({"policies":"g"})");
  EXPECT_TRUE(may("secret/data/g", auth.client_token));
  must("identity/group/name/inner", R"({"policies":""})");
  EXPECT_FALSE(may("secret/data/g", auth.client_token));
  // Through a group that the group is in.
  const auto inner = server_.read("identity/group/name/inner");
  const std::string id = base::Json::parse(inner->data)->string_or("id", "");
  must("identity/group/name/outer", R"({"policies":"g","member_group_ids":")" + id + "\"}");
  EXPECT_TRUE(may("secret/data/g", auth.client_token));
  must("identity/group/name/inner", R"({"member_entity_ids":[]})");
  EXPECT_FALSE(may("secret/data/g", auth.client_token));
}

TEST_F(LoginTest, ADisabledOrDeletedEntityIsRefused) {
  const auto auth = login();
  must("identity/entity/id/" + auth.entity_id, R"({"disabled":true})");
  EXPECT_FALSE(may("secret/data/p", auth.client_token));
  EXPECT_EQ(error_of(try_login()), "permission denied");
  must("identity/entity/id/" + auth.entity_id, R"({"disabled":false})");
  EXPECT_TRUE(may("secret/data/p", auth.client_token));
  ASSERT_TRUE(server_.ask({.operation = Operation::kDelete,
                           .path = "identity/entity/id/" + auth.entity_id,
                           .token = server_.root()}));
  EXPECT_FALSE(may("secret/data/p", auth.client_token));
  EXPECT_NE(login().entity_id, auth.entity_id);
}

TEST_F(LoginTest, ABatchTokenHasItsEntitysPoliciesToo) {
  must("sys/auth/approle/tune", R"({"token_type":"batch"})");
  const auto auth = login();
  EXPECT_TRUE(auth.client_token.starts_with("hvb."));
  EXPECT_FALSE(auth.renewable);
  must("identity/entity/id/" + auth.entity_id, R"({"policies":"g"})");
  EXPECT_TRUE(may("secret/data/g", auth.client_token));
  must("identity/entity/id/" + auth.entity_id, R"({"disabled":true})");
  EXPECT_FALSE(may("secret/data/g", auth.client_token));
}

TEST_F(LoginTest, DisablingTheMountEndsItsTokensAndThoseBelowThem) {
  const auto auth = login();
  must("sys/policies/acl/p",
       R"({"policy":"path \"*\" { capabilities = [\"create\",\"update\"] }"})");
  const std::string child = server_.make_token({"p"}, "", auth.client_token);
  EXPECT_TRUE(may("secret/data/p", child));
  ASSERT_TRUE(server_.ask(
      {.operation = Operation::kDelete, .path = "sys/auth/approle", .token = server_.root()}));
  EXPECT_FALSE(may("secret/data/p", auth.client_token));
  EXPECT_EQ(server_.read("auth/token/lookup-self", auth.client_token).has_value(), false);
}

TEST_F(LoginTest, ARenewalAsksTheRoleAndEndsAtItsMaximum) {
  const auto auth = login();
  const auto renew = [&] {
    return server_.write("auth/token/renew-self", "{}", auth.client_token);
  };
  server_.clock().advance(std::chrono::minutes(50));
  EXPECT_EQ(renew()->auth->lease_duration_s, 3600);
  server_.clock().advance(std::chrono::minutes(50));
  EXPECT_EQ(renew()->auth->lease_duration_s, 20 * 60);
  must("auth/approle/role/r", R"({"token_max_ttl":"3h"})");
  EXPECT_EQ(renew()->auth->lease_duration_s, 3600);
  ASSERT_TRUE(server_.ask(
      {.operation = Operation::kDelete, .path = "auth/approle/role/r", .token = server_.root()}));
  EXPECT_EQ(error_of(renew()), "role \"r\" does not exist during renewal");
  EXPECT_TRUE(may("secret/data/p", auth.client_token));
}

TEST_F(LoginTest, ARoleOfTheSameNameDoesntTakeAnOlderOnesSecretIds) {
  ASSERT_TRUE(server_.ask(
      {.operation = Operation::kDelete, .path = "auth/approle/role/r", .token = server_.root()}));
  must("auth/approle/role/r", R"({"role_id":"id"})");
  EXPECT_EQ(error_of(try_login()), "invalid role or secret ID");
}

TEST_F(LoginTest, ExpiredSecretIdsAreRefusedAndSweptAsNewOnesAreMade) {
  must("auth/approle/role/r", R"({"secret_id_ttl":"1m"})");
  must("auth/approle/role/r/custom-secret-id", R"({"secret_id":"short"})");
  EXPECT_TRUE(try_login("id", "short"));
  server_.clock().advance(std::chrono::minutes(1));
  EXPECT_EQ(error_of(try_login("id", "short")), "invalid role or secret ID");
  const auto before = server_.ask({.operation = Operation::kList,
                                   .path = "auth/approle/role/r/secret-id/",
                                   .token = server_.root()});
  must("auth/approle/role/r/custom-secret-id", R"({"secret_id":"next"})");
  const auto after = server_.ask({.operation = Operation::kList,
                                  .path = "auth/approle/role/r/secret-id/",
                                  .token = server_.root()});
  EXPECT_EQ(before->data.size(), after->data.size());  // one went, one came
}

TEST_F(LoginTest, AFailedLoginLeavesNothing) {
  const auto revision = store_.open_reader().value()->revision();
  EXPECT_EQ(error_of(try_login("id", "wrong")), "invalid role or secret ID");
  EXPECT_EQ(error_of(try_login("other", "s")), "invalid role or secret ID");
  EXPECT_EQ(store_.open_reader().value()->revision(), revision);
}

}  // namespace
}  // namespace rekey::app
