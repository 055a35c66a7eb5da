// UnsealProgress: the shares given so far to open a sealed store. Knows no seal and no HTTP; the
// owner takes the unseal key that comes out to Seal::unwrap and Barrier::unseal. Behaviour and
// texts are those of OpenBao 2.7.2's sys/unseal. Used by one thread at a time.
#pragma once

#include <optional>
#include <string>

#include "barrier/share_collector.h"
#include "base/error.h"
#include "base/random.h"
#include "base/secret_bytes.h"

namespace rekey::barrier {

class UnsealProgress {
 public:
  explicit UnsealProgress(base::Random& random) : random_(random) {}

  // The unseal key once there are `threshold` shares. A share that was given before changes
  // nothing. kInvalid "invalid key: ..." for one of impossible length, which changes nothing
  // either, and for shares that don't fit together, after which all have to be given again.
  base::Result<std::optional<base::SecretBytes>> add(base::SecretBytes share, int threshold);
  void reset();

  int progress() const { return collector_.progress(); }
  // New with every first share; empty while there is none.
  const std::string& nonce() const { return nonce_; }

 private:
  base::Random& random_;
  ShareCollector collector_;
  std::string nonce_;
};

}  // namespace rekey::barrier
