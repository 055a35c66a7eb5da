// A listener's TLS settings with its certificate and key, ready for new connections.
//
// Immutable after it was made; shared by all loops. Replaced whole when certificates are reloaded:
// connections keep the one that they began with. TLS 1.3 and, where allowed, 1.2; no session
// tickets, no resumption, no renegotiation, no compression, no early data.
#pragma once

#include <openssl/ssl.h>

#include <memory>

#include "base/error.h"
#include "net/server_options.h"

namespace rekey::net {

struct SslContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslHandle = std::unique_ptr<SSL, SslDeleter>;

class TlsContext {
 public:
  // Reads the files. kInvalid names the file or option that is wrong.
  static base::Result<std::shared_ptr<const TlsContext>> load(const TlsOptions& options);

  // A server side handle for one connection; null if OpenSSL has no memory.
  SslHandle new_connection() const { return SslHandle(SSL_new(context_.get())); }

 private:
  std::unique_ptr<SSL_CTX, SslContextDeleter> context_;
};

}  // namespace rekey::net
