// MetricsPage: what the parts of a server say about themselves, collected for one answer, in
// Prometheus' text form (exposition format 0.0.4) or in the JSON form of Vault's sys/metrics.
//
// Values only; used by one thread. Who fills it reads counters that others write with relaxed
// atomics, so that counting costs a request nothing to speak of.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace rekey::base {

class MetricsPage {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  // `prefix` goes before each name, with an underscore; may be empty.
  explicit MetricsPage(std::string prefix) : prefix_(std::move(prefix)) {}

  // Samples of one name are given one after the other, with the same help text.
  void gauge(std::string_view name, std::string_view help, double value, Labels labels = {});
  void counter(std::string_view name, std::string_view help, double value, Labels labels = {});
  // counts[i] samples were at most bounds[i] (and more than bounds[i - 1]); one more count than
  // bounds: what was beyond.
  void histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                 std::span<const uint64_t> counts, double sum, Labels labels = {});

  std::string prometheus() const;
  // {"Timestamp", "Gauges", "Points", "Counters", "Samples"}.
  Json json(std::string_view timestamp) const;

 private:
  enum class Kind { kGauge, kCounter, kHistogram };
  struct Sample {
    Kind kind;
    std::string name, help;
    Labels labels;
    double value = 0;  // of a histogram: the sum
    std::vector<double> bounds;
    std::vector<uint64_t> counts;
  };
  void add(Sample sample);

  std::string prefix_;
  std::vector<Sample> samples_;
};

// A histogram that one thread writes and others may read: times by powers of two, from 64 us to
// 34 s.
class TimeHistogram {
 public:
  static constexpr size_t kBuckets = 20;
  static constexpr uint64_t kFirstBoundUs = 64;

  void add_us(uint64_t us) {
    size_t bucket = 0;
    while (bucket < kBuckets && us > kFirstBoundUs << bucket) bucket++;
    bump(counts_[bucket], 1);
    bump(sum_us_, us);
  }
  // Adds what this one counted to a sum over several; counts has kBuckets + 1 places.
  void add_to(std::span<uint64_t> counts, uint64_t& sum_us) const;
  static std::array<double, kBuckets> bounds_s();

 private:
  // One writer: no need for a locked addition.
  static void bump(std::atomic<uint64_t>& cell, uint64_t by) {
    cell.store(cell.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  std::array<std::atomic<uint64_t>, kBuckets + 1> counts_{};
  std::atomic<uint64_t> sum_us_{0};
};

}  // namespace rekey::base
