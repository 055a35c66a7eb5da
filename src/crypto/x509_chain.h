// Certificates that clients present (RFC 5280): what is in one, whether a chain leads to a trusted
// certificate, and lists of revoked ones. x509.h makes certificates; this judges those of others.
//
// Knows neither TLS nor logins, and not the time: `now` is given. Everything here reads bytes from
// outside, so each has a named limit. Values; any thread, but one at a time for one object.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "crypto/x509.h"

namespace rekey::crypto {

inline constexpr size_t kChainCertificatesMax = 20;  // a client's own and what it sent after it
inline constexpr int kChainDepthMax = 10;            // authorities between a leaf and its anchor
inline constexpr size_t kCertificateBytesMax = 64 * 1024;  // DER of one
inline constexpr size_t kCertificateExtensionsMax = 200;   // of one certificate
inline constexpr size_t kCertificateNamesMax = 1000;       // alternative names and units
inline constexpr size_t kSerialNumberBytesMax = 64;        // RFC 5280 says 20
inline constexpr size_t kTrustCertificatesMax = 100;       // in one PEM text
inline constexpr size_t kTrustBytesMax = 256 * 1024;       // of that text
inline constexpr size_t kCrlBytesMax = 16 * 1024 * 1024;   // of a CRL's text
inline constexpr size_t kCrlEntriesMax = 100'000;          // revoked certificates in one CRL

struct CertificateExtension {
  std::string oid;    // "1.2.3.4"
  std::string value;  // its DER
  std::string text;   // where the DER is that of a text; empty otherwise
};

// What login rules look at.
struct CertificateFacts {
  CertificateInfo info;
  std::string serial;            // decimal
  std::string subject_key_id;    // bytes; empty: not said
  std::string authority_key_id;  // bytes
  std::vector<std::string> organizational_units;
  std::vector<CertificateExtension> extensions;
};

// One certificate of a chain as a revocation list names it.
struct ChainLink {
  std::string issuer_der;  // its issuer's name
  std::string serial;      // decimal
};

// Whether two names (DER) are one in RFC 5280's sense: case and blanks don't count.
bool same_x509_name(std::string_view a_der, std::string_view b_der);

class PresentedChain {
 public:
  // Failure: kInvalid where one isn't a certificate, or kTooLarge.
  static base::Result<PresentedChain> parse(std::string_view leaf_der,
                                            std::span<const std::string> intermediates_der);
  PresentedChain(PresentedChain&&) noexcept;
  PresentedChain& operator=(PresentedChain&&) noexcept;
  ~PresentedChain();

  const CertificateFacts& leaf() const;

 private:
  friend class TrustedCertificates;
  struct Parts;
  explicit PresentedChain(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

class TrustedCertificates {
 public:
  // All certificates of a PEM text. Failure: kInvalid where there is none or one can't be read.
  static base::Result<TrustedCertificates> parse(std::string_view pem);
  TrustedCertificates(TrustedCertificates&&) noexcept;
  TrustedCertificates& operator=(TrustedCertificates&&) noexcept;
  ~TrustedCertificates();

  // Of the first certificate: whether it may issue others, and whether it may be a TLS client's.
  bool is_authority() const;
  bool may_be_client() const;

  // From the leaf to one of these certificates, each of which is an anchor, whether it is a root or
  // not: signatures, the clients' purpose, constraints and times. What is revoked is the caller's
  // business. Failure: kNotFound where no chain leads here, kDenied with the reason where one does
  // but isn't good.
  base::Result<std::vector<ChainLink>> verify(const PresentedChain& presented,
                                              base::WallTime now) const;

  enum class Pinned { kOther, kSame, kOtherKey };
  // Whether the leaf is the first certificate itself; kOtherKey where it has its serial number and
  // issuer but another key, so that one of the two is a forgery.
  Pinned compare(const PresentedChain& presented) const;
  // The link of a leaf that is pinned. Failure: kDenied where `now` is outside of its time.
  base::Result<std::vector<ChainLink>> verify_pinned(const PresentedChain& presented,
                                                     base::WallTime now) const;

 private:
  struct Parts;
  explicit TrustedCertificates(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// A CRL. Its signature isn't checked: whoever may hand it to the server is believed.
struct RevocationList {
  std::string issuer_der;  // the name of who issued it
  bool indirect = false;   // also names certificates of other issuers
  base::WallTime this_update{};
  std::optional<base::WallTime> next_update;
  std::vector<std::string> serials;  // decimal, sorted, each once
};
// PEM, DER, or DER in base64. Failure: kInvalid or kTooLarge.
base::Result<RevocationList> parse_revocation_list(std::string_view text);

}  // namespace rekey::crypto
