// Keys of identity tokens through the whole server: they rotate though nobody asks for a token.
#include <gtest/gtest.h>

#include "app/testing/harness.h"
#include "storage/memory_store.h"

namespace rekey::app {
namespace {

using base::Json;
using testing::Harness;

class OidcTest : public ::testing::Test {
 protected:
  OidcTest() : server_(store_) {
    server_.set_up();
    must("identity/oidc/key/k",
         R"({"algorithm":"EdDSA","rotation_period":"1h","verification_ttl":"30m"})");
    must("identity/oidc/role/r", R"({"key":"k","ttl":"10m"})");
  }
  void must(const std::string& path, const std::string& body) {
    auto answer = server_.write(path, body);
    ASSERT_TRUE(answer) << path << ": " << answer.error().describe();
  }
  // The ids of the pairs that are shown: the one that signs, the next, the old ones.
  std::vector<std::string> shown() {
    std::vector<std::string> ids;
    auto answer = server_.ask({.path = "identity/oidc/.well-known/keys"});
    EXPECT_TRUE(answer);
    if (!answer) return ids;
    const auto data = Json::parse(answer->data);
    for (const Json& key : *data->find("keys")->as_array()) ids.push_back(key.string_or("kid", ""));
    return ids;
  }
  void pass(base::Duration time) {
    server_.clock().advance(time);
    server_.removal().run_due();
  }

  storage::MemoryStore store_;
  Harness server_;
};

TEST_F(OidcTest, KeysRotateByThemselves) {
  const auto first = shown();
  ASSERT_EQ(first.size(), 2u);
  pass(std::chrono::minutes(59));
  EXPECT_EQ(shown(), first);
  pass(std::chrono::minutes(1));
  const auto second = shown();
  ASSERT_EQ(second.size(), 3u);
  EXPECT_EQ(second[0], first[1]);  // what was shown as the next signs
  EXPECT_EQ(second[2], first[0]);  // what signed is shown for its time
  pass(std::chrono::minutes(29));
  EXPECT_EQ(shown(), second);
  pass(std::chrono::minutes(1));
  EXPECT_EQ(shown(), (std::vector<std::string>{second[0], second[1]}));
  // A server that slept for a week rotates once.
  pass(std::chrono::hours(168));
  const auto third = shown();
  ASSERT_EQ(third.size(), 3u);
  EXPECT_EQ(third[0], second[1]);
}

TEST_F(OidcTest, ManyRotationsAreBounded) {
  int done = 0;
  while (done < 200 && server_.write("identity/oidc/key/k/rotate", "{}")) done++;
  EXPECT_EQ(done, 64);
  pass(std::chrono::minutes(31));
  EXPECT_TRUE(server_.write("identity/oidc/key/k/rotate", "{}"));
}

}  // namespace
}  // namespace rekey::app
