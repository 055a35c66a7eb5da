// Backups of transit keys, in the form that Vault and OpenBao write and read: base64 of a JSON text
// with the key's settings and all of its versions in the clear. Reading takes any bytes. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "engine/transit/key.h"

namespace rekey::engine::transit {

struct KeyCopy {
  std::string name;
  KeySettings settings;
  std::map<uint32_t, KeyVersion> versions;  // all from settings.oldest() to settings.latest
};

base::Result<std::string> encode_backup(const KeyCopy& copy);

// kInvalid for what is no backup, for types and derivations that we don't have, for material that
// is not of its type and for versions that are missing. Tries each private key: not on an io
// thread.
base::Result<KeyCopy> decode_backup(std::string_view text);

}  // namespace rekey::engine::transit
