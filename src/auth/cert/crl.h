// Revocation lists of a cert mount: auth/cert/crls/<name>. Values and functions of a request's
// View; any thread.
#pragma once

#include <span>

#include "crypto/x509_chain.h"
#include "logical/context.h"

namespace rekey::auth::cert {

inline constexpr size_t kCrlNameBytesMax = 256;
inline constexpr size_t kCrlUrlBytesMax = 2048;
// All lists of a mount together, as they are stored: a login may have to read them anew.
inline constexpr size_t kCrlBytesTotalMax = 64 * 1024 * 1024;
inline constexpr size_t kCrlsMax = 100;  // in one mount: a login looks into all of them

// Whether one of a chain's certificates is in a list of its issuer.
base::Result<bool> is_revoked(logical::Context& context, std::span<const crypto::ChainLink> chain);

}  // namespace rekey::auth::cert
