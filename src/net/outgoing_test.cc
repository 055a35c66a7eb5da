// The way out: what may be connected to, and that everything ends.
#include "net/outgoing.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

#include "net/testing/certificates.h"
#include "net/testing/scripted_server.h"

namespace rekey::net {
namespace {

using base::ErrorKind;
using std::chrono::milliseconds;
using testing::CertificateFiles;
using testing::ScriptedServer;
using testing::TemporaryFolder;
using testing::TestCa;

AddressClass class_of(const char* text) {
  IpAddress address;
  EXPECT_TRUE(parse_ip_address(text, address)) << text;
  return classify_address(address);
}

OutgoingRules rules(const std::vector<std::string>& entries) {
  auto parsed = OutgoingRules::parse(entries);
  EXPECT_TRUE(parsed.has_value());
  return std::move(*parsed);
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Takes one connection after the other and writes `start` and then `rest` until the client leaves.
class EndlessServer {
 public:
  EndlessServer(std::string start, std::string rest, milliseconds pause = milliseconds(0)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
    thread_ = std::thread([this, start = std::move(start), rest = std::move(rest), pause] {
      serve(start, rest, pause);
    });
  }
  ~EndlessServer() {
    stop_ = true;
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  const std::string& url() const { return url_; }

 private:
  void serve(const std::string& start, const std::string& rest, milliseconds pause) const {
    while (!stop_) {
      const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      bool open = ::send(client, start.data(), start.size(), MSG_NOSIGNAL) > 0;
      while (open && !stop_) {
        open = ::send(client, rest.data(), rest.size(), MSG_NOSIGNAL) > 0;
        if (pause.count() > 0) std::this_thread::sleep_for(pause);
      }
      close(client);
    }
  }

  int listener_ = -1;
  std::string url_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class OutgoingTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }
  static std::string https(const ScriptedServer& server, const std::string& path) {
    const std::string& address = server.address();
    return "https://localhost" + address.substr(address.rfind(':')) + path;
  }
  static ErrorKind kind_of(const base::Result<ClientResponse>& answer) {
    EXPECT_FALSE(answer.has_value());
    return answer ? ErrorKind::kInternal : answer.error().kind();
  }
  TemporaryFolder folder_;
  TestCa ca_{folder_};
  CertificateFiles files_ = ca_.issue("server", "localhost");
  std::string ca_pem_ = text_of(ca_.ca_file());
};

TEST(OutgoingAddress, IsClassified) {
  for (const char* text :
       {"169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16",
        "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254",
        "fd20:ce::254", "fd00:c1::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe"}) {
    EXPECT_EQ(class_of(text), AddressClass::kForbidden) << text;
  }
  for (const char* text :
       {"127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"}) {
    EXPECT_EQ(class_of(text), AddressClass::kLoopback) << text;
  }
  for (const char* text : {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
                           "fd12:3456::1", "::ffff:10.1.1.1", "64:ff9b::a00:1", "2002:a00:1::"}) {
    EXPECT_EQ(class_of(text), AddressClass::kPrivate) << text;
  }
  for (const char* text : {"1.1.1.1", "172.32.0.1", "192.169.0.1", "100.128.0.1", "2600::1",
                           "::ffff:8.8.8.8", "64:ff9b::808:808"}) {
    EXPECT_EQ(class_of(text), AddressClass::kPublic) << text;
  }
}

TEST(OutgoingRules, WithoutAListPrivateServersAreForOurOwnConfigurationToName) {
  OutgoingRules none;
  EXPECT_TRUE(none.allows("idp.example.org", "93.184.216.34", false));
  EXPECT_TRUE(none.allows("idp.example.org", "93.184.216.34", true));
  EXPECT_TRUE(none.allows("kubernetes.default.svc", "10.96.0.1", false));
  EXPECT_FALSE(none.allows("internal", "10.96.0.1", true));
  EXPECT_FALSE(none.allows("localhost", "127.0.0.1", false));
  EXPECT_FALSE(none.allows("metadata", "169.254.169.254", false));
  EXPECT_FALSE(none.allows("x", "not an address", false));
  none.allow_loopback();
  EXPECT_TRUE(none.allows("localhost", "::1", false));
  EXPECT_FALSE(none.allows("metadata", "169.254.169.254", false));
}

TEST(OutgoingRules, WithAListNothingElse) {
  const OutgoingRules list =
      rules({"IdP.example.org", "*.svc.cluster.local", "10.20.0.0/16", "::1"});
  EXPECT_TRUE(list.allows("idp.example.org", "93.184.216.34", false));
  EXPECT_TRUE(list.allows("IDP.EXAMPLE.ORG.", "10.1.1.1", true));
  EXPECT_TRUE(list.allows("a.svc.cluster.local", "10.96.0.1", true));
  EXPECT_TRUE(list.allows("svc.cluster.local", "10.96.0.1", true));
  EXPECT_TRUE(list.allows("anything", "10.20.3.4", true));
  EXPECT_TRUE(list.allows("anything", "::ffff:10.20.3.4", true));
  EXPECT_TRUE(list.allows("anything", "::1", false));
  EXPECT_FALSE(list.allows("anything", "127.0.0.1", false));
  EXPECT_FALSE(list.allows("evil-idp.example.org", "93.184.216.34", false));
  EXPECT_FALSE(list.allows("idp.example.org.evil.com", "93.184.216.34", false));
  EXPECT_FALSE(list.allows("xsvc.cluster.local", "10.96.0.1", false));
  // A listed name that was made to resolve to a machine's credentials.
  EXPECT_FALSE(list.allows("idp.example.org", "169.254.169.254", false));
  EXPECT_TRUE(rules({"169.254.169.254"}).allows("x", "169.254.169.254", false));
  for (const char* entry : {"", "*", "*.", "https://x", "a b", "x:80", "10.0.0.0/33", "a/b"}) {
    EXPECT_FALSE(OutgoingRules::parse({entry}).has_value()) << entry;
  }
}

TEST(OutgoingUrl, IsHttpWithoutUser) {
  for (const char* url : {"https://a", "https://a.example:8443/x?y=z", "http://10.0.0.1/",
                          "https://[2001:db8::1]/"}) {
    EXPECT_TRUE(check_outgoing_url(url).has_value()) << url;
  }
  for (const std::string& url :
       {std::string(), std::string("a.example"), std::string("ftp://a/"),
        std::string("file:///etc/passwd"), std::string("unix:///run/x.sock"),
        std::string("gopher://a:6379/_SET"), std::string("https://user:secret@a/"),
        std::string("https://user@a/"), std::string("https://"), std::string("https://a\0b/", 12),
        "https://a/" + std::string(kOutgoingUrlBytesMax, 'x')}) {
    EXPECT_FALSE(check_outgoing_url(url).has_value()) << url;
  }
}

TEST_F(OutgoingTest, FetchesOverTlsFromWhatIsAllowed) {
  ScriptedServer server(testing::tls_options(files_));
  const Outgoing outgoing(rules({"localhost"}));
  const auto answer = outgoing.send({.url = https(server, "/bytes?100"), .ca_pem = ca_pem_});
  ASSERT_TRUE(answer.has_value()) << answer.error().describe();
  EXPECT_EQ(answer->body.size(), 100u);
  const auto posted = outgoing.send({.method = "POST",
                                     .url = https(server, "/describe"),
                                     .headers = {{"Authorization", "Bearer t"}},
                                     .body = "{}",
                                     .ca_pem = ca_pem_});
  ASSERT_TRUE(posted.has_value());
  EXPECT_TRUE(posted->body.contains("POST /describe 2")) << posted->body;
  EXPECT_TRUE(posted->body.contains("Authorization: Bearer t"));
  // By another CA's word, or the system's, it is somebody else.
  const TemporaryFolder other_folder;
  const TestCa other(other_folder);
  EXPECT_EQ(
      kind_of(outgoing.send({.url = https(server, "/echo"), .ca_pem = text_of(other.ca_file())})),
      ErrorKind::kUpstream);
  EXPECT_EQ(kind_of(outgoing.send({.url = https(server, "/echo")})), ErrorKind::kUpstream);
}

TEST_F(OutgoingTest, ConnectsToNothingElse) {
  ScriptedServer server;
  const std::string url = "http://" + server.address() + "/echo";
  const std::string port = server.address().substr(server.address().rfind(':'));
  // Ways of writing this machine's address that other programs have fallen for.
  for (const std::string& way :
       {url, "http://localhost" + port + "/", "http://2130706433" + port + "/",
        "http://0x7f.1" + port + "/", "http://127.1" + port + "/",
        "http://[::ffff:127.0.0.1]" + port + "/", "http://0.0.0.0" + port + "/",
        std::string("http://169.254.169.254/latest/meta-data/")}) {
    EXPECT_EQ(kind_of(Outgoing({}).send({.url = way})), ErrorKind::kDenied) << way;
    EXPECT_EQ(kind_of(Outgoing(rules({"idp.example.org"})).send({.url = way})), ErrorKind::kDenied);
  }
  EXPECT_EQ(server->statistics().connections_accepted, 0u);
  EXPECT_EQ(kind_of(Outgoing({}).send({.url = "unix:///run/x.sock"})), ErrorKind::kInvalid);
  EXPECT_TRUE(Outgoing(rules({"127.0.0.0/8"})).send({.url = url}).has_value());
}

TEST_F(OutgoingTest, FollowsFewRedirectsAndOnlyToWhatIsAllowed) {
  ScriptedServer first, second;
  ScriptedServer secure(testing::tls_options(files_));
  const Outgoing outgoing(rules({"127.0.0.1", "localhost"}));
  const std::string base = "http://" + first.address();
  const std::string target = "http://" + second.address() + "/bytes?3";
  const auto hop = [&](const std::string& to) { return base + "/redirect?" + to; };
  EXPECT_EQ(outgoing.send({.url = hop(target)})->body, "bbb");
  EXPECT_EQ(outgoing.send({.url = hop("/bytes?4")})->body, "bbbb");
  EXPECT_EQ(outgoing.send({.url = hop(hop(hop(target)))})->body, "bbb");
  EXPECT_EQ(kind_of(outgoing.send({.url = hop(hop(hop(hop(target))))})), ErrorKind::kUpstream);
  EXPECT_EQ(kind_of(outgoing.send({.url = hop("file:///etc/passwd")})), ErrorKind::kUpstream);
  EXPECT_EQ(kind_of(outgoing.send({.url = hop("unix:///run/x.sock")})), ErrorKind::kUpstream);
  EXPECT_EQ(
      kind_of(outgoing.send({.url = https(secure, "/redirect?" + target), .ca_pem = ca_pem_})),
      ErrorKind::kUpstream)
      << "from https to http";
  EXPECT_EQ(kind_of(outgoing.send({.url = hop("http://169.254.169.254/latest/meta-data/")})),
            ErrorKind::kDenied);
  EXPECT_EQ(kind_of(outgoing.send({.url = hop("http://10.11.12.13/")})), ErrorKind::kDenied);
  // A request that changes something, or carries a secret, goes where it was sent.
  EXPECT_EQ(outgoing.send({.method = "POST", .url = hop(target), .body = "x"})->status, 307);
}

TEST_F(OutgoingTest, EndsWhenTheServerIsSlowEndlessOrLarge) {
  const OutgoingTimes brief{
      .connect = milliseconds(300), .exchange = milliseconds(300), .turn = milliseconds(100)};
  const Outgoing outgoing(rules({"127.0.0.1"}), brief);
  ScriptedServer server;
  const std::string url = "http://" + server.address();
  EXPECT_EQ(kind_of(outgoing.send({.url = url + "/hold"})), ErrorKind::kTimeout);
  EXPECT_EQ(kind_of(outgoing.send({.url = url + "/bytes?2000000"})), ErrorKind::kTooLarge);
  EXPECT_EQ(kind_of(outgoing.send({.url = url + "/bytes?11", .answer_bytes_max = 10})),
            ErrorKind::kTooLarge);
  const std::string head = "HTTP/1.1 200 OK\r\n";
  EXPECT_EQ(
      kind_of(outgoing.send({.url = EndlessServer(head + "\r\n", std::string(4096, 'x')).url()})),
      ErrorKind::kTooLarge);
  EXPECT_EQ(kind_of(outgoing.send({.url = EndlessServer(head, "X-A: b\r\n").url()})),
            ErrorKind::kTooLarge);
  EXPECT_EQ(kind_of(outgoing.send({.url = EndlessServer("HTTP/1.1 100 Continue\r\n\r\n",
                                                        "HTTP/1.1 100 Continue\r\n\r\n")
                                              .url()})),
            ErrorKind::kTooLarge);
  EXPECT_EQ(
      kind_of(outgoing.send({.url = EndlessServer(head + "\r\n", "x", milliseconds(20)).url()})),
      ErrorKind::kTimeout)
      << "a byte now and then";
}

TEST_F(OutgoingTest, ASlowServerKeepsOnlySomeThreads) {
  const Outgoing outgoing(rules({"127.0.0.1"}), {.turn = milliseconds(50)});
  ScriptedServer slow, other;
  std::vector<std::thread> waiting;
  for (size_t i = 0; i < kOutgoingAtOnceMax; i++) {
    waiting.emplace_back(
        [&] { (void)outgoing.send({.url = "http://" + slow.address() + "/hold"}); });
  }
  EXPECT_TRUE(slow.wait_for_held(kOutgoingAtOnceMax));
  EXPECT_EQ(kind_of(outgoing.send({.url = "http://" + slow.address() + "/echo"})),
            ErrorKind::kUnavailable);
  EXPECT_TRUE(outgoing.send({.url = "http://" + other.address() + "/echo"}).has_value());
  slow.release();
  for (std::thread& thread : waiting) thread.join();
  EXPECT_TRUE(outgoing.send({.url = "http://" + slow.address() + "/echo"}).has_value());
}

}  // namespace
}  // namespace rekey::net
