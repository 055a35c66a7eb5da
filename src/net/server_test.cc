// The server with a raw client: what is served, in which order, and how it ends.
#include "net/server.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "net/testing/certificates.h"
#include "net/testing/raw_client.h"
#include "net/testing/scripted_server.h"

namespace rekey::net {
namespace {

using std::chrono::milliseconds;
using testing::CertificateFiles;
using testing::eventually;
using testing::RawAnswer;
using testing::RawClient;
using testing::ScriptedServer;
using testing::TemporaryFolder;
using testing::TestCa;

std::string get(const std::string& target, const std::string& headers = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
}

std::string post(const std::string& target, const std::string& body) {
  return "POST " + target +
         " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

class ServerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }  // the client's own writes
  TemporaryFolder folder_;
};

class TlsServerTest : public ServerTest {
 protected:
  TestCa ca_{folder_};
  CertificateFiles files_ = ca_.issue("server", "first");
  ServerOptions options_ = testing::tls_options(files_);
};

TEST_F(ServerTest, AnswersWithVaultsHeaders) {
  ScriptedServer server;
  RawClient client(server.address());
  const auto answer = client.ask(post("/echo", "{\"a\":1}"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->head,
            "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n"
            "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
            "Content-Type: application/json\r\n"
            "Content-Length: 7\r\n");
  EXPECT_EQ(answer->body, "{\"a\":1}");
  EXPECT_EQ(server->statistics().requests, 1u);
  EXPECT_EQ(server->statistics().connections_now, 1u);
}

TEST_F(ServerTest, LeavesTheBodyOutWhereHttpForbidsIt) {
  ScriptedServer server;
  RawClient client(server.address());
  ASSERT_TRUE(client.send("HEAD /bytes?70 HTTP/1.1\r\nHost: x\r\n\r\n"));
  const auto head = client.receive(true);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->header("content-length"), "70");
  const auto empty = client.ask(get("/status?204"));
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->head,
            "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n"
            "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
            "Content-Type: application/json\r\nX-Extra: yes\r\n");
  const auto after = client.ask(post("/echo", "still in step"));
  ASSERT_TRUE(after);
  EXPECT_EQ(after->body, "still in step");
}

TEST_F(ServerTest, TakesAnyMethod) {
  ScriptedServer server;
  RawClient client(server.address());
  for (const std::string method : {"LIST", "HELP", "SCAN", "PATCH", "DELETE", "X-1"}) {
    const auto answer = client.ask(method + " /describe?a=b HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(answer) << method;
    EXPECT_EQ(answer->body, method + " /describe?a=b 0\nHost: x");
  }
}

TEST_F(ServerTest, KeepsOrClosesAsTheVersionAndTheHeadersSay) {
  ScriptedServer server;
  {
    RawClient client(server.address());
    const auto answer = client.ask(get("/echo", "Connection: close\r\n"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header("connection"), "close");
    EXPECT_TRUE(client.closes());
  }
  {
    RawClient client(server.address());
    const auto answer = client.ask("GET /echo HTTP/1.0\r\n\r\n");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header("connection"), "close");
    EXPECT_TRUE(client.closes());
  }
  {
    RawClient client(server.address());
    const auto answer = client.ask("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header("connection"), "keep-alive");
    EXPECT_TRUE(client.ask(get("/close")));
    EXPECT_TRUE(client.closes());
  }
}

TEST_F(TlsServerTest, TakesOneByteAtATime) {
  ScriptedServer server(options_);
  RawClient client(server.address(), {.ca_file = ca_.ca_file()});
  ASSERT_TRUE(client.handshake_done());
  for (const char byte : post("/echo", "slowly")) {
    ASSERT_TRUE(client.send(std::string_view(&byte, 1)));
  }
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "slowly");
}

TEST_F(ServerTest, AnswersPipelinedRequestsInTheirOrder) {
  ScriptedServer server;
  RawClient client(server.address());
  std::string all;
  for (int i = 0; i < 50; i++) {
    all += post(i % 3 == 0 ? "/late" : "/echo", std::to_string(i));
  }
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 50; i++) {
    const auto answer = client.receive();
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->body, std::to_string(i));
  }
}

