// TLS as the listener offers it: versions, certificates of both sides, reload.
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <fstream>
#include <thread>

#include "net/server.h"
#include "net/testing/certificates.h"
#include "net/testing/raw_client.h"
#include "net/testing/scripted_server.h"

namespace rekey::net {
namespace {

using std::chrono::milliseconds;
using testing::CertificateFiles;
using testing::eventually;
using testing::RawClient;
using testing::ScriptedServer;
using testing::TemporaryFolder;
using testing::TestCa;

const std::string kGet = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";

class ServerTlsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }
  RawClient::Tls trusting() const { return {.ca_file = ca_.ca_file()}; }
  // The server's verdict on a client certificate comes after the client's handshake is done.
  static bool is_served(const std::string& address, const RawClient::Tls& tls) {
    RawClient client(address, tls);
    return client.handshake_done() && client.ask(kGet).has_value();
  }

  TemporaryFolder folder_;
  TestCa ca_{folder_};
  CertificateFiles files_ = ca_.issue("server", "first");
  ServerOptions options_ = testing::tls_options(files_);
  TlsOptions& tls_ = *options_.listeners[0].tls;
};

TEST_F(ServerTlsTest, SpeaksTls13AndOlderOnlyWhereTold) {
  RawClient::Tls old = trusting();
  old.max_version = TLS1_2_VERSION;
  {
    ScriptedServer server(options_);
    EXPECT_TRUE(is_served(server.address(), trusting()));
    EXPECT_FALSE(is_served(server.address(), old));
    EXPECT_TRUE(eventually([&] { return server->statistics().handshakes_failed == 1; }));
  }
  tls_.min_version = TlsVersion::kTls12;
  ScriptedServer server(options_);
  EXPECT_TRUE(is_served(server.address(), old));
  old.max_version = TLS1_1_VERSION;
  EXPECT_FALSE(is_served(server.address(), old));
}

TEST_F(ServerTlsTest, NeitherResumesNorRenegotiates) {
  tls_.min_version = TlsVersion::kTls12;
  ScriptedServer server(options_);
  RawClient::Tls old = trusting();
  old.max_version = TLS1_2_VERSION;
  for (const RawClient::Tls& tls : {trusting(), old}) {
    RawClient client(server.address(), tls);
    ASSERT_TRUE(client.handshake_done());
    ASSERT_TRUE(client.ask(kGet));  // a ticket would have come with this answer
    EXPECT_FALSE(client.session_can_be_resumed());
  }
  RawClient client(server.address(), old);
  ASSERT_TRUE(client.ask(kGet));
  EXPECT_FALSE(client.renegotiates());
  EXPECT_TRUE(is_served(server.address(), trusting()));
}

TEST_F(ServerTlsTest, TakesCipherSuitesByTheirIanaNames) {
  tls_.min_version = TlsVersion::kTls12;
  tls_.cipher_suites = {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"};
  ScriptedServer server(options_);
  EXPECT_TRUE(is_served(server.address(), trusting()));
  tls_.cipher_suites = {"TLS_MADE_UP"};
  base::SystemClock clock;
  const base::Log log(clock, -1);
  const auto refused = Server::start(options_, nullptr, log, clock);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message().contains("TLS_MADE_UP"));
}

TEST_F(ServerTlsTest, HandsTheClientsCertificateToTheHandler) {
  ScriptedServer server(options_);
  EXPECT_TRUE(is_served(server.address(), trusting()));
  EXPECT_TRUE(server.last_peer().tls);
  EXPECT_EQ(server.last_peer().client_certificate_der, "");
  RawClient::Tls with = trusting();
  with.certificate = ca_.issue("client", "alice");
  EXPECT_TRUE(is_served(server.address(), with));
  const std::string der = server.last_peer().client_certificate_der;
  EXPECT_TRUE(der.starts_with("\x30\x82"));
  EXPECT_TRUE(der.contains("alice"));
  // Nobody knows this one's CA; whom it proves is not the listener's question.
  const TemporaryFolder other_folder;
  with.certificate = TestCa(other_folder).issue("client", "stranger");
  EXPECT_TRUE(is_served(server.address(), with));
  EXPECT_TRUE(server.last_peer().client_certificate_der.contains("stranger"));
}

TEST_F(ServerTlsTest, RequiresAndVerifiesAClientCertificateWhereTold) {
  tls_.client_certificates = ClientCertificates::kRequireAndVerify;
  tls_.client_ca_file = ca_.ca_file();
  ScriptedServer server(options_);
  EXPECT_FALSE(is_served(server.address(), trusting()));
  RawClient::Tls with = trusting();
  const TemporaryFolder other_folder;
  with.certificate = TestCa(other_folder).issue("client", "stranger");
  EXPECT_FALSE(is_served(server.address(), with));
  with.certificate = ca_.issue("client", "alice");
  EXPECT_TRUE(is_served(server.address(), with));
}

TEST_F(ServerTlsTest, AsksForNoCertificateWhereTold) {
  tls_.client_certificates = ClientCertificates::kNone;
  ScriptedServer server(options_);
  RawClient::Tls with = trusting();
  with.certificate = ca_.issue("client", "alice");
  EXPECT_TRUE(is_served(server.address(), with));
  EXPECT_EQ(server.last_peer().client_certificate_der, "");
}

TEST_F(ServerTlsTest, ReloadsCertificatesWithoutDroppingConnections) {
  ScriptedServer server(options_);
  RawClient before(server.address(), trusting());
  ASSERT_TRUE(before.handshake_done());
  EXPECT_EQ(before.server_certificate_name(), "first");
  ca_.issue("server", "second");
  ASSERT_TRUE(server->reload_certificates());
  RawClient after(server.address(), trusting());
  ASSERT_TRUE(after.handshake_done());
  EXPECT_EQ(after.server_certificate_name(), "second");
  EXPECT_TRUE(before.ask(kGet));

  std::ofstream(files_.key_file) << "not a key";
  const auto failed = server->reload_certificates();
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().message().contains(files_.key_file));
  RawClient still(server.address(), trusting());
  ASSERT_TRUE(still.handshake_done());
  EXPECT_EQ(still.server_certificate_name(), "second");
}

TEST_F(ServerTlsTest, TellsAPlainHttpClientWhatIsWrong) {
  ScriptedServer server(options_);
  RawClient client(server.address());
  ASSERT_TRUE(client.send(kGet));
  EXPECT_FALSE(client.receive());
  EXPECT_TRUE(client.closes());
  EXPECT_TRUE(eventually([&] { return server->statistics().handshakes_failed == 1; }));
}

TEST_F(ServerTlsTest, SurvivesGarbageInPlaceOfAHandshake) {
  ScriptedServer server(options_);
  for (const std::string& bytes :
       {std::string(100'000, '\0'), std::string("\x16\x03\x01\xff\xff") + std::string(70'000, 'x'),
        std::string("\x80\x2e\x01\x00\x02"), std::string(5, '\xff')}) {
    RawClient client(server.address());
    client.send(bytes);
    client.end_sending();
    EXPECT_TRUE(client.closes());
  }
  EXPECT_TRUE(is_served(server.address(), trusting()));
}

TEST_F(ServerTlsTest, SpreadsARushOfHandshakes) {
  ScriptedServer server(options_);
  std::vector<std::thread> clients;
  std::atomic<int> served = 0;
  for (int i = 0; i < 40; i++) {
    clients.emplace_back([&] { served += is_served(server.address(), trusting()); });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(served, 40);
}

}  // namespace
}  // namespace rekey::net
