// The second factor through the whole server: two requests at once, and what sealing leaves.
#include <gtest/gtest.h>

#include <thread>

#include "app/testing/harness.h"
#include "base/check.h"
#include "crypto/totp.h"
#include "storage/memory_store.h"

namespace rekey::app {
namespace {

using base::Json;
using logical::Operation;
using testing::Ask;
using testing::Harness;

class MfaTest : public ::testing::Test {
 protected:
  MfaTest() : server_(store_) {
    server_.set_up();
    must("sys/auth/approle", R"({"type":"approle"})");
    must("auth/approle/role/r", R"({"role_id":"id","token_policies":"p"})");
    must("auth/approle/role/r/custom-secret-id", R"({"secret_id":"s"})");
    const auto first = login();
    EXPECT_TRUE(first);
    entity_ = first ? first->auth->entity_id : "";
    method_ = member(must("identity/mfa/method/totp", R"({"issuer":"Test"})"), "method_id");
    const std::string url =
        member(must("identity/mfa/method/totp/admin-generate",
                    R"({"method_id":")" + method_ + R"(","entity_id":")" + entity_ + "\"}"),
               "url");
    auto key = crypto::parse_otpauth_url(url);
    REKEY_CHECK(key.has_value());
    key_ = std::move(key->key);
    must("identity/mfa/login-enforcement/e",
         R"({"mfa_method_ids":[")" + method_ + R"("],"auth_method_types":["approle"]})");
  }

  logical::Response must(const std::string& path, const std::string& body) {
    auto answer = server_.write(path, body);
    EXPECT_TRUE(answer) << path << ": " << answer.error().describe();
    return answer ? std::move(*answer) : logical::Response{};
  }
  static std::string member(const logical::Response& response, std::string_view name) {
    const auto data = Json::parse(response.data);
    return data ? data->string_or(name, "") : "";
  }
  Harness::Answer login(std::vector<std::pair<std::string, std::string>> headers = {}) {
    return server_.ask({.operation = Operation::kUpdate,
                        .path = "auth/approle/login",
                        .body = R"({"role_id":"id","secret_id":"s"})",
                        .headers = std::move(headers)});
  }
  // The id under which a login waits.
  std::string wait_for_factor() {
    auto answer = login();
    EXPECT_TRUE(answer && answer->auth && answer->auth->client_token.empty());
    if (!answer || !answer->auth) return {};
    const auto requirement = Json::parse(answer->auth->mfa_requirement);
    return requirement ? requirement->string_or("mfa_request_id", "") : "";
  }
  std::string code(int64_t steps_from_now = 0) const {
    const int64_t now_s =
        std::chrono::floor<std::chrono::seconds>(server_.now()).time_since_epoch().count();
    return crypto::totp_code({}, key_, static_cast<uint64_t>(now_s / 30 + steps_from_now));
  }
  Ask validation(const std::string& id, const std::string& passcode) const {
    return {.operation = Operation::kUpdate,
            .path = "sys/mfa/validate",
            .body = R"({"mfa_request_id":")" + id + R"(","mfa_payload":{")" + method_ + R"(":[")" +
                    passcode + "\"]}}"};
  }

  storage::MemoryStore store_;
  Harness server_;
  std::string entity_, method_;
  base::SecretBytes key_;
};

TEST_F(MfaTest, OfTwoRequestsWithOneCodeOneGetsIn) {
  const std::string first = wait_for_factor(), second = wait_for_factor();
  ASSERT_NE(first, second);
  int in = 0, refused = 0;
  for (const std::string& id : {first, second}) {
    server_.begin(validation(id, code()), [&](Harness::Answer answer) {
      (answer && !answer->auth->client_token.empty() ? in : refused)++;
    });
  }
  server_.pump();
  EXPECT_EQ(in, 1);
  EXPECT_EQ(refused, 1);
}

TEST_F(MfaTest, OneLoginMakesOneTokenHoweverManyCodesAreRight) {
  const std::string id = wait_for_factor();
  int in = 0;
  for (const int64_t step : {-1, 0, 1}) {
    server_.begin(validation(id, code(step)), [&](Harness::Answer answer) {
      in += answer && !answer->auth->client_token.empty();
    });
  }
  server_.pump();
  EXPECT_EQ(in, 1);
  EXPECT_FALSE(server_.ask(validation(id, code(1))));
}

TEST_F(MfaTest, AnOlderCodeThanTheLastIsRefused) {
  const auto first = login({{"x-vault-mfa", method_ + ":" + code(1)}});
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->auth->client_token.empty());
  EXPECT_FALSE(login({{"x-vault-mfa", method_ + ":" + code(0)}}));
  EXPECT_FALSE(login({{"x-vault-mfa", method_ + ":" + code(-1)}}));
}

TEST_F(MfaTest, ManyGuessesAtOnceAreNoMoreThanAFewInARow) {
  // The right code is among the last of fifty: it isn't looked at.
  const std::string right = code();
  int in = 0;
  for (int i = 0; i < 50; i++) {
    const std::string id = wait_for_factor();
    server_.begin(validation(id, i < 40 ? "12345x" : right), [&](Harness::Answer answer) {
      in += answer && !answer->auth->client_token.empty();
    });
  }
  server_.pump();
  EXPECT_EQ(in, 0);
}

