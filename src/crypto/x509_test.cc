#include "crypto/x509.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <memory>

#include "base/clock.h"
#include "base/random.h"

namespace rekey::crypto {
namespace {

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

class X509Test : public ::testing::Test {
 protected:
  CertifiedKey authority() {
    auto made = make_certificate_authority("Rekey test CA", clock_.wall(), 3650, random_);
    EXPECT_TRUE(made.has_value());
    return std::move(*made);
  }

  static Certificate load(const std::string& pem) {
    BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    Certificate certificate(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr), &X509_free);
    BIO_free(bio);
    return certificate;
  }

  // As a TLS client does it: the chain, the purpose, the time and the name.
  int verify(const std::string& authority_pem, const std::string& pem, const char* host,
             base::WallTime at) {
    const Certificate root = load(authority_pem);
    const Certificate leaf = load(pem);
    X509_STORE* store = X509_STORE_new();
    X509_STORE_add_cert(store, root.get());
    X509_STORE_CTX* context = X509_STORE_CTX_new();
    X509_STORE_CTX_init(context, store, leaf.get(), nullptr);
    X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_time(
        param, std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count());
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) != 1) {
      X509_VERIFY_PARAM_set1_host(param, host, 0);
    }
    X509_verify_cert(context);
    const int error = X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return error;
  }

  base::FakeClock clock_;
  base::SeededRandom random_{8};
};

TEST_F(X509Test, IssuesWhatOpensslAccepts) {
  const CertifiedKey ca = authority();
  const ServerCertificateRequest request{.common_name = "rekey",
                                         .dns_names = {"localhost", "*.example.org"},
                                         .ip_addresses = {"127.0.0.1", "::1"},
                                         .valid_days = 30};
  const auto issued = issue_server_certificate(ca, request, clock_.wall(), random_);
  ASSERT_TRUE(issued.has_value());
  const std::string& pem = issued->certificate_pem;
  const base::WallTime now = clock_.wall();
  EXPECT_EQ(verify(ca.certificate_pem, pem, "localhost", now), X509_V_OK);
  EXPECT_EQ(verify(ca.certificate_pem, pem, "a.example.org", now), X509_V_OK);
  EXPECT_EQ(verify(ca.certificate_pem, pem, "127.0.0.1", now), X509_V_OK);
  EXPECT_EQ(verify(ca.certificate_pem, pem, "::1", now), X509_V_OK);
  EXPECT_EQ(verify(ca.certificate_pem, pem, "example.com", now), X509_V_ERR_HOSTNAME_MISMATCH);
  EXPECT_EQ(verify(ca.certificate_pem, pem, "localhost", now + std::chrono::days(31)),
            X509_V_ERR_CERT_HAS_EXPIRED);
  EXPECT_EQ(verify(ca.certificate_pem, pem, "localhost", now - std::chrono::minutes(50)),
            X509_V_OK);
  EXPECT_NE(verify(authority().certificate_pem, pem, "localhost", now), X509_V_OK);
}

TEST_F(X509Test, ReadsWhatItIssued) {
  const CertifiedKey ca = authority();
  const auto issued = issue_server_certificate(ca,
                                               {.common_name = "näme",
                                                .dns_names = {"localhost"},
                                                .ip_addresses = {"127.0.0.1", "::1"},
                                                .valid_days = 30},
                                               clock_.wall(), random_);
  ASSERT_TRUE(issued.has_value());
  const auto info = parse_certificate_pem(issued->certificate_pem);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->common_name, "näme");
  EXPECT_EQ(info->subject, "CN=näme");
  EXPECT_EQ(info->issuer, "CN=Rekey test CA");
  EXPECT_EQ(info->dns_names, std::vector<std::string>{"localhost"});
  EXPECT_EQ(info->ip_addresses, (std::vector<std::string>{"127.0.0.1", "::1"}));
  EXPECT_EQ(info->not_after, clock_.wall() + std::chrono::days(30));
  EXPECT_EQ(info->not_before, clock_.wall() - std::chrono::hours(1));
  EXPECT_EQ(info->serial_hex.size(), 32u);
  EXPECT_EQ(info->fingerprint_sha256_hex.size(), 64u);
  EXPECT_FALSE(info->is_authority);
  EXPECT_TRUE(parse_certificate_pem(ca.certificate_pem)->is_authority);
}

TEST_F(X509Test, RefusesNamesThatAreNone) {
  const CertifiedKey ca = authority();
  const auto refused = [&](ServerCertificateRequest request) {
    return !issue_server_certificate(ca, request, clock_.wall(), random_).has_value();
  };
  EXPECT_TRUE(refused({.common_name = "", .dns_names = {}, .ip_addresses = {}}));
  EXPECT_TRUE(refused({.common_name = "a", .dns_names = {"b,DNS:c"}, .ip_addresses = {}}));
  EXPECT_TRUE(refused({.common_name = "a", .dns_names = {""}, .ip_addresses = {}}));
  EXPECT_TRUE(refused({.common_name = "a", .dns_names = {}, .ip_addresses = {"1.2.3"}}));
  EXPECT_TRUE(refused({.common_name = std::string(65, 'a'), .dns_names = {}, .ip_addresses = {}}));
  EXPECT_TRUE(refused({.common_name = "a", .dns_names = {}, .ip_addresses = {}, .valid_days = 0}));
  EXPECT_FALSE(refused({.common_name = "a", .dns_names = {}, .ip_addresses = {}}));
}

TEST_F(X509Test, RefusesAKeyThatIsNotTheAuthoritys) {
  CertifiedKey mixed = authority();
  mixed.private_key_pem = authority().private_key_pem.clone();
  const ServerCertificateRequest request{.common_name = "a", .dns_names = {}, .ip_addresses = {}};
  EXPECT_FALSE(issue_server_certificate(mixed, request, clock_.wall(), random_).has_value());
}

TEST_F(X509Test, RefusesWhatIsNoCertificate) {
  EXPECT_FALSE(parse_certificate_pem("").has_value());
  EXPECT_FALSE(parse_certificate_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
                   .has_value());
  EXPECT_FALSE(parse_certificate_der("").has_value());
  EXPECT_FALSE(parse_certificate_der("0\x82").has_value());
}

}  // namespace
}  // namespace rekey::crypto
