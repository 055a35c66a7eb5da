#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <string.h>

#include <string>

namespace rekey::net {
namespace {

using base::ErrorKind;
using base::fail;
using base::Result;

constexpr size_t kClientCertificateBytesMax = 64 << 10;  // of the whole chain that a client sends

// OpenSSL's queue of errors as one line; empties it.
std::string take_openssl_errors() {
  std::string all;
  while (const unsigned long code = ERR_get_error()) {
    char text[256];
    ERR_error_string_n(code, text, sizeof(text));
    if (!all.empty()) all += "; ";
    all += text;
  }
  return all;
}

// A request for a certificate isn't a demand to trust it: the cert auth method decides by itself
// whom a certificate proves. Possession of its key is checked by the handshake in any case.
int accept_any_chain(X509_STORE_CTX*, void*) { return 1; }

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof(kHttp11) - 1, offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;  // go on without ALPN: what we speak is HTTP/1.1 anyway
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// IANA names (TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), as Vault's configuration has them.
Result<void> set_cipher_suites(SSL_CTX* context, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  std::string tls13, tls12;
  const SslHandle probe(SSL_new(context));
  SSL_set_cipher_list(probe.get(), "ALL");
  const STACK_OF(SSL_CIPHER)* known = SSL_get_ciphers(probe.get());
  for (const std::string& name : names) {
    const SSL_CIPHER* found = nullptr;
    for (int i = 0; i < sk_SSL_CIPHER_num(known); i++) {
      const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(known, i);
      const char* standard = SSL_CIPHER_standard_name(cipher);
      if (name == SSL_CIPHER_get_name(cipher) || (standard != nullptr && name == standard)) {
        found = cipher;
      }
    }
    if (found == nullptr) {
      return fail(ErrorKind::kInvalid, "unknown or unavailable TLS cipher suite: " + name);
    }
    const bool is_tls13 = strcmp(SSL_CIPHER_get_version(found), "TLSv1.3") == 0;
    std::string& list = is_tls13 ? tls13 : tls12;
    if (!list.empty()) list += ':';
    list += SSL_CIPHER_get_name(found);
  }
  if ((!tls13.empty() && SSL_CTX_set_ciphersuites(context, tls13.c_str()) != 1) ||
      (!tls12.empty() && SSL_CTX_set_cipher_list(context, tls12.c_str()) != 1)) {
    return fail(ErrorKind::kInvalid, "can't use these TLS cipher suites", take_openssl_errors());
  }
  return {};
}

Result<void> set_client_certificates(SSL_CTX* context, const TlsOptions& options) {
  if (options.client_certificates == ClientCertificates::kNone) return {};
  if (!options.client_ca_file.empty()) {
    const char* file = options.client_ca_file.c_str();
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(file);
    if (names == nullptr || SSL_CTX_load_verify_file(context, file) != 1) {
      return fail(ErrorKind::kInvalid,
                  "can't read client CA certificates from " + options.client_ca_file,
                  take_openssl_errors());
    }
    SSL_CTX_set_client_CA_list(context, names);
  }
  SSL_CTX_set_max_cert_list(context, kClientCertificateBytesMax);
  if (options.client_certificates == ClientCertificates::kRequireAndVerify) {
    if (options.client_ca_file.empty()) {
      return fail(ErrorKind::kInvalid,
                  "client certificates can't be verified without a client CA file");
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return {};
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context, accept_any_chain, nullptr);
  return {};
}

Result<void> set_own_certificate(SSL_CTX* context, const TlsOptions& options) {
  if (SSL_CTX_use_certificate_chain_file(context, options.cert_file.c_str()) != 1) {
    return fail(ErrorKind::kInvalid, "can't read the TLS certificate " + options.cert_file,
                take_openssl_errors());
  }
  // No terminal to ask on: a key behind a pass phrase is an error, not a prompt.
  SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return -1; });
  if (SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(ErrorKind::kInvalid, "can't use the TLS key " + options.key_file,
                take_openssl_errors());
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return fail(ErrorKind::kInvalid,
                "the TLS key " + options.key_file + " does not belong to the certificate " +
                    options.cert_file,
                take_openssl_errors());
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const TlsOptions& options) {
  ERR_clear_error();
  auto made = std::make_shared<TlsContext>();
  made->context_.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = made->context_.get();
  if (context == nullptr) {
    return fail(ErrorKind::kInternal, "OpenSSL could not start", take_openssl_errors());
  }
  const bool tls12 = options.min_version == TlsVersion::kTls12;
  SSL_CTX_set_min_proto_version(context, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
  // CLEANSE_PLAINTEXT: the read buffer keeps no request after it was handed over.
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384");
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
  if (auto set = set_cipher_suites(context, options.cipher_suites); !set) return forward(set);
  if (auto set = set_own_certificate(context, options); !set) return forward(set);
  if (auto set = set_client_certificates(context, options); !set) return forward(set);
  ERR_clear_error();
  return std::shared_ptr<const TlsContext>(std::move(made));
}

}  // namespace rekey::net
