#include "engine/transit/keys.h"

#include "logical/answer.h"

namespace rekey::engine::transit {
namespace {

using base::ErrorKind;
using base::Result;

constexpr size_t kMaterialsKept = 16;  // decoded versions of one key in one lane

std::string settings_row(std::string_view name) { return "key/" + std::string(name); }
std::string version_row(std::string_view name, uint32_t number) {
  return "version/" + std::string(name) + "/" + std::to_string(number);
}

}  // namespace

Result<std::shared_ptr<LoadedKey>> Keys::load(std::string_view name) {
  auto row = context_.storage->peek(settings_row(name));
  if (!row) return forward(row);
  if (!*row) return std::shared_ptr<LoadedKey>();
  auto settings = decode_settings(**row);
  if (!settings) return forward(settings);
  auto key = std::make_shared<LoadedKey>();
  key->name = name;
  key->settings = *settings;
  return key;
}

Result<std::shared_ptr<LoadedKey>> Keys::find(std::string_view name) {
  const std::string row = settings_row(name);
  auto revision = context_.storage->revision(row);
  if (!revision) return forward(revision);
  if (!*revision) return load(name);  // written by this very request: of no revision yet
  const std::string full = context_.storage->prefix() + row;
  if (**revision == 0) {
    context_.decoded->drop(full);
    return std::shared_ptr<LoadedKey>();
  }
  auto known = std::dynamic_pointer_cast<LoadedKey>(context_.decoded->find(full, **revision));
  if (known != nullptr) return known;
  auto loaded = load(name);
  if (loaded && *loaded != nullptr) context_.decoded->keep(full, **revision, *loaded);
  return loaded;
}

Result<std::shared_ptr<LoadedKey>> Keys::find_for_use(std::string_view name) {
  auto key = find(name);
  if (!key || *key == nullptr) return key;
  if ((*key)->settings.soft_deleted) {
    return logical::bad_request("refusing to use soft-deleted key");
  }
  if (!(*key)->settings.rotation_due(context_.clock.wall())) return key;
  auto settings = settings_to_change(name);
  if (!settings) return forward(settings);
  if (!*settings) return std::shared_ptr<LoadedKey>();
  auto rotated = rotate(name, **settings);
  if (!rotated) return forward(rotated);
  return load(name);
}

Result<std::optional<KeySettings>> Keys::settings_to_change(std::string_view name) {
  auto row = context_.storage->get(settings_row(name));
  if (!row) return forward(row);
  if (!*row) return std::optional<KeySettings>();
  auto settings = decode_settings(**row);
  if (!settings) return forward(settings);
  return std::optional<KeySettings>(*settings);
}

Result<KeyVersion> Keys::version(std::string_view name, uint32_t number) {
  auto row = context_.storage->peek(version_row(name, number));
  if (!row) return forward(row);
  if (!*row) return logical::bad_request("no such key version");
  return decode_version(**row);
}

Result<std::shared_ptr<Material>> Keys::material(LoadedKey& key, uint32_t number) {
  const auto known = key.materials.find(number);
  if (known != key.materials.end()) return known->second;
  auto read = version(key.name, number);
  if (!read) return forward(read);
  auto made = std::make_shared<Material>();
  made->version = std::move(*read);
  const TypeInfo& info = key.settings.info();
  if (info.pair) {
    auto pair = pair_of(info, made->version);
    if (!pair) return forward(pair);
    made->pair.emplace(std::move(*pair));
  } else if (info.cipher && !key.settings.derived) {
    if (made->version.key.size() != crypto::cipher_key_bytes(*info.cipher)) {
      return base::fail(ErrorKind::kCorrupt, "a stored key can't be read", "of the wrong length");
    }
    made->cipher.emplace(*info.cipher, made->version.key);
  }
  if (key.materials.size() >= kMaterialsKept) key.materials.clear();
  key.materials[number] = made;
  return made;
}

Result<void> Keys::write(std::string_view name, const KeySettings& settings) {
  return context_.storage->put(settings_row(name), encode(settings));
}

Result<void> Keys::write_version(std::string_view name, uint32_t number,
                                 const KeyVersion& version) {
  return context_.storage->put(version_row(name, number), encode(version));
}

Result<void> Keys::erase_version(std::string_view name, uint32_t number) {
  return context_.storage->erase(version_row(name, number));
}

Result<void> Keys::erase(std::string_view name, const KeySettings& settings) {
  for (uint32_t number = settings.oldest(); number <= settings.latest; number++) {
    auto erased = erase_version(name, number);
    if (!erased) return erased;
  }
  return context_.storage->erase(settings_row(name));
}

Result<void> Keys::add_version(std::string_view name, KeySettings& settings,
                               const KeyVersion& version) {
  if (settings.latest - settings.oldest() + 1 >= kKeyVersionsMax && settings.latest > 0) {
    return base::fail(ErrorKind::kInvalid, "the key has " + std::to_string(kKeyVersionsMax) +
                                               " versions: trim it before it is rotated again");
  }
  settings.latest++;
  settings.rotated = version.created;
  auto written = write_version(name, settings.latest, version);
  if (!written) return written;
  return write(name, settings);
}

Result<void> Keys::rotate(std::string_view name, KeySettings& settings) {
  if (settings.soft_deleted) return logical::bad_request("refusing to use soft-deleted key");
  if (!settings.rotatable()) {
    return logical::bad_request("imported key " + std::string(name) + " does not allow rotation");
  }
  if (settings.info().slow() && !context_.may_block) return context_.to_pool();
  return add_version(name, settings,
                     make_version(settings, context_.clock.wall(), context_.random));
}

Result<bool> Keys::exists(std::string_view name) {
  auto revision = context_.storage->revision(settings_row(name));
  if (!revision) return forward(revision);
  return !*revision || **revision != 0;
}

}  // namespace rekey::engine::transit
