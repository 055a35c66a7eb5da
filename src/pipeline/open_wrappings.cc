#include "pipeline/open_wrappings.h"

#include <string>

namespace rekey::pipeline {

base::Result<void> OpenWrappings::admit() {
  made_.fetch_add(1);
  if (known() <= most_) return {};
  made_.fetch_sub(1);
  return base::fail(base::ErrorKind::kLimited,
                    "too many wrapped answers wait to be unwrapped: at most " +
                        std::to_string(most_) + "; try again when some are");
}

void OpenWrappings::end_count(uint64_t found) {
  // In this order the sum is too high for a moment, never too low.
  known_.store(found);
  made_before_.store(made_at_count_);
}

}  // namespace rekey::pipeline