TEST_F(TlsServerTest, CarriesLargeBodiesBothWays) {
  ScriptedServer server(options_);
  RawClient client(server.address(), {.ca_file = ca_.ca_file()});
  const std::string large(5'000'000, 'L');
  for (int i = 0; i < 2; i++) {
    const auto answer = client.ask(post("/echo", large));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, large);
  }
  const auto small = client.ask(post("/echo", "small"));
  ASSERT_TRUE(small);
  EXPECT_EQ(small->body, "small");
}

TEST_F(ServerTest, RefusesWhatIsMalformedAndTellsTheHandler) {
  ScriptedServer server;
  const std::string both =
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: "
      "chunked\r\n\r\n0\r\n\r\n";
  RawClient client(server.address());
  const auto answer = client.ask(both + get("/smuggled"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 400);
  EXPECT_EQ(answer->header("content-type"), "application/json");
  EXPECT_EQ(answer->header("connection"), "close");
  EXPECT_EQ(answer->body,
            "{\"errors\":[\"Content-Length or Transfer-Encoding is malformed or repeated\"]}\n");
  client.end_sending();
  EXPECT_TRUE(client.closes());
  ASSERT_EQ(server.malformed().size(), 1u);
  EXPECT_EQ(server.malformed()[0].address, "127.0.0.1");
  EXPECT_EQ(server.malformed()[0].status, 400);
  EXPECT_TRUE(server.events().empty());
}

TEST_F(TlsServerTest, LetsTheClientReadWhyItsBodyIsTooLarge) {
  options_.listeners[0].limits.body_bytes_max = 1 << 20;
  ScriptedServer server(options_);
  const std::string large(3 << 20, 'x');
  {
    RawClient client(server.address(), {.ca_file = ca_.ca_file()});
    ASSERT_TRUE(client.send(post("/echo", large)));  // sends it all before it reads
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 413);
  }
  RawClient client(server.address(), {.ca_file = ca_.ca_file()});
  std::string chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 3 * 1024; i++) chunked += "400\r\n" + std::string(1024, 'c') + "\r\n";
  ASSERT_TRUE(client.send(chunked));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
}

TEST_F(ServerTest, SendsContinueBeforeTheBody) {
  ScriptedServer server;
  RawClient client(server.address());
  const auto go_on = client.ask(
      "PUT /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  ASSERT_TRUE(go_on);
  EXPECT_EQ(go_on->status, 100);
  const auto answer = client.ask("hi");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "hi");
  const auto refused = client.ask(
      "PUT /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
      "Content-Length: 99999999999\r\n\r\n");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 413);
}

// The promises of exchange.h: all that has arrived is read before begin_turn(), and end_turn()
// comes when nothing more is at hand.
TEST_F(ServerTest, ReadsEveryRequestOfATurnBeforeItBegins) {
  ScriptedServer server;
  RawClient first(server.address()), second(server.address()), third(server.address());
  ASSERT_TRUE(second.ask(get("/echo")));
  ASSERT_TRUE(third.ask(get("/echo")));
  ASSERT_TRUE(first.send(get("/slow?300")));
  std::this_thread::sleep_for(milliseconds(100));
  ASSERT_TRUE(second.send(get("/a")));
  ASSERT_TRUE(third.send(get("/b")));
  ASSERT_TRUE(first.receive() && second.receive() && third.receive());
  const std::vector<std::string> events = server.events();
  const std::vector<std::string> last(events.end() - 6, events.end());
  const std::vector<std::string> one_way = {"begin",     "handle /slow", "begin",
                                            "handle /a", "handle /b",    "end"};
  const std::vector<std::string> other_way = {"begin",     "handle /slow", "begin",
                                              "handle /b", "handle /a",    "end"};
  EXPECT_TRUE(last == one_way || last == other_way);
}

