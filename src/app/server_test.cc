// The whole server below the network: the promises of the one door.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "app/testing/harness.h"
#include "storage/memory_store.h"
#include "storage/testing/fault_store.h"

namespace rekey::app {
namespace {

using base::ErrorKind;
using logical::Operation;
using testing::Ask;
using testing::Harness;

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : server_(store_) { server_.set_up(); }

  // What the answer says: its data, or the name of its error's kind.
  static std::string said(const Harness::Answer& answer) {
    if (!answer) return std::string(base::kind_name(answer.error().kind()));
    return answer->data;
  }
  static std::string value_of(const Harness::Answer& answer) {
    if (!answer) return std::string(base::kind_name(answer.error().kind()));
    const auto json = base::Json::parse(answer->data);
    const base::Json* data = json ? json->find("data") : nullptr;
    return data == nullptr ? "none" : data->dump();
  }
  std::string policy(const std::string& name, const std::string& rules) {
    const auto body = base::Json(base::JsonObject{{"policy", rules}}).dump();
    EXPECT_TRUE(server_.write("sys/policies/acl/" + name, body));
    return name;
  }

  storage::MemoryStore store_;
  Harness server_;
};

TEST_F(ServerTest, KeepsAndVersionsSecrets) {
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"one"}})"));
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"two"}})"));
  EXPECT_EQ(value_of(server_.read("secret/data/a")), R"({"k":"two"})");
  EXPECT_EQ(value_of(server_.ask(
                {.path = "secret/data/a", .body = R"({"version":"1"})", .token = server_.root()})),
            R"({"k":"one"})");
  EXPECT_EQ(said(server_.read("secret/data/b")), "not-found");
}

TEST_F(ServerTest, CheckAndSetTakesOneOfTwoAtOnce) {
  std::vector<std::string> outcomes;
  for (int i = 0; i < 2; i++) {
    server_.begin(
        {.operation = Operation::kUpdate,
         .path = "secret/data/race",
         .body = R"({"data":{"k":"v"},"options":{"cas":0}})",
         .token = server_.root()},
        [&](Harness::Answer answer) { outcomes.push_back(answer ? "written" : said(answer)); });
  }
  server_.pump();
  std::ranges::sort(outcomes);
  EXPECT_EQ(outcomes, (std::vector<std::string>{"invalid", "written"}));
}

TEST_F(ServerTest, ConcurrentWritesAllBecomeVersions) {
  int written = 0;
  for (int i = 0; i < 10; i++) {
    server_.begin({.operation = Operation::kUpdate,
                   .path = "secret/data/busy",
                   .body = R"({"data":{"k":")" + std::to_string(i) + "\"}}",
                   .token = server_.root()},
                  [&](Harness::Answer answer) { written += answer.has_value(); });
  }
  server_.pump();
  EXPECT_EQ(written, 10);
  EXPECT_NE(said(server_.read("secret/metadata/busy")).find(R"("current_version":10)"),
            std::string::npos);
}

TEST_F(ServerTest, RefusesWithoutAPolicyAndSaysNothingOfWhatExists) {
  const std::string token = server_.make_token({"default"});
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"one"}})"));
  for (const char* path : {"secret/data/a", "secret/data/missing", "nowhere/at/all"}) {
    const auto answer = server_.read(path, token);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind(), ErrorKind::kDenied) << path;
    EXPECT_EQ(answer.error().message(), "permission denied") << path;
  }
  EXPECT_EQ(said(server_.ask({.path = "secret/data/a"})), "unauthenticated");
  EXPECT_EQ(said(server_.read("secret/data/a", "hvs.made-up")), "unauthenticated");
}

