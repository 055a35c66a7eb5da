// The mount table: which backend serves which path. An immutable snapshot, swapped whole; a look-up
// is a walk from the longest possible prefix down.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "logical/context.h"

namespace rekey::logical {

class MountTable {
 public:
  using Rows = std::map<std::string, std::shared_ptr<const Mount>, std::less<>>;
  MountTable() = default;
  explicit MountTable(Rows rows) : rows_(std::move(rows)) {}

  // The mount with the longest path that `path` starts with; nullptr when there is none. A path
  // that lacks only the final slash finds its mount too ("secret" finds "secret/").
  std::shared_ptr<const Mount> find(std::string_view path) const;
  // The mount at exactly this path (with its slash); nullptr when there is none.
  std::shared_ptr<const Mount> at(std::string_view path) const;
  // A mount whose path is a prefix of `path`, or of which `path` is a prefix; nullptr when the path
  // is free.
  std::shared_ptr<const Mount> in_the_way_of(std::string_view path) const;
  const Rows& rows() const { return rows_; }
  MountTable with(std::shared_ptr<const Mount> mount) const;
  MountTable without(std::string_view path) const;

 private:
  Rows rows_;
};

}  // namespace rekey::logical
