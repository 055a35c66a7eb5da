#include "api/vault/cors.h"

#include <gtest/gtest.h>

namespace rekey::api::vault {
namespace {

struct Page {
  std::vector<net::Header> headers;
  net::Request request(std::string_view method = "GET") {
    net::Request http;
    http.method = method;
    http.headers = headers;
    return http;
  }
};

const pipeline::Cors kOne{{"https://one.example", "https://two.example"},
                          {"X-Vault-Token", "X-Own"}};

TEST(Cors, SaysNothingWhereOffOrWithoutAPage) {
  Page page{{{"Origin", "https://one.example"}}};
  EXPECT_TRUE(judge_origin(nullptr, page.request()).headers.empty());
  EXPECT_FALSE(judge_origin(nullptr, page.request()).refused);
  Page program;
  EXPECT_TRUE(judge_origin(&kOne, program.request()).headers.empty());
  EXPECT_FALSE(judge_origin(&kOne, program.request()).refused);
}

TEST(Cors, TakesTheOriginsOfTheListOnly) {
  Page page{{{"Origin", "https://two.example"}}};
  EXPECT_EQ(judge_origin(&kOne, page.request()).headers,
            "Access-Control-Allow-Origin: https://two.example\r\nVary: Origin\r\n");
  for (std::string_view other :
       {"https://three.example", "https://one.example.evil", "http://one.example", "null", "*",
        "https://one.example\r\nX: y"}) {
    Page stranger{{{"Origin", other}}};
    const CorsVerdict verdict = judge_origin(&kOne, stranger.request());
    EXPECT_TRUE(verdict.refused) << other;
    EXPECT_TRUE(verdict.headers.empty()) << other;
  }
}

TEST(Cors, AnyOriginNeverRepeatsWhatThePageSent) {
  const pipeline::Cors any{{"*"}, {}};
  Page page{{{"Origin", "https://one.example\r\nX: y"}}};
  EXPECT_EQ(judge_origin(&any, page.request()).headers,
            "Access-Control-Allow-Origin: *\r\nVary: Origin\r\n");
}

TEST(Cors, AnswersPreflights) {
  Page page{{{"Origin", "https://one.example"}, {"Access-Control-Request-Method", "LIST"}}};
  const CorsVerdict verdict = judge_origin(&kOne, page.request("OPTIONS"));
  EXPECT_TRUE(verdict.preflight);
  EXPECT_NE(verdict.headers.find("Access-Control-Allow-Headers: X-Vault-Token,X-Own\r\n"),
            std::string::npos);
  EXPECT_FALSE(judge_origin(&kOne, page.request("LIST")).preflight);
  Page odd{{{"Origin", "https://one.example"}, {"Access-Control-Request-Method", "BREW"}}};
  EXPECT_FALSE(judge_origin(&kOne, odd.request("OPTIONS")).preflight);
}

}  // namespace
}  // namespace rekey::api::vault
