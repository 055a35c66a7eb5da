// rooms: engine/transit
// What clients hand to transit as text or bytes: ciphertexts and signatures, backups, unwrapped
// keys. Nothing crashes; what is accepted comes back the same after being written.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/codec.h"
#include "crypto/key_wrap.h"
#include "engine/transit/backup.h"
#include "engine/transit/ciphertext.h"

namespace base = rekey::base;
namespace crypto = rekey::crypto;
namespace transit = rekey::engine::transit;

namespace {

void try_text(std::string_view text) {
  const auto parts = transit::split_versioned(text, "invalid");
  if (!parts) return;
  std::string again;
  transit::append_prefix(again, parts->version);
  again += parts->payload;
  const auto same = transit::split_versioned(again, "invalid");
  REKEY_CHECK(same.has_value() && same->version == parts->version &&
              same->payload == parts->payload);
}

void try_backup(std::string_view text) {
  const auto copy = transit::decode_backup(text);
  if (!copy) return;
  const auto written = transit::encode_backup(*copy);
  REKEY_CHECK(written.has_value());
  const auto again = transit::decode_backup(*written);
  REKEY_CHECK(again.has_value() && *transit::encode_backup(*again) == *written);
}

void try_key(std::string_view bytes) {
  base::SeededRandom random(1);
  for (const auto type : {transit::KeyType::kAes256Gcm96, transit::KeyType::kEd25519,
                          transit::KeyType::kEcdsaP256, transit::KeyType::kHmac}) {
    transit::KeySettings settings;
    settings.type = type;
    settings.latest = 1;
    settings.hmac_key_bytes = 32;
    const auto version =
        transit::adopt_version(settings, base::SecretBytes::copy_of(bytes), {}, random);
    if (!version) continue;
    const auto again = transit::decode_version(transit::encode(*version));
    REKEY_CHECK(again.has_value() && again->key.reveal() == version->key.reveal());
  }
  (void)crypto::KeyPair::from_public_pem(bytes);
  (void)crypto::KeyPair::from_public_der(bytes);
  (void)crypto::is_ecdsa_der(bytes);
  (void)crypto::key_unwrap(base::SecretBytes(crypto::kKeyWrapKeyBytes), bytes);
}

}  // namespace

// The first byte says what the rest is.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 3 == 0) {
    try_text(rest);
  } else if (data[0] % 3 == 1) {
    // As JSON rather than as base64 of it, which the fuzzer would have to learn first.
    try_backup(rest.starts_with('{') ? base::base64_encode(rest) : std::string(rest));
  } else {
    try_key(rest);
  }
  return 0;
}
