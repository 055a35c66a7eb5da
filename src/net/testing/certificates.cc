#include "net/testing/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/check.h"

namespace rekey::net::testing {
namespace {

struct Free {
  void operator()(X509* it) const { X509_free(it); }
  void operator()(EVP_PKEY* it) const { EVP_PKEY_free(it); }
  void operator()(std::FILE* it) const { std::fclose(it); }
  void operator()(X509_EXTENSION* it) const { X509_EXTENSION_free(it); }
};
using Certificate = std::unique_ptr<X509, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;
using File = std::unique_ptr<std::FILE, Free>;

void add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  REKEY_CHECK(extension != nullptr);
  X509_add_ext(certificate, extension.get(), -1);
}

// Signed by `issuer`, or by itself.
Certificate make(EVP_PKEY* key, const std::string& common_name, X509* issuer,
                 EVP_PKEY* issuer_key) {
  static long serial = 1000;
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86400);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509* signer = issuer == nullptr ? certificate.get() : issuer;
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer));
  if (issuer == nullptr) {
    add_extension(certificate.get(), signer, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate.get(), signer, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    add_extension(certificate.get(), signer, NID_subject_alt_name,
                  "DNS:localhost,DNS:" + common_name + ",IP:127.0.0.1");
  }
  REKEY_CHECK(X509_sign(certificate.get(), issuer_key, EVP_sha256()) > 0);
  return certificate;
}

void write(const CertificateFiles& files, X509* certificate, EVP_PKEY* key) {
  const File cert_file(std::fopen(files.cert_file.c_str(), "w"));
  REKEY_CHECK(cert_file && PEM_write_X509(cert_file.get(), certificate) == 1);
  const File key_file(std::fopen(files.key_file.c_str(), "w"));
  REKEY_CHECK(key_file && PEM_write_PrivateKey(key_file.get(), key, nullptr, nullptr, 0, nullptr,
                                               nullptr) == 1);
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string name = std::filesystem::temp_directory_path() / "rekey-net-XXXXXX";
  REKEY_CHECK(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TestCa::TestCa(const TemporaryFolder& folder)
    : folder_(folder), ca_{folder.file("ca.pem"), folder.file("ca.key")} {
  const Key key(EVP_EC_gen("P-256"));
  write(ca_, make(key.get(), "Test CA", nullptr, key.get()).get(), key.get());
}

CertificateFiles TestCa::issue(const std::string& name, const std::string& common_name) const {
  const File ca_file(std::fopen(ca_.cert_file.c_str(), "r"));
  const File ca_key_file(std::fopen(ca_.key_file.c_str(), "r"));
  const Certificate ca(PEM_read_X509(ca_file.get(), nullptr, nullptr, nullptr));
  const Key ca_key(PEM_read_PrivateKey(ca_key_file.get(), nullptr, nullptr, nullptr));
  const Key key(EVP_EC_gen("P-256"));
  CertificateFiles files{folder_.file(name + ".pem"), folder_.file(name + ".key")};
  write(files, make(key.get(), common_name, ca.get(), ca_key.get()).get(), key.get());
  return files;
}

}  // namespace rekey::net::testing
