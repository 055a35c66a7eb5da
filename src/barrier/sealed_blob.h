// The form that the keyring row and a wrapped root key share: version byte, nonce, ciphertext, tag,
// authenticated together with the version and what the caller says about its place and meaning.
// For bytes under a key of their own; rows under the keyring have a term too (keyring.h).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/random.h"
#include "base/secret_bytes.h"

namespace rekey::barrier {

std::string seal_blob(const base::SecretBytes& key, std::string_view meaning,
                      std::string_view plaintext, base::Random& random);
// kCorrupt unless `blob` is what seal_blob made of the same key and meaning.
base::Result<base::SecretBytes> open_blob(const base::SecretBytes& key, std::string_view meaning,
                                          std::string_view blob);

}  // namespace rekey::barrier
