#include "barrier/share_collector.h"

#include <utility>

#include "barrier/seal.h"

namespace rekey::barrier {

bool ShareCollector::contains(const base::SecretBytes& share) const {
  bool found = false;
  for (const base::SecretBytes& other : shares_) {
    found |= base::equal_constant_time(other.reveal(), share.reveal());
  }
  return found;
}

base::Result<std::optional<base::SecretBytes>> ShareCollector::add(base::SecretBytes share,
                                                                   int threshold) {
  shares_.push_back(std::move(share));
  if (progress() < threshold) return std::nullopt;
  const std::vector<base::SecretBytes> all = std::exchange(shares_, {});
  base::Result<base::SecretBytes> secret = combine_shares(all, static_cast<int>(all.size()));
  if (!secret) {
    return base::fail(secret.error().kind(),
                      "failed to compute combined key: " + secret.error().message());
  }
  return std::optional<base::SecretBytes>(std::move(*secret));
}

}  // namespace rekey::barrier
