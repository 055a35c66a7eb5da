#include "base/metrics.h"

#include <gtest/gtest.h>

namespace rekey::base {
namespace {

TEST(Metrics, PrometheusTextHasOneTypeLineForEachName) {
  MetricsPage page("vault");
  page.gauge("core_unsealed", "Whether.", 1);
  page.counter("requests_total", "Requests.", 2, {{"operation", "read"}});
  page.counter("requests_total", "Requests.", 3, {{"operation", "a\"b\\c\nd"}});
  EXPECT_EQ(page.prometheus(),
            "# HELP vault_core_unsealed Whether.\n# TYPE vault_core_unsealed gauge\n"
            "vault_core_unsealed 1\n"
            "# HELP vault_requests_total Requests.\n# TYPE vault_requests_total counter\n"
            "vault_requests_total{operation=\"read\"} 2\n"
            "vault_requests_total{operation=\"a\\\"b\\\\c\\nd\"} 3\n");
}

TEST(Metrics, BucketsOfAHistogramAreCumulative) {
  MetricsPage page("");
  const double bounds[] = {0.5, 1};
  const uint64_t counts[] = {1, 2, 4};
  page.histogram("wait_seconds", "Waiting.", bounds, counts, 9.25, {{"kind", "x"}});
  EXPECT_EQ(page.prometheus(),
            "# HELP wait_seconds Waiting.\n# TYPE wait_seconds histogram\n"
            "wait_seconds_bucket{kind=\"x\",le=\"0.5\"} 1\n"
            "wait_seconds_bucket{kind=\"x\",le=\"1\"} 3\n"
            "wait_seconds_bucket{kind=\"x\",le=\"+Inf\"} 7\n"
            "wait_seconds_sum{kind=\"x\"} 9.25\nwait_seconds_count{kind=\"x\"} 7\n");
}

TEST(Metrics, TimesFallIntoTheBucketThatHoldsThem) {
  TimeHistogram times;
  times.add_us(0);
  times.add_us(64);
  times.add_us(65);
  times.add_us(uint64_t{64} << 40);  // beyond the last bound
  std::array<uint64_t, TimeHistogram::kBuckets + 1> counts{};
  uint64_t sum_us = 0;
  times.add_to(counts, sum_us);
  EXPECT_EQ(counts[0], 2u);
  EXPECT_EQ(counts[1], 1u);
  EXPECT_EQ(counts.back(), 1u);
  EXPECT_EQ(sum_us, 129 + (uint64_t{64} << 40));
  EXPECT_DOUBLE_EQ(TimeHistogram::bounds_s()[0], 64e-6);
}

TEST(Metrics, JsonHasVaultsFiveMembers) {
  MetricsPage page("vault");
  page.gauge("core_unsealed", "Whether.", 1);
  page.counter("requests_total", "Requests.", 2);
  const double bounds[] = {1};
  const uint64_t counts[] = {1, 1};
  page.histogram("wait", "Waiting.", bounds, counts, 3);
  EXPECT_EQ(page.json("now").dump(),
            R"({"Counters":[{"Count":2,"Labels":{},"Name":"vault.requests.total","Sum":2}],)"
            R"("Gauges":[{"Labels":{},"Name":"vault.core.unsealed","Value":1}],"Points":[],)"
            R"("Samples":[{"Count":2,"Labels":{},"Mean":1.5,"Name":"vault.wait","Sum":3}],)"
            R"("Timestamp":"now"})");
}

}  // namespace
}  // namespace rekey::base
