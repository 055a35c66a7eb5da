// Time limits: slow, silent and unreading clients are cut off, and others don't notice.
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "net/server.h"
#include "net/testing/certificates.h"
#include "net/testing/raw_client.h"
#include "net/testing/scripted_server.h"

namespace rekey::net {
namespace {

using std::chrono::milliseconds;
using testing::eventually;
using testing::RawClient;
using testing::ScriptedServer;

const std::string kGet = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";

class ServerLimitsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }
  ServerLimitsTest() {
    HttpTimeouts& timeouts = options_.listeners[0].timeouts;
    timeouts.handshake = timeouts.read_header = timeouts.idle = milliseconds(300);
    timeouts.write = timeouts.request = milliseconds(300);
    timeouts.read = milliseconds(600);
  }
  ServerOptions options_ = testing::plain_options();
};

TEST_F(ServerLimitsTest, ASlowHeadIsRefused) {
  ScriptedServer server(options_);
  RawClient client(server.address());
  ASSERT_TRUE(client.send("GET /echo HTTP/1.1\r\nHost: x\r\n"));
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 100 && client.send("A: b\r\n"); i++) {  // slow loris
    std::this_thread::sleep_for(milliseconds(20));
    if (std::chrono::steady_clock::now() - began > milliseconds(700)) break;
  }
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
  ASSERT_EQ(server.malformed().size(), 1u);
  EXPECT_EQ(server.malformed()[0].status, 408);
  EXPECT_EQ(server->statistics().timeouts, 1u);
}

TEST_F(ServerLimitsTest, ASlowBodyIsRefused) {
  ScriptedServer server(options_);
  RawClient client(server.address());
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"));
  const auto began = std::chrono::steady_clock::now();
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(450));  // not the head's limit
}

TEST_F(ServerLimitsTest, AnIdleConnectionIsClosedWithoutAWord) {
  ScriptedServer server(options_);
  RawClient silent(server.address()), used(server.address());
  ASSERT_TRUE(used.ask(kGet));
  EXPECT_TRUE(silent.closes());
  EXPECT_TRUE(used.closes());
  EXPECT_TRUE(server.malformed().empty());
  EXPECT_EQ(server->statistics().timeouts, 0u);
}

TEST_F(ServerLimitsTest, AHandshakeThatDoesNotEndIsCutOff) {
  const testing::TemporaryFolder folder;
  const testing::TestCa ca(folder);
  ServerOptions options = testing::tls_options(ca.issue("server", "x"));
  options.listeners[0].timeouts = options_.listeners[0].timeouts;
  ScriptedServer server(options);
  RawClient client(server.address());
  ASSERT_TRUE(client.send("\x16\x03\x01"));
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(server->statistics().timeouts, 1u);
}

TEST_F(ServerLimitsTest, AClientThatReadsNothingIsCutOffAndHoldsNobodyUp) {
  ScriptedServer server(options_);
  RawClient deaf(server.address());
  ASSERT_TRUE(deaf.send("GET /bytes?30000000 HTTP/1.1\r\nHost: x\r\n\r\n"));
  // It goes on sending, and nobody takes that in: what the sockets hold is all.
  const std::string flood = kGet + kGet + kGet + kGet;
  RawClient other(server.address());
  for (int i = 0; i < 20; i++) {
    deaf.send_what_fits(flood);
    EXPECT_TRUE(other.ask(kGet));
  }
  EXPECT_TRUE(eventually([&] { return server->statistics().timeouts > 0; }));
  EXPECT_EQ(server->statistics().timeouts, 1u);
  EXPECT_EQ(server->statistics().requests, 21u);
}

TEST_F(ServerLimitsTest, ASlowReaderGetsEverything) {
  options_.listeners[0].timeouts.write = milliseconds(20'000);
  options_.listeners[0].timeouts.idle = milliseconds(20'000);
  ScriptedServer server(options_);
  RawClient client(server.address());
  ASSERT_TRUE(client.send("GET /bytes?20000000 HTTP/1.1\r\nHost: x\r\n\r\n"));
  std::this_thread::sleep_for(milliseconds(200));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body.size(), 20'000'000u);
  EXPECT_TRUE(client.ask(kGet));
}

TEST_F(ServerLimitsTest, ARequestThatIsNotAnsweredInTimeIsAnsweredForTheHandler) {
  ScriptedServer server(options_);
  RawClient client(server.address());
  ASSERT_TRUE(client.send("POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nkept"));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  client.end_sending();
  EXPECT_TRUE(client.closes());
  server.release();  // too late, and harmless
  RawClient next(server.address());
  EXPECT_TRUE(next.ask(kGet));
}

}  // namespace
}  // namespace rekey::net
