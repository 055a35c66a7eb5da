// How many wrapped answers wait for somebody to unwrap them, so that their number is bounded.
// Whoever counts the store now and then says what was found; in between each new one adds to it,
// and one that was unwrapped is only missed by the next count: the figure is never too low. Knows
// no store. Atomic operations only: any thread, but counts are one after the other.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/error.h"

namespace rekey::pipeline {

constexpr uint64_t kOpenWrappingsMax = 1'000'000;  // answers that nobody has unwrapped yet

class OpenWrappings {
 public:
  explicit OpenWrappings(uint64_t most = kOpenWrappingsMax) : most_(most) {}

  // Room for one more, which then counts. kLimited when there are too many.
  base::Result<void> admit();

  // What is made from here on may be missed by the count that begins.
  void begin_count() { made_at_count_ = made_.load(); }
  void end_count(uint64_t found);

  uint64_t known() const { return known_.load() + made_.load() - made_before_.load(); }

 private:
  const uint64_t most_;
  std::atomic<uint64_t> known_{0};        // found by the last count
  std::atomic<uint64_t> made_{0};         // ever
  std::atomic<uint64_t> made_before_{0};  // when the last count began
  uint64_t made_at_count_ = 0;            // the counting thread's
};

}  // namespace rekey::pipeline
