#include "app/test_clock.h"

#include <fstream>

namespace rekey::app {

base::Result<void> TestClock::read() {
  if (!in_use()) return {};
  constexpr int64_t kOffsetSecondsMax = 100LL * 365 * 86400;
  int64_t seconds = 0;
  std::ifstream in(file_);
  if (!(in >> seconds) || seconds < 0 || seconds > kOffsetSecondsMax) {
    return base::fail(base::ErrorKind::kInvalid, "no offset in seconds in " + file_);
  }
  const base::Duration moved = std::chrono::seconds(seconds);
  if (moved < offset()) {
    return base::fail(base::ErrorKind::kInvalid, "the test clock does not go back");
  }
  offset_ns_.store(moved.count(), std::memory_order_relaxed);
  return {};
}

}  // namespace rekey::app
