#include "barrier/view.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/codec.h"

namespace rekey::barrier {

using base::ErrorKind;

View::View(Txn& txn, std::string prefix) : txn_(txn), prefix_(std::move(prefix)) {
  REKEY_CHECK(prefix_.empty() || prefix_.ends_with('/'));
}

base::Result<std::string> View::full_key(std::string_view key, Shape shape) const {
  const bool may_be_empty = shape == Shape::kFolder;
  if (key.empty() && !may_be_empty) return base::fail(ErrorKind::kInvalid, "missing key");
  if (key.find('\0') != std::string_view::npos) {
    return base::fail(ErrorKind::kInvalid, "key contains a NUL byte");
  }
  if (!base::is_valid_utf8(key)) {
    return base::fail(ErrorKind::kInvalid, "key contains invalid UTF-8 characters");
  }
  if (shape == Shape::kKey && key.ends_with('/')) {
    return base::fail(ErrorKind::kInvalid, "cannot write to a path ending in '/'");
  }
  for (size_t start = 0; start < key.size();) {
    const size_t slash = std::min(key.find('/', start), key.size());
    const std::string_view segment = key.substr(start, slash - start);
    if (segment == "." || segment == "..") {
      return base::fail(ErrorKind::kInvalid, "relative paths not supported");
    }
    if (segment.empty()) return base::fail(ErrorKind::kInvalid, "key contains an empty segment");
    start = slash + 1;
  }
  std::string full = prefix_ + std::string(key);
  if (full.size() > storage::kEmbeddedLimits.key_bytes_max) {
    return base::fail(ErrorKind::kTooLarge, "key is too long");
  }
  return full;
}

base::Result<std::optional<std::string>> View::get(std::string_view key) {
  base::Result<std::string> full = full_key(key, Shape::kKey);
  if (!full) return base::forward(full);
  return txn_.get(*full);
}

base::Result<std::optional<std::string>> View::peek(std::string_view key) {
  base::Result<std::string> full = full_key(key, Shape::kKey);
  if (!full) return base::forward(full);
  return txn_.peek(*full);
}

base::Result<std::optional<storage::Revision>> View::revision(std::string_view key) {
  base::Result<std::string> full = full_key(key, Shape::kKey);
  if (!full) return base::forward(full);
  return txn_.revision(*full);
}

base::Result<void> View::put(std::string_view key, std::string plaintext) {
  base::Result<std::string> full = full_key(key, Shape::kKey);
  if (!full) return base::forward(full);
  txn_.put(*full, std::move(plaintext));
  return {};
}

base::Result<void> View::erase(std::string_view key) {
  base::Result<std::string> full = full_key(key, Shape::kKey);
  if (!full) return base::forward(full);
  txn_.erase(*full);
  return {};
}

base::Result<std::vector<std::string>> View::list(std::string_view folder, std::string_view after,
                                                  size_t limit) {
  std::string name(folder);
  if (!name.empty() && !name.ends_with('/')) name += '/';
  base::Result<std::string> full = full_key(name, Shape::kFolder);
  if (!full) return base::forward(full);
  return txn_.list(*full, after, limit);
}

base::Result<void> View::scan(std::string_view prefix, std::string_view after,
                              const Txn::Visit& visit) {
  const std::string first = after.empty() ? std::string() : prefix_ + std::string(after);
  return txn_.scan(prefix_ + std::string(prefix), first,
                   [&](std::string_view key, std::string_view plaintext) {
                     return visit(key.substr(prefix_.size()), plaintext);
                   });
}

View View::sub(std::string_view name) const {
  REKEY_CHECK(name.ends_with('/'));
  return View(txn_, prefix_ + std::string(name));
}

}  // namespace rekey::barrier
