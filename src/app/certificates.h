// The CA and server certificate that -standalone and -dev-tls make for themselves.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"

namespace rekey::app {

struct CertificateFiles {
  std::string ca, cert, key;
};

// Makes ca.pem, cert.pem and key.pem (0600) in `folder` where they are missing.
// For localhost, 127.0.0.1, ::1 and this machine's name.
base::Result<CertificateFiles> ensure_certificates(const std::string& folder,
                                                   const base::Clock& clock, base::Random& random);

// Writes a file through a temporary one, synced, with these permissions.
base::Result<void> write_file(const std::string& path, std::string_view content, unsigned mode);

}  // namespace rekey::app
