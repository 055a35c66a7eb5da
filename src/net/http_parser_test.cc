#include "net/http_parser.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "net/request_target.h"

namespace rekey::net {
namespace {

using State = HttpParser::State;

// Gives `bytes` to the parser in pieces of at most `step`.
State feed(HttpParser& parser, std::string_view bytes, size_t step) {
  State state = parser.state();
  while (!bytes.empty() && state == State::kReading) {
    const std::span<char> space = parser.space();
    const size_t count = std::min({step, space.size(), bytes.size()});
    std::memcpy(space.data(), bytes.data(), count);
    bytes.remove_prefix(count);
    state = parser.received(count);
  }
  return state;
}

struct Case {
  std::string name;
  std::string bytes;
  int status;  // 0: complete
  std::string body = "";
};

const std::string kHost = "Host: x\r\n";

std::vector<Case> cases() {
  const std::string get = "GET / HTTP/1.1\r\n" + kHost;
  const std::string post = "POST / HTTP/1.1\r\n" + kHost;
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  return {
      {"plain get", get + "\r\n", 0},
      {"empty line first", "\r\n" + get + "\r\n", 0},
      {"two empty lines first", "\r\n\r\n" + get + "\r\n", 400},
      {"http 1.0 without host", "GET / HTTP/1.0\r\n\r\n", 0},
      {"body", post + "Content-Length: 5\r\n\r\nhello", 0, "hello"},
      {"empty body", post + "Content-Length: 0\r\n\r\n", 0},
      {"get with body", get + "Content-Length: 2\r\n\r\n{}", 0, "{}"},
      {"chunks", chunked + "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 0, "hello!"},
      {"chunk extension", chunked + "5;a=b\r\nhello\r\n0\r\n\r\n", 0, "hello"},
      {"hexadecimal chunk size", chunked + "0000A\r\n0123456789\r\n0\r\n\r\n", 0, "0123456789"},
      {"trailers", chunked + "1\r\nx\r\n0\r\nDigest: y\r\n\r\n", 0, "x"},
      {"upgrade is ignored", get + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 0},
      {"upgrade with body",
       post + "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi", 0, "hi"},
      {"options *", "OPTIONS * HTTP/1.1\r\n" + kHost + "\r\n", 0},
      {"absolute form", "GET http://x:8200/v1/a?b HTTP/1.1\r\n" + kHost + "\r\n", 0},
      {"high bytes in target", "GET /v1/\xc3\xbc HTTP/1.1\r\n" + kHost + "\r\n", 0},
      {"value with white space", get + "X:  \t a b \t\r\n\r\n", 0},
      {"empty value", get + "X:\r\nY: \r\n\r\n", 0},

      {"both lengths", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"both, other order", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
      {"two equal lengths", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
      {"length list", post + "Content-Length: 5, 5\r\n\r\nhello", 400},
      {"negative length", post + "Content-Length: -5\r\n\r\nhello", 400},
      {"plus length", post + "Content-Length: +5\r\n\r\nhello", 400},
      {"hexadecimal length", post + "Content-Length: 0x5\r\n\r\nhello", 400},
      {"empty length", post + "Content-Length:\r\n\r\n", 400},
      {"huge length", post + "Content-Length: 99999999999999999999999\r\n\r\n", 400},
      {"length over the limit", post + "Content-Length: 1001\r\n\r\n", 413},
      {"largest length", post + "Content-Length: 18446744073709551615\r\n\r\n", 413},
      {"gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"chunked, identity", post + "Transfer-Encoding: chunked, identity\r\n\r\n", 400},
      {"xchunked", post + "Transfer-Encoding: xchunked\r\n\r\n", 501},
      {"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"vertical tab before chunked",
       post + "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n",
       400},
      {"chunk size is no number", chunked + "x\r\n", 400},
      {"chunk size 0x5", chunked + "0x5\r\nhello\r\n0\r\n\r\n", 400},
      {"chunk size with space", chunked + "5 \r\nhello\r\n0\r\n\r\n", 400},
      {"chunk size -1", chunked + "-1\r\n", 400},
      {"chunk size overflow", chunked + "ffffffffffffffff0\r\n", 400},
      {"chunk too long for its size", chunked + "5\r\nhelloo\r\n0\r\n\r\n", 400},
      {"chunk ends in LF", chunked + "5\r\nhello\n0\r\n\r\n", 400},
      {"chunk size ends in LF", chunked + "5\nhello\r\n0\r\n\r\n", 400},
      {"last chunk ends in LF", chunked + "5\r\nhello\r\n0\n\r\n", 400},
      {"trailers end in LF", chunked + "5\r\nhello\r\n0\r\n\n", 400},
      {"chunk extension with LF", chunked + "5;a\nb\r\nhello\r\n0\r\n\r\n", 400},
      {"chunks over the limit", chunked + "3e9\r\n" + std::string(1001, 'x') + "\r\n", 413},

      {"obs-fold", get + "X: a\r\n b\r\n\r\n", 400},
      {"obs-fold with tab", get + "X: a\r\n\tb\r\n\r\n", 400},
      {"first header folded", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400},
      {"bare LF after request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", 400},
      {"bare LF after header", "GET / HTTP/1.1\r\nHost: x\n\r\n", 400},
      {"bare LF for the empty line", get + "\n", 400},
      {"bare CR in header", get + "X: a\rb\r\n\r\n", 400},
      {"CR CR LF", get + "X: a\r\r\n\r\n", 400},
      {"NUL in value", get + std::string("X: a\0b\r\n\r\n", 10), 400},
      {"NUL in name", get + std::string("X\0: a\r\n\r\n", 9), 400},
      {"NUL in target", std::string("GET /\0 HTTP/1.1\r\n", 17) + kHost + "\r\n", 400},
      {"NUL first", std::string("\0", 1) + get + "\r\n", 400},
      {"space before colon", get + "X : a\r\n\r\n", 400},
      {"empty name", get + ": a\r\n\r\n", 400},
      {"no colon", get + "X\r\n\r\n", 400},
      {"name with brackets", get + "X(y): a\r\n\r\n", 400},
      {"two hosts", get + "host: y\r\n\r\n", 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},

      {"no version", "GET /\r\n\r\n", 400},
      {"http 2.0", "GET / HTTP/2.0\r\n\r\n", 505},
      {"http 1.2", "GET / HTTP/1.2\r\n\r\n", 505},
      {"h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"lower case version", "GET / http/1.1\r\n\r\n", 400},
      {"version with space", "GET / HTTP/1.1 \r\n" + kHost + "\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"space in target", "GET /a b HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"tab as separator", "GET\t/ HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"leading space", " GET / HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"method with brackets", "G(T / HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"long method", std::string(33, 'A') + " / HTTP/1.1\r\n" + kHost + "\r\n", 501},
      {"authority form", "GET x:80 HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"connect", "CONNECT x:80 HTTP/1.1\r\n" + kHost + "\r\n", 501},
      {"connect with a path", "CONNECT / HTTP/1.1\r\n" + kHost + "\r\n", 501},
      {"star for get", "GET * HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"other scheme", "GET ftp://x/ HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"user in authority", "GET http://u@x/ HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"no authority", "GET http:///a HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"fragment", "GET /a#b HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"delete character", "GET /a\x7f HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"long target", "GET /" + std::string(500, 'a') + " HTTP/1.1\r\n" + kHost + "\r\n", 414},
      {"endless target", "GET /" + std::string(5000, 'a'), 414},
      {"long header", get + "X: " + std::string(3000, 'a') + "\r\n\r\n", 431},
      {"endless header", get + "X: " + std::string(3000, 'a'), 431},
      {"many headers",
       get +
           [] {
             std::string all;
             for (int i = 0; i < 20; i++) all += "a: b\r\n";
             return all;
           }() +
           "\r\n",
       431},
      {"unknown expectation", post + "Expect: miracles\r\nContent-Length: 1\r\n\r\nx", 417},
      {"a TLS hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 13), 400},
  };
}

constexpr HttpLimits kLimits = {
    .body_bytes_max = 1000, .head_bytes_max = 2000, .target_bytes_max = 400, .headers_max = 10};

class HttpParserSteps : public ::testing::TestWithParam<size_t> {};

TEST_P(HttpParserSteps, TakesWhatIsRightAndRefusesWhatIsNot) {
  for (const Case& each : cases()) {
    HttpParser parser;
    parser.set_limits(kLimits);
    const State state = feed(parser, each.bytes, GetParam());
    if (each.status == 0) {
      EXPECT_EQ(state, State::kComplete) << each.name << ": " << parser.refusal().reason;
      if (state == State::kComplete) EXPECT_EQ(parser.request().body, each.body) << each.name;
    } else {
      EXPECT_EQ(state, State::kRefused) << each.name;
      EXPECT_EQ(parser.refusal().status, each.status) << each.name;
      EXPECT_FALSE(parser.refusal().reason.empty()) << each.name;
      EXPECT_FALSE(parser.keep_alive()) << each.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Pieces, HttpParserSteps, ::testing::Values(1, 2, 3, 7, 100'000));

TEST(HttpParser, SplitsARequest) {
  HttpParser parser;
  parser.set_limits(kLimits);
  ASSERT_EQ(feed(parser,
                 "LIST /v1/secret/a%2Fb?list=true&x=? HTTP/1.1\r\nHost: vault:8200\r\n"
                 "X-Vault-Token:  hvs.abc \r\nX-VAULT-request: true\r\n\r\n",
                 5),
            State::kComplete);
  const Request& request = parser.request();
  EXPECT_EQ(request.method, "LIST");
  EXPECT_EQ(request.target, "/v1/secret/a%2Fb?list=true&x=?");
  EXPECT_EQ(request.path, "/v1/secret/a%2Fb");
  EXPECT_EQ(request.query, "list=true&x=?");
  ASSERT_EQ(request.headers.size(), 3u);
  EXPECT_EQ(request.headers[1].name, "X-Vault-Token");
  EXPECT_EQ(request.header("x-vault-token"), "hvs.abc");
  EXPECT_EQ(request.header("x-vault-request"), "true");
  EXPECT_FALSE(request.has_header("x-vault"));
  EXPECT_TRUE(parser.keep_alive());
}

TEST(HttpParser, KnowsTheFormsOfATarget) {
  const auto split = [](std::string_view method, std::string_view target) {
    std::string_view path, query;
    if (!split_request_target(method, target, path, query)) return std::string("refused");
    return std::string(path) + "|" + std::string(query);
  };
  EXPECT_EQ(split("GET", "/"), "/|");
  EXPECT_EQ(split("GET", "/a?"), "/a|");
  EXPECT_EQ(split("GET", "/a?b?c"), "/a|b?c");
  EXPECT_EQ(split("GET", "http://h"), "/|");
  EXPECT_EQ(split("GET", "https://h?q"), "/|q");
  EXPECT_EQ(split("GET", "HTTP://h:1/a/b?q"), "/a/b|q");
  EXPECT_EQ(split("GET", "//a/b"), "//a/b|");
  EXPECT_EQ(split("OPTIONS", "*"), "*|");
  EXPECT_EQ(split("GET", "*"), "refused");
  EXPECT_EQ(split("GET", "a/b"), "refused");
  EXPECT_EQ(split("GET", ""), "refused");
  EXPECT_EQ(split("GET", "/a\tb"), "refused");
}

TEST(HttpParser, FollowsTheRulesOfKeepAlive) {
  const auto keeps = [](std::string_view bytes) {
    HttpParser parser;
    parser.set_limits(kLimits);
    EXPECT_EQ(feed(parser, bytes, 100), State::kComplete);
    return parser.keep_alive();
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: x\r\nConnection: te, Close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_TRUE(keeps("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
}

TEST(HttpParser, ReadsOneRequestAfterTheOther) {
  const std::string one = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string two =
      "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  const std::string three = "POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
  HttpParser parser;
  parser.set_limits(kLimits);
  EXPECT_EQ(feed(parser, one + two + three + "GET /4", 100'000), State::kComplete);
  EXPECT_EQ(parser.request().path, "/1");
  EXPECT_EQ(parser.next_message(), State::kComplete);
  EXPECT_EQ(parser.request().path, "/2");
  EXPECT_EQ(parser.request().body, "abc");
  EXPECT_EQ(parser.next_message(), State::kComplete);
  EXPECT_EQ(parser.request().path, "/3");
  EXPECT_EQ(parser.request().body, "hi");
  EXPECT_EQ(parser.next_message(), State::kReading);
  EXPECT_FALSE(parser.empty());
  EXPECT_EQ(feed(parser, " HTTP/1.1\r\nHost: x\r\n\r\n", 1), State::kComplete);
  EXPECT_EQ(parser.request().path, "/4");
  EXPECT_EQ(parser.next_message(), State::kReading);
  EXPECT_TRUE(parser.empty());
}

TEST(HttpParser, SaysOnceThatTheClientWaitsForContinue) {
  HttpParser parser;
  parser.set_limits(kLimits);
  const std::string head =
      "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
  EXPECT_EQ(feed(parser, head, 1), State::kReading);
  EXPECT_TRUE(parser.head_complete());
  EXPECT_TRUE(parser.take_wants_continue());
  EXPECT_FALSE(parser.take_wants_continue());
  EXPECT_EQ(feed(parser, "hi", 1), State::kComplete);

  HttpParser eager;  // has sent the body already
  eager.set_limits(kLimits);
  EXPECT_EQ(feed(eager, head + "h", 1000), State::kReading);
  EXPECT_FALSE(eager.take_wants_continue());
}

TEST(HttpParser, GrowsWithTheBytesAndNotWithTheDeclaredLength) {
  HttpLimits limits;
  limits.body_bytes_max = 1 << 30;
  HttpParser parser;
  parser.set_limits(limits);
  const std::string head = "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
  EXPECT_EQ(feed(parser, head + std::string(10'000, 'x'), 100'000), State::kReading);
  EXPECT_LT(parser.capacity(), 50'000u);
  parser.clear();
  EXPECT_EQ(parser.capacity(), HttpParser::kInitialBytes);
  EXPECT_TRUE(parser.empty());
}

TEST(HttpParser, KeepsViewsRightWhileTheBufferMoves) {
  HttpLimits limits;
  HttpParser parser;
  parser.set_limits(limits);
  const std::string body(300'000, 'b');
  const std::string bytes =
      "PUT /somewhere HTTP/1.1\r\nHost: x\r\nX-Name: value\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  ASSERT_EQ(feed(parser, bytes, 1000), State::kComplete);
  EXPECT_EQ(parser.request().path, "/somewhere");
  EXPECT_EQ(parser.request().header("x-name"), "value");
  EXPECT_EQ(parser.request().body, body);
}

TEST(HttpParser, BoundsTheFramingOfChunks) {
  HttpParser parser;
  parser.set_limits(kLimits);
  std::string bytes = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;";
  bytes += std::string(100'000, 'e');
  EXPECT_EQ(feed(parser, bytes, 1000), State::kRefused);
  EXPECT_EQ(parser.refusal().status, 413);
}

TEST(HttpParser, WipesAMessageThatWasAnswered) {
  HttpParser parser;
  parser.set_limits(kLimits);
  const char* buffer = parser.space().data();
  const std::string secret = "s3cr3t-t0k3n";
  ASSERT_EQ(
      feed(parser, "GET / HTTP/1.1\r\nHost: x\r\nX-Vault-Token: " + secret + "\r\n\r\n", 9999),
      State::kComplete);
  const std::string_view memory(buffer, HttpParser::kInitialBytes);
  EXPECT_NE(memory.find(secret), std::string_view::npos);
  parser.next_message();
  EXPECT_EQ(memory.find(secret), std::string_view::npos);
}

}  // namespace
}  // namespace rekey::net
