// The client against the real server.
#include "net/http_client.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "net/testing/certificates.h"
#include "net/testing/scripted_server.h"

namespace rekey::net {
namespace {

using std::chrono::milliseconds;
using testing::CertificateFiles;
using testing::ScriptedServer;
using testing::TemporaryFolder;
using testing::TestCa;

class HttpClientTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }
  std::string https(const ScriptedServer& server) const {
    const std::string& address = server.address();
    return "https://localhost" + address.substr(address.rfind(':'));
  }
  TemporaryFolder folder_;
  TestCa ca_{folder_};
  CertificateFiles files_ = ca_.issue("server", "vault.internal");
};

TEST_F(HttpClientTest, SendsAnyMethodWithHeadersAndBody) {
  ScriptedServer server;
  HttpClient client({});
  ClientRequest request{.method = "LIST", .url = "http://" + server.address()};
  request.request_path = "/describe?list=true&a=%2F..%2F";
  request.headers = {{"X-Vault-Token", "t"}, {"X-Empty", ""}};
  const auto answer = client.send(request);
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->header("content-type"), "application/json");
  EXPECT_TRUE(answer->body.starts_with("LIST /describe?list=true&a=%2F..%2F 0\n")) << answer->body;
  EXPECT_TRUE(answer->body.contains("\nX-Vault-Token: t"));
  EXPECT_TRUE(answer->body.contains("\nX-Empty:"));
  EXPECT_FALSE(answer->body.contains("Content-Type"));

  request = {.method = "PUT", .url = "http://" + server.address() + "/echo", .body = "{\"k\":1}"};
  const auto put = client.send(request);
  ASSERT_TRUE(put);
  EXPECT_EQ(put->body, "{\"k\":1}");
  request = {.method = "POST", .url = "http://" + server.address() + "/describe"};
  EXPECT_TRUE(client.send(request)->body.starts_with("POST /describe 0"));
  request = {.method = "DELETE", .url = "http://" + server.address() + "/describe", .body = "x"};
  EXPECT_TRUE(client.send(request)->body.starts_with("DELETE /describe 1"));
  request = {.method = "HEAD", .url = "http://" + server.address() + "/bytes?9"};
  const auto head = client.send(request);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->header("content-length"), "9");
  EXPECT_EQ(head->body, "");
  EXPECT_EQ(server->statistics().connections_accepted, 1u);  // it keeps its connection
}

TEST_F(HttpClientTest, GoesThroughTheProxyThatIsNamed) {
  ScriptedServer proxy;
  setenv("no_proxy", "*", 1);
  HttpClient client({.proxy = "http://" + proxy.address()});
  const auto answer = client.send(ClientRequest{.url = "http://vault.invalid:8200/describe"});
  unsetenv("no_proxy");
  ASSERT_TRUE(answer) << answer.error().describe();  // nobody else answers to that name
  EXPECT_TRUE(answer->body.contains("Host: vault.invalid:8200")) << answer->body;
  EXPECT_EQ(proxy->statistics().connections_accepted, 1u);

  HttpClient nobody({.proxy = "http://127.0.0.1:1"});
  ScriptedServer server;
  EXPECT_FALSE(nobody.send(ClientRequest{.url = "http://" + server.address() + "/describe"}));
}

TEST_F(HttpClientTest, HandsUpEveryStatusAsAnAnswer) {
  ScriptedServer server;
  HttpClient client({});
  for (const int status : {204, 400, 403, 404, 412, 429, 473, 500, 503}) {
    ClientRequest request{.url = "http://" + server.address() + "/status?"};
    request.url += std::to_string(status);
    const auto answer = client.send(request);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, status);
    EXPECT_EQ(answer->header("x-extra"), "yes");
  }
}

