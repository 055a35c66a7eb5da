#include "crypto/x509_chain.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/codec.h"
#include "crypto/x509_parts.h"

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using base::fail;
using base::Result;

// 112 bits: RSA from 2048, no SHA-1. What Debian's TLS asks of a peer's certificate too.
constexpr int kSecurityLevel = 2;

using Number = std::unique_ptr<BIGNUM, Release<BIGNUM, BN_free>>;
using Name = std::unique_ptr<X509_NAME, Release<X509_NAME, X509_NAME_free>>;
using Crl = std::unique_ptr<X509_CRL, Release<X509_CRL, X509_CRL_free>>;
using Store = std::unique_ptr<X509_STORE, Release<X509_STORE, X509_STORE_free>>;
using Verification = std::unique_ptr<X509_STORE_CTX, Release<X509_STORE_CTX, X509_STORE_CTX_free>>;
using AnyValue = std::unique_ptr<ASN1_TYPE, Release<ASN1_TYPE, ASN1_TYPE_free>>;

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using Stack = std::unique_ptr<STACK_OF(X509), FreeStack>;  // doesn't own what is in it

// OpenSSL leaves its complaints in a queue of the thread, where TLS would find them.
std::unexpected<base::Error> wrong(std::string message, ErrorKind kind = ErrorKind::kInvalid,
                                   std::source_location where = std::source_location::current()) {
  ERR_clear_error();
  return fail(kind, std::move(message), {}, where);
}

