#include "auth/kubernetes/review.h"

#include <gtest/gtest.h>

namespace rekey::auth::kubernetes {
namespace {

using base::Json;

constexpr const char* kGood = R"({"status":{"authenticated":true,"audiences":["rekey"],
    "user":{"username":"system:serviceaccount:shop:web","uid":"u1"}}})";

TEST(Review, SaysWhoseTheTokenIs) {
  const Account web{.space = "shop", .name = "web", .uid = "u1", .secret_name = ""};
  EXPECT_EQ(*read_review(kGood, {"rekey"}), web);
  EXPECT_EQ(*read_review(kGood, {"other", "rekey"}), web);
  EXPECT_EQ(*read_review(kGood, {}), web);
}

TEST(Review, VouchesForNothingElse) {
  EXPECT_FALSE(read_review(kGood, {"other"}).has_value());
  for (
      const char* answer :
      {"", "[]", "{}", "<html>", R"({"status":{}})", R"({"status":{"authenticated":"true"}})",
       R"({"status":{"authenticated":true}})",
       R"({"status":{"authenticated":true,"user":{"username":"admin","uid":"1"}}})",
       R"({"status":{"authenticated":true,"user":{"username":"system:serviceaccount:a","uid":"1"}}})",
       R"({"status":{"authenticated":true,"user":{"username":"system:serviceaccount:a:b:c","uid":"1"}}})",
       R"({"status":{"authenticated":true,"user":{"username":"system:serviceaccount::b","uid":"1"}}})",
       R"({"status":{"authenticated":true,"user":{"username":"system:serviceaccount:a:b"}}})",
       R"({"status":{"authenticated":true,"error":"x","user":{"username":"system:serviceaccount:a:b","uid":"1"}}})",
       R"({"status":{"authenticated":false,"user":{"username":"system:serviceaccount:a:b","uid":"1"}}})"}) {
    EXPECT_FALSE(read_review(answer, {}).has_value()) << answer;
  }
  // An audience was asked for, and the server is too old to look at audiences.
  EXPECT_FALSE(read_review(R"({"status":{"authenticated":true,
      "user":{"username":"system:serviceaccount:shop:web","uid":"u1"}}})",
                           {"rekey"}));
}

TEST(Review, ReadsBothKindsOfTokens) {
  const auto bound = Json::parse(
      R"({"kubernetes.io":{"namespace":"shop","serviceaccount":{"name":"web","uid":"u1"}}})");
  EXPECT_EQ(account_of(*bound), (Account{"shop", "web", "u1", ""}));
  const auto old = Json::parse(R"({"kubernetes.io/serviceaccount/namespace":"shop",
      "kubernetes.io/serviceaccount/service-account.name":"web",
      "kubernetes.io/serviceaccount/service-account.uid":"u1",
      "kubernetes.io/serviceaccount/secret.name":"web-token"})");
  EXPECT_EQ(account_of(*old), (Account{"shop", "web", "u1", "web-token"}));
  EXPECT_EQ(account_of(*Json::parse(R"({"kubernetes.io":["x"],"sub":"y"})")), Account{});
}

}  // namespace
}  // namespace rekey::auth::kubernetes
