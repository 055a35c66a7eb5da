#include "crypto/x509.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <ctime>
#include <memory>

#include "base/check.h"
#include "base/codec.h"
#include "crypto/x509_parts.h"

namespace rekey::crypto {
namespace {

using base::ErrorKind;

constexpr size_t kNamesMax = 100;            // subject alternative names in one certificate
constexpr size_t kSerialBytes = 16;          // RFC 5280 allows 20
constexpr size_t kCommonNameBytesMax = 64;   // ub-common-name of RFC 5280
constexpr long kClockSkewSeconds = 60 * 60;  // between us and who checks a certificate
constexpr long kSecondsPerDay = 24 * 60 * 60;

using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY, EVP_PKEY_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Release<X509_EXTENSION, X509_EXTENSION_free>>;
using AltNames = std::unique_ptr<GENERAL_NAMES, Release<GENERAL_NAMES, GENERAL_NAMES_free>>;
using AltName = std::unique_ptr<GENERAL_NAME, Release<GENERAL_NAME, GENERAL_NAME_free>>;

// OpenSSL leaves its complaints in a queue of the thread, where TLS would find them.
std::unexpected<base::Error> invalid(std::string message,
                                     std::source_location where = std::source_location::current()) {
  char text[256] = {};
  if (const unsigned long code = ERR_get_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof(text));
  }
  ERR_clear_error();
  return base::fail(ErrorKind::kInvalid, std::move(message), text, where);
}

std::string_view contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

Bio reading(std::string_view bytes) {
  Bio bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  REKEY_CHECK(bio != nullptr);
  return bio;
}

Bio writing() {
  Bio bio(BIO_new(BIO_s_secmem()));  // falls back to ordinary memory, which it cleanses
  REKEY_CHECK(bio != nullptr);
  return bio;
}

Key make_p256_key() {
  Key key(EVP_EC_gen("P-256"));
  REKEY_CHECK(key != nullptr);
  return key;
}

// Subject, serial number, times and key; who signs comes later.
base::Result<Certificate> make_unsigned(std::string_view common_name, EVP_PKEY* key,
                                        base::WallTime now, int valid_days, base::Random& random) {
  if (common_name.empty() || common_name.size() > kCommonNameBytesMax) {
    return invalid("a common name has 1 to 64 bytes");
  }
  if (valid_days < 1) return invalid("a certificate is valid for at least one day");
  Certificate certificate(X509_new());
  REKEY_CHECK(certificate != nullptr);
  unsigned char serial[kSerialBytes];
  random.fill(serial);
  serial[0] = (serial[0] & 0x3f) | 0x40;  // positive and always of the same length
  const std::unique_ptr<BIGNUM, Release<BIGNUM, BN_free>> number(
      BN_bin2bn(serial, sizeof(serial), nullptr));
  const time_t start = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(now));
  time_t not_before = start - kClockSkewSeconds;
  time_t not_after = start + valid_days * kSecondsPerDay;
  X509* x = certificate.get();
  bool ok = X509_set_version(x, X509_VERSION_3) == 1;
  ok = ok && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x)) != nullptr;
  ok = ok && X509_time_adj_ex(X509_getm_notBefore(x), 0, 0, &not_before) != nullptr;
  ok = ok && X509_time_adj_ex(X509_getm_notAfter(x), 0, 0, &not_after) != nullptr;
  ok = ok && X509_set_pubkey(x, key) == 1;
  ok = ok && X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                                        reinterpret_cast<const unsigned char*>(common_name.data()),
                                        static_cast<int>(common_name.size()), -1, 0) == 1;
  if (!ok) return invalid("this name or time can't be in a certificate");
  return certificate;
}

// `value` in OpenSSL's own language; only ever a constant of ours.
void add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  REKEY_CHECK(extension != nullptr);
  REKEY_CHECK(X509_add_ext(certificate, extension.get(), -1) == 1);
}