TEST_F(ServerTest, APolicyChangeIsInForceWhenItReturned) {
  policy("app", R"(path "secret/data/*" { capabilities = ["read"] })");
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"one"}})"));
  const std::string token = server_.make_token({"app"});
  EXPECT_TRUE(server_.read("secret/data/a", token));
  policy("app", R"(path "secret/data/*" { capabilities = ["deny"] })");
  EXPECT_EQ(said(server_.read("secret/data/a", token)), "denied");
}

TEST_F(ServerTest, RevokingATokenEndsAllBelowItAtOnce) {
  const std::string parent = server_.make_token({"root"}, R"("ttl":"1h")");
  const std::string child = server_.make_token({"root"}, R"("ttl":"1h")", parent);
  const std::string grandchild = server_.make_token({"default"}, "", child);
  ASSERT_TRUE(server_.read("auth/token/lookup-self", grandchild));
  ASSERT_TRUE(server_.write("auth/token/revoke", R"({"token":")" + parent + "\"}"));
  for (const std::string& token : {parent, child, grandchild}) {
    EXPECT_EQ(said(server_.read("auth/token/lookup-self", token)), "unauthenticated");
  }
}

TEST_F(ServerTest, RevokingAnOrphanMakerLeavesItsChildrenAlive) {
  const std::string top = server_.make_token({"root"}, R"("ttl":"1h")");
  const std::string middle = server_.make_token({"root"}, R"("ttl":"1h")", top);
  const std::string bottom = server_.make_token({"default"}, "", middle);
  ASSERT_TRUE(server_.write("auth/token/revoke-orphan", R"({"token":")" + middle + "\"}"));
  EXPECT_EQ(said(server_.read("auth/token/lookup-self", middle)), "unauthenticated");
  EXPECT_TRUE(server_.read("auth/token/lookup-self", bottom));
  // What happens to those above it is no longer its business.
  ASSERT_TRUE(server_.write("auth/token/revoke", R"({"token":")" + top + "\"}"));
  EXPECT_TRUE(server_.read("auth/token/lookup-self", bottom));
}

TEST_F(ServerTest, AChildMadeWhileItsMakerIsRevokedDiesWithIt) {
  storage::MemoryStore memory;
  storage::FaultStore held(memory, 1);
  Harness server(held);
  server.set_up();
  const std::string maker = server.make_token({"root"}, R"("ttl":"1h")");
  // Both have read that there is no child before either commits; the child's commit comes first.
  held.hold_commits(true);
  std::string child;
  server.begin({.operation = Operation::kUpdate,
                .path = "auth/token/create",
                .body = R"({"policies":["default"]})",
                .token = maker},
               [&](Harness::Answer answer) {
                 if (answer && answer->auth) child = answer->auth->client_token;
               });
  bool revoked = false;
  server.begin({.operation = Operation::kUpdate,
                .path = "auth/token/revoke",
                .body = "{\"token\":\"" + maker + "\"}",
                .token = server.root()},
               [&](Harness::Answer answer) { revoked = answer.has_value(); });
  ASSERT_EQ(held.held(), 2u);
  held.hold_commits(false);
  server.pump();
  ASSERT_TRUE(revoked);
  if (!child.empty()) {
    EXPECT_EQ(said(server.read("auth/token/lookup-self", child)), "unauthenticated");
  }
}

TEST_F(ServerTest, ABatchTokenEndsWithItsParent) {
  const std::string parent = server_.make_token({"root"}, R"("ttl":"1h")");
  const std::string batch = server_.make_token({"default"}, R"("type":"batch")", parent);
  EXPECT_TRUE(server_.read("auth/token/lookup-self", batch));
  ASSERT_TRUE(server_.write("auth/token/revoke", R"({"token":")" + parent + "\"}"));
  EXPECT_EQ(said(server_.read("auth/token/lookup-self", batch)), "unauthenticated");
  EXPECT_FALSE(server_.write("auth/token/lookup", R"({"token":")" + batch + "\"}"));
}

// Until an expired token is swept nothing ends its children; a revocation does, and says so.
TEST_F(ServerTest, RevokingAnExpiredTokenEndsAllBelowIt) {
  const std::string parent = server_.make_token({"root"}, R"("ttl":"10s")");
  const std::string child = server_.make_token({"default"}, "", parent);
  const std::string batch = server_.make_token({"default"}, R"("type":"batch")", parent);
  server_.clock().advance(std::chrono::seconds(11));
  ASSERT_EQ(said(server_.read("auth/token/lookup-self", parent)), "unauthenticated");
  ASSERT_TRUE(server_.write("auth/token/revoke", R"({"token":")" + parent + "\"}"));
  EXPECT_EQ(said(server_.read("auth/token/lookup-self", child)), "unauthenticated");
  EXPECT_EQ(said(server_.read("auth/token/lookup-self", batch)), "unauthenticated");
}

TEST_F(ServerTest, ATokenOfTwoUsesIsGoodForTwoRequests) {
  const std::string token = server_.make_token({"default"}, R"("num_uses":2)");
  EXPECT_TRUE(server_.read("auth/token/lookup-self", token));
  EXPECT_EQ(said(server_.read("secret/data/a", token)), "denied");  // a refused one counts too
  EXPECT_EQ(said(server_.read("auth/token/lookup-self", token)), "unauthenticated");
}

TEST_F(ServerTest, ATokenOfOneUseGoesOnceThoughSentTwiceAtOnce) {
  const std::string token = server_.make_token({"default"}, R"("num_uses":1)");
  int served = 0;
  for (int i = 0; i < 4; i++) {
    server_.begin({.path = "auth/token/lookup-self", .token = token},
                  [&](Harness::Answer answer) { served += answer.has_value(); });
  }
  server_.pump();
  EXPECT_EQ(served, 1);
}

TEST_F(ServerTest, TokensExpireAndDoNotReviveWhenTheClockGoesBack) {
  const std::string token = server_.make_token({"default"}, R"("ttl":"10m")");
  server_.clock().advance(std::chrono::minutes(11));
  EXPECT_EQ(said(server_.read("auth/token/lookup-self", token)), "unauthenticated");
  server_.clock().jump_wall(-std::chrono::hours(1));
  EXPECT_EQ(said(server_.read("auth/token/lookup-self", token)), "unauthenticated");
}

TEST_F(ServerTest, AWrappedAnswerIsGivenOnce) {
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"one"}})"));
  auto wrapped = server_.ask(
      {.path = "secret/data/a", .token = server_.root(), .wrap_ttl = std::chrono::minutes(5)});
  ASSERT_TRUE(wrapped && wrapped->wrap);
  EXPECT_TRUE(wrapped->data.empty());
  const std::string token = wrapped->wrap->token;
  EXPECT_EQ(value_of(server_.ask(
                {.operation = Operation::kUpdate, .path = "sys/wrapping/unwrap", .token = token})),
            R"({"k":"one"})");
  EXPECT_FALSE(server_.ask(
      {.operation = Operation::kUpdate, .path = "sys/wrapping/unwrap", .token = token}));
}

TEST_F(ServerTest, ACubbyholeIsItsTokensAlone) {
  const std::string one = server_.make_token({"default"}), other = server_.make_token({"default"});
  ASSERT_TRUE(server_.write("cubbyhole/x", R"({"k":"v"})", one));
  EXPECT_EQ(said(server_.read("cubbyhole/x", one)), R"({"k":"v"})");
  EXPECT_EQ(said(server_.read("cubbyhole/x", other)), "not-found");
  EXPECT_EQ(said(server_.read("cubbyhole/x")), "not-found");  // not even root
}

TEST_F(ServerTest, KvUpgradesInPlace) {
  ASSERT_TRUE(server_.write("plain/a", R"({"k":"old"})"));
  ASSERT_TRUE(server_.write("sys/mounts/plain/tune", R"({"options":{"version":"2"}})"));
  EXPECT_EQ(value_of(server_.read("plain/data/a")), R"({"k":"old"})");
  ASSERT_TRUE(server_.write("plain/data/a", R"({"data":{"k":"new"}})"));
  EXPECT_EQ(value_of(server_.read("plain/data/a")), R"({"k":"new"})");
  EXPECT_EQ(value_of(server_.ask(
                {.path = "plain/data/a", .body = R"({"version":1})", .token = server_.root()})),
            R"({"k":"old"})");
}

TEST_F(ServerTest, EveryRequestIsRecordedAndNoValueIsInTheRecord) {
  const uint64_t before = server_.record().durable_size();
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"canary-value-1"}})"));
  ASSERT_TRUE(server_.read("secret/data/a"));
  ASSERT_FALSE(server_.read("secret/data/a", "hvs.wrong-canary-token"));
  EXPECT_EQ(server_.record().durable_size(), before + 3);
  while (server_.record().readable_size() < before + 3) std::this_thread::yield();
  for (uint64_t i = 0; i < before + 3; i++) {
    const auto entry = server_.record().entry(i);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->find("canary"), std::string::npos) << *entry;
    EXPECT_EQ(entry->find(server_.root()), std::string::npos) << *entry;
  }
}

TEST_F(ServerTest, SealedServesNothing) {
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"one"}})"));
  ASSERT_TRUE(
      server_.ask({.operation = Operation::kUpdate, .path = "sys/seal", .token = server_.root()}));
  EXPECT_EQ(said(server_.read("secret/data/a")), "sealed");
  EXPECT_EQ(said(server_.write("auth/token/create", "{}")), "sealed");
  EXPECT_TRUE(server_.read("sys/seal-status"));
  server_.unseal();
  EXPECT_EQ(value_of(server_.read("secret/data/a")), R"({"k":"one"})");
}

}  // namespace
}  // namespace rekey::app