const unsigned char* bytes_at(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string name_der(const X509_NAME* name) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509_NAME(name, &bytes);
  if (size <= 0) return {};
  std::string out(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return out;
}

// Empty: too long, or not a number.
std::string decimal_of(const ASN1_INTEGER* number) {
  if (number == nullptr || ASN1_STRING_length(number) > static_cast<int>(kSerialNumberBytesMax)) {
    return {};
  }
  const Number parsed(ASN1_INTEGER_to_BN(number, nullptr));
  char* text = parsed == nullptr ? nullptr : BN_bn2dec(parsed.get());
  if (text == nullptr) return {};
  std::string out(text);
  OPENSSL_free(text);
  return out;
}

std::string oid_text(const ASN1_OBJECT* object) {
  char text[256];
  const int size = OBJ_obj2txt(text, sizeof text, object, 1);
  if (size <= 0 || size >= static_cast<int>(sizeof text)) return {};
  return text;
}

// The text in an extension's value, where its whole DER is one of the types of text.
std::string text_in(const std::string& der) {
  const unsigned char* at = bytes_at(der);
  const AnyValue value(d2i_ASN1_TYPE(nullptr, &at, static_cast<long>(der.size())));
  if (value == nullptr || at != bytes_at(der) + der.size()) return {};
  switch (ASN1_TYPE_get(value.get())) {
    case V_ASN1_UTF8STRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_T61STRING:
    case V_ASN1_NUMERICSTRING:
    case V_ASN1_BMPSTRING:
    case V_ASN1_VISIBLESTRING:
      return utf8_of(value->value.asn1_string);
    default:
      return {};
  }
}

std::vector<std::string> subject_parts(const X509_NAME* subject, int nid) {
  std::vector<std::string> out;
  for (int at = X509_NAME_get_index_by_NID(subject, nid, -1); at >= 0;
       at = X509_NAME_get_index_by_NID(subject, nid, at)) {
    out.push_back(utf8_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
  }
  return out;
}

bool has_nul(const std::vector<std::string>& texts) {
  return std::ranges::any_of(
      texts, [](const std::string& text) { return text.find('\0') != std::string::npos; });
}

Result<CertificateFacts> facts_of(X509* certificate, std::string_view der) {
  CertificateFacts facts;
  auto info = parse_certificate_der(der);
  if (!info) return base::forward(info);
  facts.info = std::move(*info);
  facts.serial = decimal_of(X509_get0_serialNumber(certificate));
  if (facts.serial.empty()) return wrong("the certificate's serial number can't be read");
  facts.subject_key_id = bytes_of(X509_get0_subject_key_id(certificate));
  facts.authority_key_id = bytes_of(X509_get0_authority_key_id(certificate));
  const X509_NAME* subject = X509_get_subject_name(certificate);
  facts.organizational_units = subject_parts(subject, NID_organizationalUnitName);
  // Of several (CN=Users,CN=alice in a directory) the last is the subject's own, as Go has it.
  const auto names_in_subject = subject_parts(subject, NID_commonName);
  if (!names_in_subject.empty()) facts.info.common_name = names_in_subject.back();
  const int extensions = X509_get_ext_count(certificate);
  if (extensions > static_cast<int>(kCertificateExtensionsMax)) {
    return wrong("too many extensions in a certificate", ErrorKind::kTooLarge);
  }
  for (int i = 0; i < extensions; i++) {
    X509_EXTENSION* extension = X509_get_ext(certificate, i);
    CertificateExtension read;
    read.oid = oid_text(X509_EXTENSION_get_object(extension));
    read.value = bytes_of(X509_EXTENSION_get_data(extension));
    read.text = text_in(read.value);
    facts.extensions.push_back(std::move(read));
  }
  ERR_clear_error();
  const CertificateInfo& names = facts.info;
  if (names.dns_names.size() + names.email_addresses.size() + names.uris.size() +
          facts.organizational_units.size() >
      kCertificateNamesMax) {
    return wrong("too many names in a certificate", ErrorKind::kTooLarge);
  }
  // "admin\0.evil.example": what one reader takes as a name's end another reads on from.
  if (has_nul({names.common_name}) || has_nul(names.dns_names) || has_nul(names.email_addresses) ||
      has_nul(names.uris) || has_nul(facts.organizational_units)) {
    return wrong("a name in the certificate has a NUL byte");
  }
  return facts;
}

Result<Certificate> read_der(std::string_view der) {
  if (der.size() > kCertificateBytesMax) {
    return wrong("a certificate is too large", ErrorKind::kTooLarge);
  }
  const unsigned char* at = bytes_at(der);
  Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr || at != bytes_at(der) + der.size()) {
    return wrong("not a DER certificate");
  }
  return certificate;
}

time_t seconds_of(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

ChainLink link_of(X509* certificate) {
  return {name_der(X509_get_issuer_name(certificate)),
          decimal_of(X509_get0_serialNumber(certificate))};
}

std::unexpected<base::Error> not_good(int error) {
  ERR_clear_error();
  switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return fail(ErrorKind::kNotFound, "no chain leads to a trusted certificate");
    default:
      return fail(ErrorKind::kDenied, X509_verify_cert_error_string(error));
  }
}

// As the label of the PEM block says, or without one.
Crl read_crl(std::string_view text) {
  if (text.find("-----BEGIN") != std::string_view::npos) {
    const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    REKEY_CHECK(bio != nullptr);
    Crl crl(PEM_read_bio_X509_CRL(bio.get(), nullptr, &no_password, nullptr));
    // Of two, the second would revoke nothing, and nobody would know.
    const size_t next = text.find("-----BEGIN", text.find("-----BEGIN") + 1);
    return next == std::string_view::npos ? std::move(crl) : nullptr;
  }
  std::string der(text);
  std::string packed(text);
  std::erase_if(packed, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
  if (auto decoded = base::base64_decode(packed)) der = std::move(*decoded);
  const unsigned char* at = bytes_at(der);
  Crl crl(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
  if (crl != nullptr && at != bytes_at(der) + der.size()) return nullptr;
  return crl;
}

}  // namespace

bool same_x509_name(std::string_view a_der, std::string_view b_der) {
  if (a_der == b_der) return true;
  const unsigned char* a_at = bytes_at(a_der);
  const unsigned char* b_at = bytes_at(b_der);
  const Name a(d2i_X509_NAME(nullptr, &a_at, static_cast<long>(a_der.size())));
  const Name b(d2i_X509_NAME(nullptr, &b_at, static_cast<long>(b_der.size())));
  const bool same = a != nullptr && b != nullptr && X509_NAME_cmp(a.get(), b.get()) == 0;
  ERR_clear_error();
  return same;
}

// ---- what a client presents ----------------------------------------------------------------

struct PresentedChain::Parts {
  Certificate leaf;
  std::vector<Certificate> intermediates;
  CertificateFacts facts;
};

PresentedChain::PresentedChain(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
PresentedChain::PresentedChain(PresentedChain&&) noexcept = default;
PresentedChain& PresentedChain::operator=(PresentedChain&&) noexcept = default;
PresentedChain::~PresentedChain() = default;

const CertificateFacts& PresentedChain::leaf() const { return parts_->facts; }

Result<PresentedChain> PresentedChain::parse(std::string_view leaf_der,
                                             std::span<const std::string> intermediates_der) {
  if (1 + intermediates_der.size() > kChainCertificatesMax) {
    return wrong("too many certificates in a client's chain", ErrorKind::kTooLarge);
  }
  auto parts = std::make_unique<Parts>();
  auto leaf = read_der(leaf_der);
  if (!leaf) return base::forward(leaf);
  parts->leaf = std::move(*leaf);
  for (const std::string& der : intermediates_der) {
    auto read = read_der(der);
    if (!read) return base::forward(read);
    parts->intermediates.push_back(std::move(*read));
  }
  auto facts = facts_of(parts->leaf.get(), leaf_der);
  if (!facts) return base::forward(facts);
  parts->facts = std::move(*facts);
  return PresentedChain(std::move(parts));
}

// ---- what is trusted -----------------------------------------------------------------------

struct TrustedCertificates::Parts {
  std::vector<Certificate> certificates;
  Store store;
};

TrustedCertificates::TrustedCertificates(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
TrustedCertificates::TrustedCertificates(TrustedCertificates&&) noexcept = default;
TrustedCertificates& TrustedCertificates::operator=(TrustedCertificates&&) noexcept = default;
TrustedCertificates::~TrustedCertificates() = default;

Result<TrustedCertificates> TrustedCertificates::parse(std::string_view pem) {
  if (pem.size() > kTrustBytesMax) {
    return wrong("the certificates are too large", ErrorKind::kTooLarge);
  }
  auto parts = std::make_unique<Parts>();
  parts->store.reset(X509_STORE_new());
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  REKEY_CHECK(parts->store != nullptr && bio != nullptr);
  ERR_clear_error();
  while (true) {
    Certificate read(PEM_read_bio_X509(bio.get(), nullptr, &no_password, nullptr));
    if (read == nullptr) {
      // Anything but the end of the text is a certificate that was meant and can't be read.
      if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        return wrong("a certificate can't be read");
      }
      break;
    }
    if (parts->certificates.size() == kTrustCertificatesMax) {
      return wrong("too many certificates", ErrorKind::kTooLarge);
    }
    if (X509_STORE_add_cert(parts->store.get(), read.get()) != 1) {
      return wrong("a certificate can't be used");
    }
    parts->certificates.push_back(std::move(read));
  }
  ERR_clear_error();
  if (parts->certificates.empty()) return wrong("no PEM certificate could be read");
  return TrustedCertificates(std::move(parts));
}

bool TrustedCertificates::is_authority() const {
  // Version 1 roots have no extension to say it with; Vault takes only those that say it.
  const bool is = X509_check_ca(parts_->certificates.front().get()) == 1;
  ERR_clear_error();
  return is;
}

bool TrustedCertificates::may_be_client() const {
  X509* first = parts_->certificates.front().get();
  if ((X509_get_extension_flags(first) & EXFLAG_XKUSAGE) == 0) return true;
  return (X509_get_extended_key_usage(first) & (XKU_SSL_CLIENT | XKU_ANYEKU)) != 0;
}

Result<std::vector<ChainLink>> TrustedCertificates::verify(const PresentedChain& presented,
                                                           base::WallTime now) const {
  const Stack untrusted(sk_X509_new_null());
  const Verification verification(X509_STORE_CTX_new());
  REKEY_CHECK(untrusted != nullptr && verification != nullptr);
  for (const Certificate& certificate : presented.parts_->intermediates) {
    REKEY_CHECK(sk_X509_push(untrusted.get(), certificate.get()) > 0);
  }
  X509_STORE_CTX* context = verification.get();
  REKEY_CHECK(X509_STORE_CTX_init(context, parts_->store.get(), presented.parts_->leaf.get(),
                                  untrusted.get()) == 1);
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context);
  REKEY_CHECK(X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_CLIENT) == 1);
  // Whatever an operator trusts ends a chain, be it a root or not.
  REKEY_CHECK(X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN) == 1);
  X509_VERIFY_PARAM_set_depth(rules, kChainDepthMax);
  X509_VERIFY_PARAM_set_auth_level(rules, kSecurityLevel);
  X509_VERIFY_PARAM_set_time(rules, seconds_of(now));
  if (X509_verify_cert(context) != 1) return not_good(X509_STORE_CTX_get_error(context));
  std::vector<ChainLink> links;
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context);
  for (int i = 0; i < sk_X509_num(chain); i++) links.push_back(link_of(sk_X509_value(chain, i)));
  ERR_clear_error();
  return links;
}

