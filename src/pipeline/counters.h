// What a lane counts of the requests it served, for sys/metrics. Written by the lane's thread
// alone, read by any.
#pragma once

#include <array>
#include <atomic>

#include "base/metrics.h"
#include "logical/request.h"

namespace rekey::pipeline {

struct RequestCounters {
  static constexpr size_t kOperations = static_cast<size_t>(logical::Operation::kHelp) + 1;
  static constexpr size_t kStatusClasses = 5;  // 1xx to 5xx

  std::array<base::TimeHistogram, kOperations> times;  // from arrival to a durable record
  std::array<std::atomic<uint64_t>, kStatusClasses> by_status{};
  std::atomic<uint64_t> tokens_created{0};

  void count(logical::Operation operation, const base::Result<logical::Response>& answer,
             uint64_t us) {
    times[static_cast<size_t>(operation)].add_us(us);
    const auto status = static_cast<size_t>(logical::status_of(answer)) / 100 - 1;
    bump(by_status[std::min(status, kStatusClasses - 1)]);
    if (answer && answer->auth) bump(tokens_created);
  }

 private:
  static void bump(std::atomic<uint64_t>& cell) {
    cell.store(cell.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
};

}  // namespace rekey::pipeline