// Whatever a validation fails by after its code was looked at, the login and the code are still
// good.
TEST_F(MfaTest, AFailedValidationLetsGoOfTheLogin) {
  const std::string id = wait_for_factor();
  Ask wrapped = validation(id, code());
  wrapped.wrap_ttl = std::chrono::hours(24 * 365);  // more than a wrapping token may have
  EXPECT_FALSE(server_.ask(wrapped));
  const auto answer = server_.ask(validation(id, code()));
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_FALSE(answer->auth->client_token.empty());
}

TEST_F(MfaTest, ALoginWhoseRoleHasOtherPoliciesByNowEnds) {
  const std::string id = wait_for_factor();
  must("auth/approle/role/r", R"({"token_policies":"q"})");
  EXPECT_FALSE(server_.ask(validation(id, code())));
  EXPECT_TRUE(server_.ask(validation(wait_for_factor(), code())));
}

// One right factor of two uses nothing up and forgives no wrong ones.
TEST_F(MfaTest, ARightCodeBesideAWrongOneCountsAsATry) {
  const std::string second =
      member(must("identity/mfa/method/totp", R"({"issuer":"B"})"), "method_id");
  must("identity/mfa/method/totp/admin-generate",
       R"({"method_id":")" + second + R"(","entity_id":")" + entity_ + "\"}");
  must("identity/mfa/login-enforcement/f",
       R"({"mfa_method_ids":[")" + second + R"("],"auth_method_types":["approle"]})");
  const auto both = [&](const std::string& id) {
    return server_.ask({.operation = Operation::kUpdate,
                        .path = "sys/mfa/validate",
                        .body = R"({"mfa_request_id":")" + id + R"(","mfa_payload":{")" + method_ +
                                R"(":[")" + code() + R"("],")" + second + R"(":["12345x"]}})"});
  };
  for (int i = 0; i < 5; i++) EXPECT_FALSE(both(wait_for_factor()));
  const auto limited = server_.ask(validation(wait_for_factor(), code()));
  ASSERT_FALSE(limited);
  EXPECT_TRUE(limited.error().message().contains("maximum TOTP validation attempts"));
}

// Whose second factor is being guessed can be told from the record, without the id being in it.
TEST_F(MfaTest, TheRecordTiesCodesToTheLoginTheyAreFor) {
  const uint64_t before = server_.record().durable_size();
  const std::string id = wait_for_factor();
  EXPECT_FALSE(server_.ask(validation(id, "12345x")));
  while (server_.record().readable_size() < before + 2) std::this_thread::yield();
  const auto shown = [&](uint64_t index) {
    const auto entry = server_.record().entry(index);
    EXPECT_TRUE(entry);
    if (!entry) return std::string();
    EXPECT_FALSE(entry->contains(id));
    constexpr std::string_view kName = R"("mfa_request_id":")";
    const size_t at = entry->find(kName);
    if (at == std::string::npos) return std::string();
    const size_t begin = at + kName.size();
    return entry->substr(begin, entry->find('"', begin) - begin);
  };
  EXPECT_FALSE(shown(before).empty());
  EXPECT_EQ(shown(before), shown(before + 1));
}

TEST_F(MfaTest, SealingEndsWhatWaits) {
  const std::string id = wait_for_factor();
  ASSERT_TRUE(server_.write("sys/seal", "{}"));
  server_.unseal();
  EXPECT_FALSE(server_.ask(validation(id, code())));
  const std::string again = wait_for_factor();
  EXPECT_TRUE(server_.ask(validation(again, code())));
}

TEST_F(MfaTest, ADeletedEntitysKeysGoWithIt) {
  must("identity/entity/batch-delete", R"({"entity_ids":[")" + entity_ + "\"]}");
  // The next login makes a new entity, which has no key.
  EXPECT_FALSE(login({{"x-vault-mfa", method_ + ":" + code()}}));
  const std::string id = wait_for_factor();
  EXPECT_FALSE(server_.ask(validation(id, code())));
}

TEST_F(MfaTest, AMergeTakesTheKeyAlongAndTheEnforcementToo) {
  must("identity/mfa/login-enforcement/e",
       R"({"mfa_method_ids":[")" + method_ + R"("],"identity_entity_ids":[")" + entity_ + "\"]}");
  const std::string other = member(must("identity/entity", R"({"name":"other"})"), "id");
  must("identity/entity/merge",
       R"({"to_entity_id":")" + other + R"(","from_entity_ids":[")" + entity_ + "\"]}");
  // The enforcement's list of methods was kept when only its scope was meant to change.
  const std::string id = wait_for_factor();
  auto answer = server_.ask(validation(id, code()));
  EXPECT_TRUE(answer);
  if (answer) EXPECT_EQ(answer->auth->entity_id, other);
}

}  // namespace
}  // namespace rekey::app