TEST_F(HttpClientTest, ChecksTheServersCertificate) {
  ScriptedServer server(testing::tls_options(files_));
  const ClientRequest request{.url = https(server) + "/echo"};
  const auto outcome = [&](const ClientTlsOptions& tls) {
    return HttpClient(ClientOptions{.tls = tls}).send(request);
  };
  const auto unknown = outcome({});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), base::ErrorKind::kUpstream);
  EXPECT_TRUE(outcome({.ca_file = ca_.ca_file()}));
  EXPECT_TRUE(outcome({.ca_path = folder_.path()}));
  EXPECT_TRUE(outcome({.skip_verify = true}));
  EXPECT_TRUE(outcome({.ca_file = ca_.ca_file(), .server_name = "vault.internal"}));
  EXPECT_FALSE(outcome({.ca_file = ca_.ca_file(), .server_name = "other.internal"}));
  const auto missing = outcome({.ca_file = "/no/such/file"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), base::ErrorKind::kInvalid);
}

TEST_F(HttpClientTest, ShowsItsCertificate) {
  ScriptedServer server(testing::tls_options(files_));
  const CertificateFiles mine = ca_.issue("client", "operator");
  HttpClient client({.tls = {.ca_file = ca_.ca_file(),
                             .client_cert_file = mine.cert_file,
                             .client_key_file = mine.key_file}});
  ASSERT_TRUE(client.send({.url = https(server) + "/echo"}));
  EXPECT_TRUE(server.last_peer().client_certificate_der.contains("operator"));
}

TEST_F(HttpClientTest, SpeaksOverAUnixSocket) {
  ServerOptions options;
  options.listeners.emplace_back().unix_path = folder_.file("s.sock");
  ScriptedServer server(options);
  HttpClient client({});
  ClientRequest request{.method = "POST", .url = "unix://" + folder_.file("s.sock")};
  request.request_path = "/echo?x";
  request.body = "local";
  const auto answer = client.send(request);
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(answer->body, "local");
}

TEST_F(HttpClientTest, FollowsOneRedirectWhereTold) {
  ScriptedServer plain;
  ScriptedServer secure(testing::tls_options(files_));
  const std::string target = "http://" + plain.address() + "/echo";
  ClientRequest request{.method = "PUT", .url = "http://" + plain.address(), .body = "again"};
  request.request_path = "/redirect?" + target;
  EXPECT_EQ(HttpClient({}).send(request)->status, 307);
  HttpClient client({.tls = {.ca_file = ca_.ca_file()}, .follow_one_307 = true});
  EXPECT_EQ(client.send(request)->body, "again");
  request.request_path = "/redirect?/echo";
  EXPECT_EQ(client.send(request)->body, "again");
  request.request_path = "/redirect?http://" + plain.address() + "/redirect?" + target;
  EXPECT_EQ(client.send(request)->status, 307);  // one, not two
  request.url = https(secure);
  request.request_path = "/redirect?" + target;
  EXPECT_FALSE(client.send(request));  // from https to http
}

TEST_F(HttpClientTest, SaysWhatWentWrong) {
  ScriptedServer server;
  const std::string url = "http://" + server.address();
  HttpClient client({.total_timeout = milliseconds(300), .response_bytes_max = 1000});
  const auto kind_of = [&](const ClientRequest& request) {
    const auto answer = client.send(request);
    EXPECT_FALSE(answer);
    return answer ? base::ErrorKind::kInternal : answer.error().kind();
  };
  EXPECT_EQ(kind_of({.url = url + "/hold"}), base::ErrorKind::kTimeout);
  EXPECT_EQ(kind_of({.url = url + "/bytes?1001"}), base::ErrorKind::kTooLarge);
  EXPECT_EQ(kind_of({.url = url + "/drop"}), base::ErrorKind::kUpstream);
  EXPECT_EQ(kind_of({.url = "http://127.0.0.1:1/"}), base::ErrorKind::kUnavailable);
  EXPECT_EQ(kind_of({.url = "gopher://127.0.0.1/"}), base::ErrorKind::kInvalid);
  EXPECT_EQ(kind_of({.method = "GET /x", .url = url}), base::ErrorKind::kInvalid);
  EXPECT_EQ(kind_of({.url = url, .headers = {{"X-A", "b\r\nX-C: d"}}}), base::ErrorKind::kInvalid);
  EXPECT_EQ(kind_of({.url = url, .headers = {{"X A", "b"}}}), base::ErrorKind::kInvalid);
  EXPECT_TRUE(client.send({.url = url + "/bytes?1000"}));
}

}  // namespace
}  // namespace rekey::net
