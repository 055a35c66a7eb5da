#include "engine/kv/rows.h"

#include <algorithm>

#include "engine/kv/plain.h"

namespace rekey::engine::kv {
namespace {

using base::Result;

constexpr std::string_view kSettingsRow = "config";

std::string metadata_row(std::string_view path) { return "m/" + std::string(path); }
std::string plain_row(std::string_view path) { return std::string(kPlainRows) + std::string(path); }
std::string value_row(std::string_view path, uint32_t version) {
  return "v/" + std::string(path) + "/" + std::to_string(version);
}

// What a value of KV v1 looks like in KV v2: version 1, of an unknown time.
Metadata metadata_of_plain() {
  Metadata metadata;
  metadata.current = 1;
  metadata.versions.push_back({.number = 1});
  return metadata;
}

}  // namespace

Result<Settings> Rows::settings() {
  auto row = context_.storage->peek(kSettingsRow);
  if (!row) return forward(row);
  if (!*row) return Settings{};
  return decode_settings(**row);
}

Result<void> Rows::write_settings(const Settings& settings) {
  return context_.storage->put(kSettingsRow, encode(settings));
}

Result<std::optional<Metadata>> Rows::metadata(std::string_view path, bool to_change) {
  const std::string key = metadata_row(path);
  auto row = to_change ? context_.storage->get(key) : context_.storage->peek(key);
  if (!row) return forward(row);
  if (*row) {
    auto decoded = decode_metadata(**row);
    if (!decoded) return forward(decoded);
    return std::optional<Metadata>(std::move(*decoded));
  }
  const std::string plain_key = plain_row(path);
  auto plain = to_change ? context_.storage->get(plain_key) : context_.storage->peek(plain_key);
  if (!plain) return forward(plain);
  if (!*plain) return std::optional<Metadata>();
  read_plain_ = true;
  return std::optional<Metadata>(metadata_of_plain());
}

Result<void> Rows::convert(std::string_view path) {
  const std::string key = plain_row(path);
  auto plain = context_.storage->get(key);
  if (!plain) return forward(plain);
  if (!*plain) return {};
  auto moved = context_.storage->put(value_row(path, 1), std::move(**plain));
  if (!moved) return moved;
  return context_.storage->erase(key);
}

Result<void> Rows::write_metadata(std::string_view path, const Metadata& metadata) {
  if (read_plain_) {
    auto converted = convert(path);
    if (!converted) return converted;
  }
  return context_.storage->put(metadata_row(path), encode(metadata));
}

Result<std::string> Rows::value(std::string_view path, uint32_t version) {
  auto row = context_.storage->peek(value_row(path, version));
  if (!row) return forward(row);
  if (*row) return std::move(**row);
  if (version == 1) {
    auto plain = context_.storage->peek(plain_row(path));
    if (!plain) return forward(plain);
    if (*plain) return std::move(**plain);
  }
  return base::fail(base::ErrorKind::kCorrupt, "a version's value is missing",
                    "version " + std::to_string(version));
}

Result<void> Rows::write_value(std::string_view path, uint32_t version, std::string text) {
  return context_.storage->put(value_row(path, version), std::move(text));
}

Result<void> Rows::erase_value(std::string_view path, uint32_t version) {
  return context_.storage->erase(value_row(path, version));
}

Result<void> Rows::erase_all(std::string_view path, const Metadata& metadata) {
  for (const Version& version : metadata.versions) {
    auto erased = erase_value(path, version.number);
    if (!erased) return erased;
  }
  auto plain = context_.storage->erase(plain_row(path));
  if (!plain) return plain;
  return context_.storage->erase(metadata_row(path));
}

Result<std::vector<std::string>> Rows::list(std::string_view folder, std::string_view after,
                                            size_t limit) {
  auto names = context_.storage->list(metadata_row(folder), after, limit);
  if (!names) return names;
  auto plain = context_.storage->list(plain_row(folder), after, limit);
  if (!plain) return plain;
  if (plain->empty()) return names;
  std::vector<std::string> both;
  std::ranges::set_union(*names, *plain, std::back_inserter(both));
  if (both.size() > limit) both.resize(limit);
  return both;
}

}  // namespace rekey::engine::kv
