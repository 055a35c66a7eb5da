#include "auditdev/line.h"

#include <gtest/gtest.h>

#include "crypto/digest.h"

namespace rekey::auditdev {
namespace {

using base::Json;
using logical::Operation;

class LineTest : public ::testing::Test {
 protected:
  LineTest() : hasher_(base::SecretBytes::copy_of(std::string(kSaltBytes, 's'))) {
    request_.id = "an-id";
    request_.path = "plain/a";
    request_.received = base::WallTime(std::chrono::seconds(1'790'000'000));
  }

  Options options(std::map<std::string, std::string> texts = {}) {
    texts["file_path"] = "discard";
    auto parsed = parse_options("file", texts);
    EXPECT_TRUE(parsed);
    return std::move(*parsed);
  }
  // The request line for a body.
  Json line(const std::string& body, const Options& options) {
    request_.data = *Json::parse(body, {.depth_max = 500});
    const RequestFacts facts{.request = request_, .operation = Operation::kUpdate};
    const LineStyle style{options, hasher_};
    const std::string text = request_line(line_middle(facts, style), request_.received, "", style);
    EXPECT_TRUE(text.ends_with("}\n"));
    EXPECT_EQ(text.find('\n'), text.size() - 1);
    auto json = Json::parse(text, {.depth_max = 500});
    EXPECT_TRUE(json) << text;
    return json ? std::move(*json) : Json();
  }
  static std::string data_of(const Json& line) {
    const Json* data = line.find("request")->find("data");
    return data == nullptr ? "absent" : data->dump();
  }

  audit::Hasher hasher_;
  logical::Request request_;
};

TEST_F(LineTest, HashesStringsAndLeavesNumbersBooleansAndTimes) {
  const Json made =
      line(R"({"s":"x","n":1.50,"b":true,"z":null,"l":["x",2],"e":"","t":"2026-01-01T00:00:00Z",)"
           R"("almost":"2026-01-01T00:00:00"})",
           options());
  const std::string x = hasher_.hash("x");
  EXPECT_EQ(data_of(made), R"({"almost":")" + hasher_.hash("2026-01-01T00:00:00") +
                               R"(","b":true,"e":")" + hasher_.hash("") + R"(","l":[")" + x +
                               R"(",2],"n":1.50,"s":")" + x +
                               R"(","t":"2026-01-01T00:00:00Z","z":null})");
}

// What OpenBao 2.7.2 wrote under a salt can be made again by anyone who has the salt: HMAC-SHA256
// of the string's bytes.
TEST_F(LineTest, AHashIsPlainHmacSha256) {
  EXPECT_EQ(hasher_.hash("x").size(), std::string_view("hmac-sha256:").size() + 64);
  const crypto::HmacSha256 mac(base::SecretBytes::copy_of(std::string(kSaltBytes, 's')));
  EXPECT_EQ(hasher_.mac("x"), mac.mac("x"));
}

TEST_F(LineTest, RawIsRawAndTokensToo) {
  request_.token = "hvs.token";
  const Json made = line(R"({"s":"x<\n"})", options({{"log_raw", "true"}}));
  EXPECT_EQ(data_of(made), R"({"s":"x<\n"})");
  EXPECT_EQ(made.find("request")->string_or("client_token", ""), "hvs.token");
  EXPECT_EQ(line("{}", options()).find("request")->string_or("client_token", ""),
            hasher_.hash("hvs.token"));
}

TEST_F(LineTest, WhatOneLineCostsIsBounded) {
  std::string body = R"({"l":[)";
  for (size_t i = 0; i < kLineLeavesMax; i++) body += "\"secret\",";
  body += "\"secret\"]}";
  const Json made = line(body, options());
  EXPECT_EQ(made.find("request")->find("data")->find("l")->as_array()->size(), kLineLeavesMax);
  EXPECT_EQ(made.find("request")->string_or("data_cut", ""), hasher_.hash(body));
  // As many as are allowed are not cut.
  const std::string fits = body.replace(body.rfind(",\"secret\"]"), 10, "]");
  EXPECT_EQ(line(fits, options()).find("request")->find("data_cut"), nullptr);
}

TEST_F(LineTest, DeepDataIsHashedAsAWhole) {
  const std::string inner = std::string(50, '[') + "\"canary\"" + std::string(50, ']');
  const std::string body =
      R"({"a":)" + std::string(kLineDepthMax, '[') + inner + std::string(kLineDepthMax, ']') + "}";
  const Json made = line(body, options());
  EXPECT_EQ(made.dump().find("canary"), std::string::npos);
  EXPECT_NE(made.dump().find(hasher_.hash(inner)), std::string::npos);
}

TEST_F(LineTest, ATestLineNamesNobody) {
  const Options plain = options({{"prefix", "pre "}});
  const std::string text = test_line("an-id", request_.received, {plain, hasher_});
  EXPECT_EQ(text,
            "pre {\"time\":\"2026-09-21T14:13:20.000000000Z\",\"type\":\"request\",\"auth\":{"
            "\"token_type\":\"default\"},\"request\":{\"id\":\"an-id\",\"operation\":\"update\","
            "\"namespace\":{\"id\":\"root\"},\"path\":\"sys/audit/test\"}}\n");
}

}  // namespace
}  // namespace rekey::auditdev