base::Result<CertifiedKey> to_pem(X509* certificate, EVP_PKEY* key) {
  const Bio certificate_bio = writing();
  const Bio key_bio = writing();
  REKEY_CHECK(PEM_write_bio_X509(certificate_bio.get(), certificate) == 1);
  REKEY_CHECK(PEM_write_bio_PKCS8PrivateKey(key_bio.get(), key, nullptr, nullptr, 0, nullptr,
                                            nullptr) == 1);
  return CertifiedKey{.certificate_pem = std::string(contents(certificate_bio.get())),
                      .private_key_pem = base::SecretBytes::copy_of(contents(key_bio.get()))};
}

// Adds one name built by hand: the names come from outside, and OpenSSL's configuration language
// would let a comma in one of them add others.
bool add_alt_name(GENERAL_NAMES* names, int type, std::string_view bytes) {
  AltName name(GENERAL_NAME_new());
  ASN1_STRING* value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
  REKEY_CHECK(name != nullptr && value != nullptr);
  REKEY_CHECK(ASN1_STRING_set(value, bytes.data(), static_cast<int>(bytes.size())) == 1);
  GENERAL_NAME_set0_value(name.get(), type, value);
  if (sk_GENERAL_NAME_push(names, name.get()) == 0) return false;
  (void)name.release();
  return true;
}

bool is_dns_name(std::string_view name) {
  constexpr size_t kDnsNameBytesMax = 253;
  if (name.empty() || name.size() > kDnsNameBytesMax) return false;
  for (const char c : name) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '*' || c == '_';
    if (!allowed) return false;
  }
  return true;
}

base::Result<AltNames> alt_names(const ServerCertificateRequest& request) {
  if (request.dns_names.size() + request.ip_addresses.size() > kNamesMax) {
    return invalid("too many names for one certificate");
  }
  AltNames names(GENERAL_NAMES_new());
  REKEY_CHECK(names != nullptr);
  for (const std::string& dns : request.dns_names) {
    if (!is_dns_name(dns)) return invalid("not a DNS name: " + dns);
    REKEY_CHECK(add_alt_name(names.get(), GEN_DNS, dns));
  }
  for (const std::string& ip : request.ip_addresses) {
    unsigned char address[16];
    size_t size = 0;
    if (inet_pton(AF_INET, ip.c_str(), address) == 1) size = 4;
    if (size == 0 && inet_pton(AF_INET6, ip.c_str(), address) == 1) size = 16;
    if (size == 0) return invalid("not an IP address: " + ip);
    REKEY_CHECK(
        add_alt_name(names.get(), GEN_IPADD, {reinterpret_cast<const char*>(address), size}));
  }
  return names;
}

std::string name_text(const X509_NAME* name) {
  const Bio bio = writing();
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return std::string(contents(bio.get()));
}

std::string common_name_of(X509_NAME* name) {
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return {};
  return utf8_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

std::string address_text(const std::string& bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  if (bytes.size() == 4) inet_ntop(AF_INET, bytes.data(), text, sizeof(text));
  if (bytes.size() == 16) inet_ntop(AF_INET6, bytes.data(), text, sizeof(text));
  return text;
}

void read_alt_names(const X509* certificate, CertificateInfo& info) {
  const AltNames names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); i++) {
    int type = 0;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type);
    const auto* text = static_cast<const ASN1_STRING*>(value);
    if (type == GEN_DNS) info.dns_names.push_back(bytes_of(text));
    if (type == GEN_EMAIL) info.email_addresses.push_back(bytes_of(text));
    if (type == GEN_URI) info.uris.push_back(bytes_of(text));
    if (type == GEN_IPADD) {
      if (std::string address = address_text(bytes_of(text)); !address.empty()) {
        info.ip_addresses.push_back(std::move(address));
      }
    }
  }
}

