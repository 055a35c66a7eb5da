// What the kv commands share: which mount a path is in and of which version.
#pragma once

#include <string>
#include <string_view>

#include "cli/command.h"

namespace rekey::cli {

struct KvPath {
  std::string mount;  // "secret/", "" if an old server doesn't say
  std::string rest;   // below the mount, no slash at its ends; "" for the mount itself
  bool is_v2 = false;

  // secret/data/app for "data"; secret/app on a store without versions.
  std::string full(std::string_view part) const;
};

// The first argument with -mount, or alone with the mount as its start.
base::Result<KvPath> find_kv_path(Context& context, std::string_view argument);

// -versions: "1,2" or several times.
std::vector<std::string> versions_given(const Flags& flags);

// "== Secret Path ==" and the path under it.
std::string secret_path_block(std::string_view title, std::string_view path);
// "=== Data ===" over a table, as wide as the table's names ask for; then an empty line where
// `more` follows.
std::string titled_table(std::string_view title, const base::Json& object);

inline constexpr FlagSpec kMountFlag = {
    .name = "mount",
    .help =
        "Where the store is mounted. The argument is then the path below it; without this "
        "flag the argument starts with the mount."};

}  // namespace rekey::cli
