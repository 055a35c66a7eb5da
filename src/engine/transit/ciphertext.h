// Transit's ciphertexts and signatures as text: "vault:v<version>:<base64>". Parsing takes any
// bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "engine/transit/keys.h"

namespace rekey::engine::transit {

struct Versioned {
  uint32_t version = 0;
  std::string_view payload;  // base64, not looked at
};

// The two parts of such a text. Version 0, which very old servers wrote, is 1. kInvalid with
// `bad` before the reason ("invalid ciphertext"): no prefix, fields or number.
base::Result<Versioned> split_versioned(std::string_view text, std::string_view bad);

// Appends "vault:v<version>:".
void append_prefix(std::string& out, uint32_t version);

// kInvalid where the key doesn't have, or doesn't allow, this version.
base::Result<void> check_readable(const KeySettings& settings, uint32_t version,
                                  std::string_view bad);
// The version to encrypt or sign with for what a request asks (0: the latest); kInvalid where the
// key doesn't have or doesn't allow it. `doing` is "encryption" or "signing".
base::Result<uint32_t> writing_version(const KeySettings& settings, int64_t asked,
                                       std::string_view doing);

// What one encryption is about, decoded.
struct Circumstances {
  std::string context;     // of a derived key
  std::string associated;  // of an AEAD
};

// Puts the ciphertext's bytes in place of what `sealed` held, whose room is used again, and says
// which version encrypted. `key_version` as in writing_version().
base::Result<uint32_t> encrypt(logical::Context& context, Keys& keys, LoadedKey& key,
                               const Circumstances& about, int64_t key_version,
                               std::string_view plaintext, std::string& sealed);
// The text of that: characters that JSON doesn't escape.
void append_ciphertext(std::string& out, uint32_t version, std::string_view sealed);

// Appends the plaintext to `out`. kInvalid where text, key and circumstances don't belong together.
base::Result<void> decrypt(Keys& keys, LoadedKey& key, const Circumstances& about,
                           std::string_view text, std::string& out);

}  // namespace rekey::engine::transit
