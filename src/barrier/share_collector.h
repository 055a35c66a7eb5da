// ShareCollector: gathers shares until there are enough of them and puts them together. What
// unsealing, rekeying and generating a root token have in common. Pure; used by one thread at a
// time; shares are wiped when they are dropped.
#pragma once

#include <optional>
#include <vector>

#include "base/error.h"
#include "base/secret_bytes.h"

namespace rekey::barrier {

class ShareCollector {
 public:
  bool contains(const base::SecretBytes& share) const;
  // The combined secret once `threshold` shares are there, else nothing. Whatever comes of the
  // combination, the collector is empty after it. kInvalid if the shares don't fit together.
  base::Result<std::optional<base::SecretBytes>> add(base::SecretBytes share, int threshold);
  void clear() { shares_.clear(); }
  int progress() const { return static_cast<int>(shares_.size()); }

 private:
  std::vector<base::SecretBytes> shares_;
};

}  // namespace rekey::barrier
