// The keys of one transit mount, as its handlers read and change them within one request.
//
// Rows: key/<name>, the settings; version/<name>/<n>, one version's material; wrapping-key, the RSA
// key that imports are wrapped with; config. A version's row is only ever written or erased in a
// commit that also writes its key's settings, so whoever knows the settings' revision knows that
// the material he decoded is still good: that is what the cache of the lane (logical::DecodedRows)
// goes by, and why it needs no word from who changes a key.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "crypto/cipher.h"
#include "engine/transit/key.h"
#include "logical/context.h"

namespace rekey::engine::transit {

// A version ready for use. Belongs to one thread.
struct Material {
  KeyVersion version;
  std::optional<crypto::Cipher> cipher;  // of symmetric keys that aren't derived
  std::optional<crypto::KeyPair> pair;
};

struct LoadedKey final : logical::DecodedRow {
  std::string name;
  KeySettings settings;
  std::map<uint32_t, std::shared_ptr<Material>> materials;  // those that were asked for
};

class Keys {
 public:
  explicit Keys(logical::Context& context) : context_(context) {}

  // The key, or null where there is none. No condition of the commit.
  base::Result<std::shared_ptr<LoadedKey>> find(std::string_view name);
  // As find(), for a request that will use its newest version: a rotation that is due is done
  // first. kInvalid for a key that was soft-deleted. May ask for the pool.
  base::Result<std::shared_ptr<LoadedKey>> find_for_use(std::string_view name);
  // The settings, as a condition of the commit: to change them.
  base::Result<std::optional<KeySettings>> settings_to_change(std::string_view name);

  // kInvalid where the version was trimmed or never was.
  base::Result<std::shared_ptr<Material>> material(LoadedKey& key, uint32_t number);
  base::Result<KeyVersion> version(std::string_view name, uint32_t number);

  base::Result<void> write(std::string_view name, const KeySettings& settings);
  base::Result<void> write_version(std::string_view name, uint32_t number,
                                   const KeyVersion& version);
  base::Result<void> erase_version(std::string_view name, uint32_t number);
  base::Result<void> erase(std::string_view name, const KeySettings& settings);

  // Adds a version as the latest and writes both rows. kInvalid for one too many.
  base::Result<void> add_version(std::string_view name, KeySettings& settings,
                                 const KeyVersion& version);
  // Makes and adds one. kInvalid where the key doesn't let itself be rotated. May ask for the pool.
  base::Result<void> rotate(std::string_view name, KeySettings& settings);

  base::Result<bool> exists(std::string_view name);

 private:
  base::Result<std::shared_ptr<LoadedKey>> load(std::string_view name);

  logical::Context& context_;
};

}  // namespace rekey::engine::transit
