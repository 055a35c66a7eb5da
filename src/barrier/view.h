// View: one prefix of a Txn, which can't be left. It is all that an engine sees of the store.
//
// Keys are names under the prefix, any valid UTF-8. The store has no folders to climb, so "..", as
// a segment could not lead out; it is refused all the same, because a client or a proxy may have
// normalised such a path on the way and two names would mean one thing. Refused with kInvalid: an
// empty key, a NUL byte, invalid UTF-8, a segment that is empty, "." or "..", a key that ends in
// '/'; and with kTooLarge one that is longer, with the prefix, than a store takes.
// Same thread and life as the Txn.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/txn.h"
#include "base/error.h"

namespace rekey::barrier {

class View {
 public:
  // `prefix` is empty or ends in '/'.
  View(Txn& txn, std::string prefix);

  base::Result<std::optional<std::string>> get(std::string_view key);
  base::Result<std::optional<std::string>> peek(std::string_view key);
  base::Result<std::optional<storage::Revision>> revision(std::string_view key);
  base::Result<void> put(std::string_view key, std::string plaintext);
  base::Result<void> erase(std::string_view key);
  // `folder` is empty or ends in '/' (added if missing). As Txn::list.
  base::Result<std::vector<std::string>> list(std::string_view folder, std::string_view after = {},
                                              size_t limit = 0);
  // Keys, under the view's prefix and without it, that start with `prefix`. As Txn::scan.
  base::Result<void> scan(std::string_view prefix, std::string_view after, const Txn::Visit& visit);

  // A view of a part of this one; `name` ends in '/'.
  View sub(std::string_view name) const;
  const std::string& prefix() const { return prefix_; }

 private:
  enum class Shape { kKey, kFolder };
  base::Result<std::string> full_key(std::string_view key, Shape shape) const;

  Txn& txn_;
  std::string prefix_;
};

}  // namespace rekey::barrier
