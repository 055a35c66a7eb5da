#include "engine/transit/ciphertext.h"

#include <charconv>

#include "base/codec.h"
#include "crypto/digest.h"
#include "engine/transit/common.h"

namespace rekey::engine::transit {
namespace {

using base::ErrorKind;
using base::Result;
using base::SecretBytes;
using crypto::Cipher;
using crypto::kCipherNonceBytes;
using crypto::kCipherTagBytes;
using logical::bad_request;

constexpr std::string_view kPrefix = "vault:v";
constexpr std::string_view kBadCiphertext = "invalid ciphertext";
constexpr size_t kConvergentHmacKeyBytes = 32;

// A derived key's cipher for one context; of a convergent key also what its nonces come from.
struct Derived {
  Cipher cipher;
  SecretBytes nonce_key;
};

Result<Derived> derive_cipher(const KeySettings& settings, const KeyVersion& version,
                              std::string_view context) {
  const crypto::CipherKind kind = *settings.info().cipher;
  const size_t key_bytes = crypto::cipher_key_bytes(kind);
  const size_t wanted = key_bytes + (settings.convergent ? kConvergentHmacKeyBytes : 0);
  auto bytes = derive(settings, version, context, wanted);
  if (!bytes) return forward(bytes);
  return Derived{Cipher(kind, SecretBytes::copy_of(bytes->reveal().substr(0, key_bytes))),
                 SecretBytes::copy_of(bytes->reveal().substr(key_bytes))};
}

Result<void> check_kind(const KeySettings& settings, const Circumstances& about,
                        std::string_view doing) {
  const TypeInfo& info = settings.info();
  if (!info.encrypts()) {
    return bad_request("message " + std::string(doing) + " not supported for key type " +
                       std::string(info.name));
  }
  if (!info.cipher && !about.associated.empty()) {
    return bad_request("'[0].associated_data' provided for non-AEAD cipher suite " +
                       std::string(info.name));
  }
  return {};
}

// nonce, ciphertext and tag one after the other.
void seal(Cipher& cipher, std::string_view nonce, const Circumstances& about,
          std::string_view plaintext, std::string& out) {
  const size_t size = nonce.size() + plaintext.size() + kCipherTagBytes;
  out.resize_and_overwrite(size, [&](char* data, size_t) {
    nonce.copy(data, nonce.size());
    cipher.seal(nonce, about.associated, plaintext, data + nonce.size());
    return size;
  });
}

Result<void> open(Cipher& cipher, const KeySettings& settings, const Circumstances& about,
                  std::string_view sealed, std::string& out) {
  if (sealed.size() < kCipherNonceBytes) return bad_request("invalid ciphertext length");
  auto opened = cipher.open(sealed.substr(0, kCipherNonceBytes), about.associated,
                            sealed.substr(kCipherNonceBytes), out);
  if (opened) return opened;
  return bad_request(settings.type == KeyType::kChacha20Poly1305
                         ? "chacha20poly1305: message authentication failed"
                         : "cipher: message authentication failed");
}

}  // namespace

Result<Versioned> split_versioned(std::string_view text, std::string_view bad) {
  const auto fail = [bad](std::string_view why) {
    return bad_request(std::string(bad) + ": " + std::string(why));
  };
  if (!text.starts_with(kPrefix)) return fail("no prefix");
  text.remove_prefix(kPrefix.size());
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return fail("wrong number of fields");
  Versioned out;
  const char* end = text.data() + colon;
  const auto [stopped, problem] = std::from_chars(text.data(), end, out.version);
  if (problem != std::errc() || stopped != end) return fail("version number could not be decoded");
  if (out.version == 0) out.version = 1;
  out.payload = text.substr(colon + 1);
  return out;
}

void append_prefix(std::string& out, uint32_t version) {
  out += kPrefix;
  out += std::to_string(version);
  out += ':';
}

Result<void> check_readable(const KeySettings& settings, uint32_t version, std::string_view bad) {
  if (version > settings.latest) return bad_request(std::string(bad) + ": version is too new");
  if (version < settings.min_decryption) {
    return bad_request("ciphertext or signature version is disallowed by policy (too old)");
  }
  return {};
}

Result<uint32_t> writing_version(const KeySettings& settings, int64_t asked,
                                 std::string_view doing) {
  const auto fail = [doing](std::string_view why) {
    return bad_request("requested version for " + std::string(doing) + " " + std::string(why));
  };
  if (asked == 0) return settings.latest;
  if (asked < 0) return fail("is negative");
  if (asked > settings.latest) return fail("is higher than the latest key version");
  if (asked < settings.min_encryption)
    return fail("is less than the minimum encryption key version");
  if (asked < settings.min_decryption) return bad_request("no such key version");
  return static_cast<uint32_t>(asked);
}

Result<uint32_t> encrypt(logical::Context& context, Keys& keys, LoadedKey& key,
                         const Circumstances& about, int64_t key_version,
                         std::string_view plaintext, std::string& out) {
  const KeySettings& settings = key.settings;
  auto possible = check_kind(settings, about, "encryption");
  if (!possible) return forward(possible);
  auto number = writing_version(settings, key_version, "encryption");
  if (!number) return number;
  if (settings.derived && about.context.empty()) return bad_request(std::string(kMissingContext));
  auto material = keys.material(key, *number);
  if (!material) return forward(material);
  if (!settings.info().cipher) {
    auto sealed = (*material)->pair->encrypt_oaep("sha2-256", plaintext);
    if (!sealed) {
      return bad_request("failed to RSA encrypt the plaintext: crypto/rsa: " +
                         sealed.error().message());
    }
    out = std::move(*sealed);
    return number;
  }
  if (!settings.derived) {
    seal(*(*material)->cipher, context.random.bytes(kCipherNonceBytes), about, plaintext, out);
    return number;
  }
  auto derived = derive_cipher(settings, (*material)->version, about.context);
  if (!derived) return forward(derived);
  std::string nonce;
  if (settings.convergent) {
    const auto mac = crypto::HmacSha256(derived->nonce_key).mac(plaintext);
    nonce = crypto::as_bytes(mac).substr(0, kCipherNonceBytes);
  } else {
    nonce = context.random.bytes(kCipherNonceBytes);
  }
  seal(derived->cipher, nonce, about, plaintext, out);
  return number;
}

void append_ciphertext(std::string& out, uint32_t version, std::string_view sealed) {
  append_prefix(out, version);
  base::append_base64(out, sealed);
}

Result<void> decrypt(Keys& keys, LoadedKey& key, const Circumstances& about, std::string_view text,
                     std::string& out) {
  const KeySettings& settings = key.settings;
  auto possible = check_kind(settings, about, "decryption");
  if (!possible) return possible;
  auto parts = split_versioned(text, kBadCiphertext);
  if (!parts) return forward(parts);
  auto readable = check_readable(settings, parts->version, kBadCiphertext);
  if (!readable) return readable;
  if (settings.derived && about.context.empty()) return bad_request(std::string(kMissingContext));
  auto sealed = decode_base64(parts->payload);
  if (!sealed) return bad_request("invalid ciphertext: could not decode base64");
  auto material = keys.material(key, parts->version);
  if (!material) return forward(material);
  if (!settings.info().cipher) {
    auto opened = (*material)->pair->decrypt_oaep("sha2-256", *sealed);
    if (!opened) {
      return bad_request("failed to RSA decrypt the ciphertext: crypto/rsa: " +
                         opened.error().message());
    }
    out.append(opened->reveal());
    return {};
  }
  if (!settings.derived) return open(*(*material)->cipher, settings, about, *sealed, out);
  auto derived = derive_cipher(settings, (*material)->version, about.context);
  if (!derived) return forward(derived);
  return open(derived->cipher, settings, about, *sealed, out);
}

}  // namespace rekey::engine::transit
