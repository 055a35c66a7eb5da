// The key/value engine with versions (KV v2).
//
// Rows: config; m/<path>, the path's metadata; v/<path>/<n>, the text of version n's JSON object.
// A mount that was upgraded from KV v1 still has d/<path> rows: each counts as version 1 of its
// path until the path is written, which turns it into the other two. Stateless; any thread.
#pragma once

#include "logical/route.h"

namespace rekey::engine::kv {

// Custom metadata, as Vault bounds it.
inline constexpr size_t kCustomMetadataKeysMax = 64;
inline constexpr size_t kCustomMetadataKeyBytesMax = 128;
inline constexpr size_t kCustomMetadataValueBytesMax = 512;

class VersionedEngine final : public logical::Backend {
 public:
  VersionedEngine();
  std::string_view type() const override { return "kv"; }
  const logical::RouteTable& routes() const override { return routes_; }

 private:
  void add_data_routes();
  void add_metadata_routes();
  logical::RouteTable routes_;
};

}  // namespace rekey::engine::kv
