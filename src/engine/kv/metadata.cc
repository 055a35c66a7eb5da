#include "engine/kv/metadata.h"

#include <algorithm>

#include "base/codec.h"
#include "base/json.h"

namespace rekey::engine::kv {
namespace {

constexpr uint8_t kFormat = 1;

void append_time(std::string& out, base::WallTime time) {
  base::append_u64(out, static_cast<uint64_t>(time.time_since_epoch().count()));
}

bool read_time(base::ByteReader& in, base::WallTime& out) {
  uint64_t raw;
  if (!in.u64(raw)) return false;
  out = base::WallTime(base::Duration(static_cast<int64_t>(raw)));
  return true;
}

bool read_version(base::ByteReader& in, Version& out) {
  uint8_t flags;
  if (!in.u32(out.number) || !in.u8(flags) || !read_time(in, out.created)) return false;
  out.destroyed = (flags & 1) != 0;
  if ((flags & 2) == 0) return true;
  out.deletion.emplace();
  return read_time(in, *out.deletion);
}

bool read_metadata(base::ByteReader& in, Metadata& out) {
  uint8_t format, flags;
  uint64_t delete_after;
  uint32_t versions, custom;
  if (!in.u8(format) || format != kFormat || !in.u8(flags)) return false;
  if (!in.u32(out.current) || !in.u32(out.oldest)) return false;
  if (!read_time(in, out.created) || !read_time(in, out.updated)) return false;
  if (!in.u32(out.max_versions) || !in.u64(delete_after) || !in.u32(versions)) return false;
  out.cas_required = (flags & 1) != 0;
  out.delete_version_after = base::Duration(static_cast<int64_t>(delete_after));
  if (versions > in.rest().size()) return false;  // each takes more than a byte
  out.versions.resize(versions);
  for (Version& version : out.versions) {
    if (!read_version(in, version)) return false;
  }
  if (!in.u32(custom)) return false;
  for (uint32_t i = 0; i < custom; i++) {
    std::string_view key, value;
    if (!in.string16(key) || !in.string16(value)) return false;
    out.custom.emplace(key, value);
  }
  return in.done();
}

}  // namespace

Version* Metadata::find(uint32_t number) {
  const auto at = std::ranges::lower_bound(versions, number, {}, &Version::number);
  return at != versions.end() && at->number == number ? &*at : nullptr;
}

const Version* Metadata::find(uint32_t number) const {
  return const_cast<Metadata*>(this)->find(number);
}

std::string encode(const Metadata& metadata) {
  std::string out;
  out.reserve(64 + metadata.versions.size() * 24);
  out += static_cast<char>(kFormat);
  out += static_cast<char>(metadata.cas_required ? 1 : 0);
  base::append_u32(out, metadata.current);
  base::append_u32(out, metadata.oldest);
  append_time(out, metadata.created);
  append_time(out, metadata.updated);
  base::append_u32(out, metadata.max_versions);
  base::append_u64(out, static_cast<uint64_t>(metadata.delete_version_after.count()));
  base::append_u32(out, static_cast<uint32_t>(metadata.versions.size()));
  for (const Version& version : metadata.versions) {
    base::append_u32(out, version.number);
    out += static_cast<char>((version.destroyed ? 1 : 0) | (version.deletion ? 2 : 0));
    append_time(out, version.created);
    if (version.deletion) append_time(out, *version.deletion);
  }
  base::append_u32(out, static_cast<uint32_t>(metadata.custom.size()));
  for (const auto& [key, value] : metadata.custom) {
    base::append_string16(out, key);
    base::append_string16(out, value);
  }
  return out;
}

base::Result<Metadata> decode_metadata(std::string_view row) {
  Metadata metadata;
  base::ByteReader in(row);
  if (!read_metadata(in, metadata)) {
    return base::fail(base::ErrorKind::kCorrupt, "a secret's metadata can't be read");
  }
  return metadata;
}

std::string encode(const Settings& settings) {
  return base::Json(
             base::JsonObject{{"max_versions", static_cast<int64_t>(settings.max_versions)},
                              {"cas_required", settings.cas_required},
                              {"delete_version_after_ns", settings.delete_version_after.count()}})
      .dump();
}

base::Result<Settings> decode_settings(std::string_view row) {
  const auto json = base::Json::parse(row);
  if (!json || !json->is_object()) {
    return base::fail(base::ErrorKind::kCorrupt, "a mount's settings can't be read");
  }
  Settings settings;
  if (const base::Json* value = json->find("max_versions")) {
    settings.max_versions = static_cast<uint32_t>(value->as_int().value_or(0));
  }
  if (const base::Json* value = json->find("cas_required"); value && value->as_bool()) {
    settings.cas_required = *value->as_bool();
  }
  if (const base::Json* value = json->find("delete_version_after_ns")) {
    settings.delete_version_after = base::Duration(value->as_int().value_or(0));
  }
  return settings;
}

uint32_t versions_kept(const Metadata& metadata, const Settings& settings) {
  const uint32_t wanted = std::max(metadata.max_versions, settings.max_versions);
  return wanted == 0 ? kVersionsKeptByDefault : wanted;
}

std::optional<base::WallTime> deletion_time(const Metadata& metadata, const Settings& settings,
                                            base::WallTime now) {
  const base::Duration mount = settings.delete_version_after;
  const base::Duration path = metadata.delete_version_after;
  if (mount.count() < 0 || path.count() < 0) return std::nullopt;
  if (mount.count() == 0 && path.count() == 0) return std::nullopt;
  if (mount.count() == 0) return now + path;
  if (path.count() == 0) return now + mount;
  return now + std::min(mount, path);
}

}  // namespace rekey::engine::kv