TrustedCertificates::Pinned TrustedCertificates::compare(const PresentedChain& presented) const {
  X509* pinned = parts_->certificates.front().get();
  X509* leaf = presented.parts_->leaf.get();
  if (X509_cmp(pinned, leaf) == 0) return Pinned::kSame;
  if (ASN1_INTEGER_cmp(X509_get0_serialNumber(pinned), X509_get0_serialNumber(leaf)) != 0 ||
      X509_NAME_cmp(X509_get_issuer_name(pinned), X509_get_issuer_name(leaf)) != 0) {
    return Pinned::kOther;
  }
  const bool same_key = EVP_PKEY_eq(X509_get0_pubkey(pinned), X509_get0_pubkey(leaf)) == 1;
  ERR_clear_error();
  return same_key ? Pinned::kOther : Pinned::kOtherKey;
}

Result<std::vector<ChainLink>> TrustedCertificates::verify_pinned(const PresentedChain& presented,
                                                                  base::WallTime now) const {
  REKEY_CHECK(compare(presented) == Pinned::kSame);
  const CertificateInfo& info = presented.leaf().info;
  if (now < info.not_before) return not_good(X509_V_ERR_CERT_NOT_YET_VALID);
  if (now > info.not_after) return not_good(X509_V_ERR_CERT_HAS_EXPIRED);
  if (!may_be_client()) return not_good(X509_V_ERR_INVALID_PURPOSE);
  return std::vector<ChainLink>{link_of(presented.parts_->leaf.get())};
}

