// Certificates (RFC 5280): a small CA of our own for ./run, -dev-tls and tests, and reading what is
// in a certificate. Keys are ECDSA P-256. Any thread.
//
// Key pairs come from OpenSSL's own generator: its key generation takes no other source.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "base/secret_bytes.h"

namespace rekey::crypto {

struct CertifiedKey {
  std::string certificate_pem;
  base::SecretBytes private_key_pem;  // PKCS #8, not encrypted: write it 0600
};

// A self-signed CA that may sign server and client certificates but no other CA.
base::Result<CertifiedKey> make_certificate_authority(std::string_view common_name,
                                                      base::WallTime now, int valid_days,
                                                      base::Random& random);

struct ServerCertificateRequest {
  std::string common_name;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;  // "127.0.0.1", "::1"
  int valid_days = 365;
};

// A certificate for TLS servers (and clients, so that a node may present it to another one), valid
// from an hour before `now` against clocks that differ. kInvalid for a name that can't be in a
// certificate and for a CA that can't be read.
base::Result<CertifiedKey> issue_server_certificate(const CertifiedKey& authority,
                                                    const ServerCertificateRequest& request,
                                                    base::WallTime now, base::Random& random);

struct CertificateInfo {
  std::string subject;  // RFC 2253: CN=localhost,O=Example
  std::string issuer;
  std::string common_name;
  std::string serial_hex;
  std::string fingerprint_sha256_hex;  // of the DER form
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::vector<std::string> email_addresses;
  std::vector<std::string> uris;
  base::WallTime not_before;
  base::WallTime not_after;
  bool is_authority = false;
};

// Of the first certificate in a PEM text; kInvalid if there is none.
base::Result<CertificateInfo> parse_certificate_pem(std::string_view pem);
base::Result<CertificateInfo> parse_certificate_der(std::string_view der);

}  // namespace rekey::crypto
