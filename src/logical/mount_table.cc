#include "logical/mount_table.h"

namespace rekey::logical {

std::shared_ptr<const Mount> MountTable::at(std::string_view path) const {
  const auto row = rows_.find(path);
  return row == rows_.end() ? nullptr : row->second;
}

std::shared_ptr<const Mount> MountTable::find(std::string_view path) const {
  // Candidates are the prefixes that end in a slash, longest first.
  for (size_t end = path.rfind('/'); end != std::string_view::npos;
       end = end == 0 ? std::string_view::npos : path.rfind('/', end - 1)) {
    if (auto mount = at(path.substr(0, end + 1))) return mount;
  }
  return at(std::string(path) + "/");
}

std::shared_ptr<const Mount> MountTable::in_the_way_of(std::string_view path) const {
  if (auto above = find(path)) return above;
  const auto below = rows_.lower_bound(path);
  if (below != rows_.end() && below->first.starts_with(path)) return below->second;
  return nullptr;
}

MountTable MountTable::with(std::shared_ptr<const Mount> mount) const {
  Rows rows = rows_;
  const std::string path = mount->path;
  rows.insert_or_assign(path, std::move(mount));
  return MountTable(std::move(rows));
}

MountTable MountTable::without(std::string_view path) const {
  Rows rows = rows_;
  if (const auto row = rows.find(path); row != rows.end()) rows.erase(row);
  return MountTable(std::move(rows));
}

}  // namespace rekey::logical
