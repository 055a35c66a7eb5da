// The rows of a KV v2 mount, as its handlers read and write them.
#pragma once

#include <optional>
#include <string>

#include "engine/kv/metadata.h"
#include "logical/context.h"

namespace rekey::engine::kv {

class Rows {
 public:
  explicit Rows(logical::Context& context) : context_(context) {}

  base::Result<Settings> settings();
  base::Result<void> write_settings(const Settings& settings);

  // Nothing where the path was never written. `to_change` makes the row a condition of the commit.
  base::Result<std::optional<Metadata>> metadata(std::string_view path, bool to_change);
  base::Result<void> write_metadata(std::string_view path, const Metadata& metadata);

  // The text of a version's JSON object.
  base::Result<std::string> value(std::string_view path, uint32_t version);
  base::Result<void> write_value(std::string_view path, uint32_t version, std::string text);
  base::Result<void> erase_value(std::string_view path, uint32_t version);
  // The path with all its versions.
  base::Result<void> erase_all(std::string_view path, const Metadata& metadata);

  base::Result<std::vector<std::string>> list(std::string_view folder, std::string_view after,
                                              size_t limit);

 private:
  // Turns a row of KV v1 into metadata and a value, within the same commit.
  base::Result<void> convert(std::string_view path);

  logical::Context& context_;
  bool read_plain_ = false;  // the metadata that was read came from a row of KV v1
};

}  // namespace rekey::engine::kv