TEST_F(ServerTest, AnswersFromAnotherThread) {
  ServerOptions options = testing::plain_options();
  options.io_threads = 2;
  ScriptedServer server(options);
  std::atomic<int> right = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; c++) {
    clients.emplace_back([&, c] {
      RawClient client(server.address());
      for (int i = 0; i < 50; i++) {
        const std::string body = std::to_string(c * 1000 + i);
        const auto answer = client.ask(post("/late", body));
        if (answer && answer->body == body) right++;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 400);
  EXPECT_EQ(server->statistics().requests, 400u);
}

TEST_F(ServerTest, ClosesWhereTheExchangeWasDropped) {
  ScriptedServer server;
  RawClient client(server.address());
  ASSERT_TRUE(client.send(get("/drop")));
  EXPECT_FALSE(client.receive());
  EXPECT_TRUE(client.closes());
  RawClient held(server.address());
  ASSERT_TRUE(held.send(get("/hold")));
  ASSERT_TRUE(server.wait_for_held(1));
  server.drop_held();
  EXPECT_TRUE(held.closes());
}

TEST_F(ServerTest, KeepsARequestWhoseClientHasGone) {
  ScriptedServer server;
  RawClient client(server.address());
  ASSERT_TRUE(client.send(post("/hold", "kept")));
  ASSERT_TRUE(server.wait_for_held(1));
  client.reset();
  EXPECT_TRUE(eventually([&] { return server->statistics().connections_now <= 0; }));
  EXPECT_EQ(server->statistics().connections_now, 0u);
  server.release();  // reads the body: the sanitizers would complain
  RawClient next(server.address());
  EXPECT_TRUE(next.ask(get("/echo")));
}

TEST_F(ServerTest, ServesAClientThatHasStoppedSending) {
  ScriptedServer server;
  RawClient client(server.address());
  ASSERT_TRUE(client.send(post("/late", "half closed")));
  client.end_sending();
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "half closed");
  EXPECT_TRUE(client.closes());
}

TEST_F(ServerTest, ServesManyConnections) {
  ScriptedServer server;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 300; i++) clients.push_back(std::make_unique<RawClient>(server.address()));
  for (int round = 0; round < 3; round++) {
    for (const auto& client : clients) ASSERT_TRUE(client->send(get("/echo")));
    for (const auto& client : clients) ASSERT_TRUE(client->receive());
  }
  EXPECT_EQ(server->statistics().connections_now, 300u);
  clients.clear();
  EXPECT_TRUE(eventually([&] { return server->statistics().connections_now <= 0; }));
  EXPECT_EQ(server->statistics().connections_now, 0u);
}

TEST_F(ServerTest, RefusesConnectionsOverTheLimit) {
  ServerOptions options = testing::plain_options();
  options.connections_max = 2;
  ScriptedServer server(options);
  RawClient first(server.address());
  ASSERT_TRUE(first.ask(get("/echo")));
  {
    RawClient second(server.address());
    ASSERT_TRUE(second.ask(get("/echo")));
    RawClient third(server.address());
    EXPECT_TRUE(third.closes());
  }
  EXPECT_TRUE(eventually([&] { return server->statistics().connections_now <= 1; }));
  RawClient fourth(server.address());
  EXPECT_TRUE(fourth.ask(get("/echo")));
  EXPECT_TRUE(first.ask(get("/echo")));
  EXPECT_EQ(server->statistics().connections_refused, 1u);
}

TEST_F(ServerTest, BoundsTheMemoryOfLargeBodies) {
  ServerOptions options = testing::plain_options();
  options.buffered_bytes_max = 3 << 20;
  ScriptedServer server(options);
  RawClient greedy(server.address());
  const std::string head = "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n";
  ASSERT_TRUE(greedy.send(head));
  const std::string piece(100'000, 'x');
  bool open = true;
  for (int i = 0; i < 60 && open; i++) open = greedy.send(piece);
  const auto refused = greedy.receive();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  RawClient modest(server.address());
  EXPECT_TRUE(modest.ask(post("/echo", piece)));  // the greedy one's buffer was given back
}

TEST_F(ServerTest, ServesAUnixSocket) {
  ServerOptions options;
  options.io_threads = 2;
  ListenerOptions& listener = options.listeners.emplace_back();
  listener.unix_path = folder_.file("rekey.sock");
  listener.unix_mode = "660";
  {
    ScriptedServer server(options);
    EXPECT_EQ(server.address(), listener.unix_path);
    struct stat status{};
    ASSERT_EQ(stat(listener.unix_path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0660u);
    for (int i = 0; i < 10; i++) {
      RawClient client(server.address());
      const auto answer = client.ask(post("/echo", "unix"));
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->body, "unix");
      EXPECT_TRUE(server.last_peer().unix_socket);
    }
    base::SystemClock clock;
    const base::Log log(clock, -1);
    const auto second = Server::start(options, nullptr, log, clock);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), base::ErrorKind::kUnavailable);
  }
  struct stat status{};
  EXPECT_NE(stat(listener.unix_path.c_str(), &status), 0);
}

