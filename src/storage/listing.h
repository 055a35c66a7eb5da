// The page of a folder, the same for every driver that has a sorted cursor over its keys.
//
// A cursor has `bool seek(key)` (to the first key >= key), `bool next()` (both false at the end or
// after a failure), `std::string_view key()`, and `Result<void> status()` that tells the two apart.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace rekey::storage {

// Goes to the first key that lies behind everything a name <= `after` stands for.
template <class Cursor>
bool seek_behind_name(Cursor& cursor, std::string_view prefix, std::string_view after) {
  std::string start(prefix);
  const size_t slash = after.find('/');
  if (slash != std::string_view::npos) {
    // "b/" stands for all keys of that folder: the first key behind them starts with "b0" or more.
    start.append(after.substr(0, slash)).push_back('/' + 1);
    return cursor.seek(start);
  }
  start.append(after);
  const bool found = cursor.seek(start);
  // A key equal to the prefix would be a child without a name: skipped here too.
  return found && cursor.key() == start ? cursor.next() : found;
}

// Reader::list. Sub-folders are skipped by seeking, so a page costs the page. Names come out in
// byte order because a name is a prefix of its keys and no name is a prefix of a folder's other
// than "b" and "b/", which key order has the same way round.
template <class Cursor>
base::Result<std::vector<std::string>> list_names(Cursor& cursor, std::string_view prefix,
                                                  std::string_view after, size_t limit) {
  std::vector<std::string> names;
  if (limit == 0) return names;
  bool more = seek_behind_name(cursor, prefix, after);
  while (more && cursor.key().starts_with(prefix)) {
    const std::string_view rest = cursor.key().substr(prefix.size());
    const size_t slash = rest.find('/');
    names.emplace_back(rest.substr(0, slash == std::string_view::npos ? slash : slash + 1));
    if (names.size() == limit) break;
    more = slash == std::string_view::npos ? cursor.next()
                                           : seek_behind_name(cursor, prefix, names.back());
  }
  if (auto status = cursor.status(); !status) return base::forward(status);
  return names;
}

// Reader::scan.
template <class Cursor>
base::Result<std::vector<std::string>> scan_keys(Cursor& cursor, std::string_view prefix,
                                                 std::string_view after, size_t limit) {
  std::vector<std::string> keys;
  if (limit == 0) return keys;
  bool more = false;
  if (after < prefix) {
    more = cursor.seek(prefix);
  } else {
    more = cursor.seek(after);
    if (more && cursor.key() == after && !after.empty()) more = cursor.next();
  }
  for (; more && keys.size() < limit && cursor.key().starts_with(prefix); more = cursor.next()) {
    keys.emplace_back(cursor.key());
  }
  if (auto status = cursor.status(); !status) return base::forward(status);
  return keys;
}

}  // namespace rekey::storage
