#include "logical/token_params.h"

#include <gtest/gtest.h>

#include "logical/cidr.h"

namespace rekey::logical {
namespace {

constexpr OlderName kOlder[] = {{"policies", "token_policies"}, {"ttl", "token_ttl"}};

base::Result<TokenParams> read(std::string_view body, TokenParams params = {}) {
  RouteTable table;
  table.add({.pattern = "role/{name}", .fields = with_token_fields({}, kOlder)});
  auto data = base::Json::parse(body);
  auto fields = RouteTable::read_fields(table.match("role/a"), *data);
  if (!fields) return std::unexpected(fields.error());
  auto done = read_token_params(*fields, kOlder, params);
  if (!done) return std::unexpected(done.error());
  return params;
}

TEST(TokenParams, AreReadStoredAndShown) {
  auto params = read(
      R"({"token_policies":"B, a","token_ttl":"1h","token_type":"batch",
          "token_bound_cidrs":["10.0.0.0/8"]})");
  ASSERT_TRUE(params);
  EXPECT_EQ(params->policies, (std::vector<std::string>{"B", "a"}));
  EXPECT_EQ(params->ttl_s, 3600);
  EXPECT_EQ(params->kind, TokenKind::kBatch);
  base::JsonObject row;
  store_token_params(*params, row);
  EXPECT_EQ(parse_token_params(base::Json(row)), *params);
}

TEST(TokenParams, AnOlderNameIsShownBesideThePresentOneUntilThatIsUsed) {
  auto params = read(R"({"ttl":"1h"})");
  ASSERT_TRUE(params);
  base::JsonObject row;
  store_token_params(*params, row);
  EXPECT_FALSE(row.contains("ttl"));
  base::JsonObject shown;
  describe_token_params(parse_token_params(base::Json(row)), shown);
  EXPECT_EQ(shown.find("ttl")->as_int(), 3600);
  EXPECT_EQ(shown.find("token_ttl")->as_int(), 3600);
  params = read(R"({"token_ttl":60})", *params);
  EXPECT_TRUE(params->older_names.empty());
}

TEST(TokenParams, WhatCantBeIsRefused) {
  EXPECT_FALSE(read(R"({"token_ttl":100,"token_max_ttl":10})"));
  EXPECT_FALSE(read(R"({"token_ttl":-1})"));
  EXPECT_FALSE(read(R"({"token_num_uses":-1})"));
  EXPECT_FALSE(read(R"({"token_type":"none"})"));
  EXPECT_FALSE(read(R"({"token_type":"batch","token_num_uses":1})"));
  EXPECT_FALSE(read(R"({"token_type":"default-batch","token_period":1})"));
  EXPECT_FALSE(read(R"({"token_bound_cidrs":"10.0.0.0/33"})"));
}

TEST(Cidr, ABlockLiesWithinAWiderOne) {
  EXPECT_TRUE(cidr_within("10.1.0.0/16", {"10.0.0.0/8"}));
  EXPECT_TRUE(cidr_within("10.1.2.3", {"192.168.0.0/16", "10.0.0.0/8"}));
  EXPECT_FALSE(cidr_within("10.0.0.0/7", {"10.0.0.0/8"}));
  EXPECT_FALSE(cidr_within("::1", {"10.0.0.0/8"}));
  EXPECT_FALSE(cidr_within("nonsense", {"0.0.0.0/0"}));
}

}  // namespace
}  // namespace rekey::logical
