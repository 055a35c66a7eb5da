#include "barrier/unseal_progress.h"

#include <utility>

#include "barrier/seal.h"

namespace rekey::barrier {
namespace {
std::unexpected<base::Error> invalid_key(const base::Error& why) {
  return base::fail(why.kind(), "invalid key: " + why.message(), why.detail());
}
}  // namespace

base::Result<std::optional<base::SecretBytes>> UnsealProgress::add(base::SecretBytes share,
                                                                   int threshold) {
  const base::Result<void> length = check_share_length(share);
  if (!length) return invalid_key(length.error());
  if (collector_.contains(share)) return std::nullopt;
  if (progress() == 0) nonce_ = random_.uuid();
  base::Result<std::optional<base::SecretBytes>> key = collector_.add(std::move(share), threshold);
  if (progress() == 0) nonce_.clear();
  if (!key) return invalid_key(key.error());
  return key;
}

void UnsealProgress::reset() {
  collector_.clear();
  nonce_.clear();
}

}  // namespace rekey::barrier
