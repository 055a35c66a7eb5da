// What KV v2 keeps about one path beside its values: the versions there were, and the path's own
// settings. One row, m/<path>; layout in docs/formats/kv.md. Values; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace rekey::engine::kv {

inline constexpr uint32_t kVersionsKeptByDefault = 10;

struct Version {
  uint32_t number = 0;
  base::WallTime created{};
  std::optional<base::WallTime> deletion;  // set: deleted, or to be deleted then
  bool destroyed = false;

  bool deleted(base::WallTime now) const { return deletion && *deletion <= now; }
};

struct Metadata {
  std::vector<Version> versions;  // ascending; only those that are kept
  uint32_t current = 0;           // 0: metadata without any version
  uint32_t oldest = 0;            // of those kept
  base::WallTime created{}, updated{};
  uint32_t max_versions = 0;  // 0: the mount's
  bool cas_required = false;
  base::Duration delete_version_after{};  // 0: the mount's
  std::map<std::string, std::string> custom;

  Version* find(uint32_t number);
  const Version* find(uint32_t number) const;
};

// The mount's settings: row "config".
struct Settings {
  uint32_t max_versions = 0;  // 0: kVersionsKeptByDefault
  bool cas_required = false;
  base::Duration delete_version_after{};  // 0: never; negative: never, whatever the path says
};

std::string encode(const Metadata& metadata);
base::Result<Metadata> decode_metadata(std::string_view row);
std::string encode(const Settings& settings);
base::Result<Settings> decode_settings(std::string_view row);

uint32_t versions_kept(const Metadata& metadata, const Settings& settings);
// When a version written at `now` is to be deleted; nothing for never.
std::optional<base::WallTime> deletion_time(const Metadata& metadata, const Settings& settings,
                                            base::WallTime now);

}  // namespace rekey::engine::kv