TEST_F(ServerTest, WillNotShareAPortWithAnotherServer) {
  ScriptedServer server;
  ServerOptions options;
  options.listeners.emplace_back().address = server.address();
  base::SystemClock clock;
  const base::Log log(clock, -1);
  const auto second = Server::start(options, nullptr, log, clock);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), base::ErrorKind::kUnavailable);
  EXPECT_TRUE(second.error().message().contains(server.address())) << second.error().describe();
}

TEST_F(ServerTest, SaysWhichOptionIsNonsense) {
  base::SystemClock clock;
  const base::Log log(clock, -1);
  const auto message_of = [&](auto change) {
    ServerOptions options = testing::plain_options();
    change(options);
    const auto server = Server::start(options, nullptr, log, clock);
    EXPECT_FALSE(server);
    return server ? std::string() : server.error().message();
  };
  const auto listener = [](ServerOptions& options) -> ListenerOptions& {
    return options.listeners[0];
  };
  EXPECT_EQ(message_of([](ServerOptions& o) { o.io_threads = 0; }),
            "the number of io threads is from 1 to 256");
  EXPECT_TRUE(message_of([&](auto& o) { listener(o).address = "nothing"; }).contains("host:port"));
  EXPECT_TRUE(message_of([&](auto& o) { listener(o).address = "::1:80"; }).contains("brackets"));
  EXPECT_TRUE(message_of([&](auto& o) {
                listener(o).tls.emplace().cert_file = "/no/such.pem";
              }).contains("/no/such.pem"));
  EXPECT_TRUE(message_of([&](auto& o) {
                listener(o).forwarded.authorized_addresses = {"10.0.0.0/33"};
              }).contains("10.0.0.0/33"));
}

TEST_F(ServerTest, DrainsWithoutLosingAnAnswer) {
  ScriptedServer server;
  RawClient idle(server.address()), busy(server.address());
  ASSERT_TRUE(idle.ask(get("/echo")));
  ASSERT_TRUE(busy.send(post("/hold", "in flight")));
  ASSERT_TRUE(server.wait_for_held(1));
  bool clean = false;
  std::thread draining([&] { clean = server->drain(milliseconds(10'000)); });
  EXPECT_TRUE(idle.closes());
  RawClient late(server.address());
  EXPECT_FALSE(late.connected());
  server.release();
  const auto answer = busy.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "in flight");
  EXPECT_EQ(answer->header("connection"), "close");
  EXPECT_TRUE(busy.closes());
  draining.join();
  EXPECT_TRUE(clean);
}

TEST_F(ServerTest, CutsOffWhatDoesNotDrainInTime) {
  ScriptedServer server;
  RawClient busy(server.address());
  ASSERT_TRUE(busy.send("GET /echo HT"));
  EXPECT_TRUE(eventually([&] { return server->statistics().connections_now == 1; }));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(server->drain(milliseconds(200)));
  EXPECT_TRUE(busy.closes());
}

TEST_F(ServerTest, TakesTheAddressFromATrustedProxyOnly) {
  ServerOptions options = testing::plain_options();
  ForwardedOptions& forwarded = options.listeners[0].forwarded;
  forwarded.authorized_addresses = {"127.0.0.0/8"};
  forwarded.reject_not_present = false;
  options.listeners.push_back(options.listeners[0]);
  options.listeners[1].forwarded.authorized_addresses = {"192.0.2.1"};
  ScriptedServer server(options);
  RawClient trusted(server.addresses()[0]);
  EXPECT_EQ(trusted.ask(get("/address", "X-Forwarded-For: 1.1.1.1, 198.51.100.7\r\n"))->body,
            "198.51.100.7");
  EXPECT_EQ(trusted.ask(get("/address"))->body, "127.0.0.1");
  RawClient other(server.addresses()[1]);
  EXPECT_EQ(other.ask(get("/address", "X-Forwarded-For: 1.1.1.1\r\n"))->status, 400);
}

}  // namespace
}  // namespace rekey::net