base::Result<CertificateInfo> describe(X509* certificate) {
  CertificateInfo info;
  info.subject = name_text(X509_get_subject_name(certificate));
  info.issuer = name_text(X509_get_issuer_name(certificate));
  info.common_name = common_name_of(X509_get_subject_name(certificate));
  info.serial_hex = base::hex_encode(bytes_of(X509_get0_serialNumber(certificate)));
  unsigned char fingerprint[32];
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), fingerprint, &size) != 1) {
    return invalid("the certificate can't be hashed");
  }
  info.fingerprint_sha256_hex =
      base::hex_encode({reinterpret_cast<const char*>(fingerprint), sizeof(fingerprint)});
  read_alt_names(certificate, info);
  base::Result<base::WallTime> not_before = wall_time_of(X509_get0_notBefore(certificate));
  if (!not_before) return base::forward(not_before);
  base::Result<base::WallTime> not_after = wall_time_of(X509_get0_notAfter(certificate));
  if (!not_after) return base::forward(not_after);
  info.not_before = *not_before;
  info.not_after = *not_after;
  info.is_authority = X509_check_ca(certificate) == 1;
  ERR_clear_error();  // an extension that OpenSSL couldn't read
  return info;
}

Certificate read_certificate(std::string_view pem) {
  if (pem.size() > INT32_MAX) return nullptr;
  return Certificate(PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr));
}

}  // namespace

base::Result<CertifiedKey> make_certificate_authority(std::string_view common_name,
                                                      base::WallTime now, int valid_days,
                                                      base::Random& random) {
  const Key key = make_p256_key();
  base::Result<Certificate> made = make_unsigned(common_name, key.get(), now, valid_days, random);
  if (!made) return base::forward(made);
  X509* certificate = made->get();
  REKEY_CHECK(X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1);
  add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
  REKEY_CHECK(X509_sign(certificate, key.get(), EVP_sha256()) != 0);
  return to_pem(certificate, key.get());
}

base::Result<CertifiedKey> issue_server_certificate(const CertifiedKey& authority,
                                                    const ServerCertificateRequest& request,
                                                    base::WallTime now, base::Random& random) {
  const Certificate issuer = read_certificate(authority.certificate_pem);
  const Key issuer_key(PEM_read_bio_PrivateKey(reading(authority.private_key_pem.reveal()).get(),
                                               nullptr, &no_password, nullptr));
  if (issuer == nullptr || issuer_key == nullptr) return invalid("the CA can't be read");
  if (X509_check_private_key(issuer.get(), issuer_key.get()) != 1) {
    return invalid("the CA's key isn't its certificate's");
  }
  base::Result<AltNames> names = alt_names(request);
  if (!names) return base::forward(names);
  const Key key = make_p256_key();
  base::Result<Certificate> made =
      make_unsigned(request.common_name, key.get(), now, request.valid_days, random);
  if (!made) return base::forward(made);
  X509* certificate = made->get();
  REKEY_CHECK(X509_set_issuer_name(certificate, X509_get_subject_name(issuer.get())) == 1);
  add_extension(certificate, issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate, issuer.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(certificate, issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(certificate, issuer.get(), NID_subject_key_identifier, "hash");
  add_extension(certificate, issuer.get(), NID_authority_key_identifier, "keyid:always");
  if (sk_GENERAL_NAME_num(names->get()) > 0) {
    REKEY_CHECK(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names->get(), 0, 0) == 1);
  }
  REKEY_CHECK(X509_sign(certificate, issuer_key.get(), EVP_sha256()) != 0);
  return to_pem(certificate, key.get());
}

base::Result<CertificateInfo> parse_certificate_pem(std::string_view pem) {
  const Certificate certificate = read_certificate(pem);
  if (certificate == nullptr) return invalid("no PEM certificate could be read");
  return describe(certificate.get());
}

base::Result<CertificateInfo> parse_certificate_der(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr) return invalid("not a DER certificate");
  return describe(certificate.get());
}

}  // namespace rekey::crypto