// ---- what is revoked -----------------------------------------------------------------------

Result<RevocationList> parse_revocation_list(std::string_view text) {
  if (text.size() > kCrlBytesMax) return wrong("the CRL is too large", ErrorKind::kTooLarge);
  const Crl crl = read_crl(text);
  if (crl == nullptr) return wrong("not a CRL in PEM or DER");
  RevocationList list;
  list.issuer_der = name_der(X509_CRL_get_issuer(crl.get()));
  auto this_update = wall_time_of(X509_CRL_get0_lastUpdate(crl.get()));
  if (!this_update) return base::forward(this_update);
  list.this_update = *this_update;
  if (const ASN1_TIME* next = X509_CRL_get0_nextUpdate(crl.get())) {
    auto next_update = wall_time_of(next);
    if (!next_update) return base::forward(next_update);
    list.next_update = *next_update;
  }
  const STACK_OF(X509_REVOKED)* revoked = X509_CRL_get_REVOKED(crl.get());
  const int count = revoked == nullptr ? 0 : sk_X509_REVOKED_num(revoked);
  if (count > static_cast<int>(kCrlEntriesMax)) {
    return wrong("the CRL has too many entries", ErrorKind::kTooLarge);
  }
  for (int i = 0; i < count; i++) {
    const X509_REVOKED* entry = sk_X509_REVOKED_value(revoked, i);
    std::string serial = decimal_of(X509_REVOKED_get0_serialNumber(entry));
    if (serial.empty()) return wrong("a serial number in the CRL can't be read");
    list.serials.push_back(std::move(serial));
    list.indirect |= X509_REVOKED_get_ext_by_NID(entry, NID_certificate_issuer, -1) >= 0;
  }
  std::ranges::sort(list.serials);
  const auto rest = std::ranges::unique(list.serials);
  list.serials.erase(rest.begin(), rest.end());
  ERR_clear_error();
  return list;
}

}  // namespace rekey::crypto
