// What a running server says of itself in sys/metrics; what each figure means for an operator is in
// docs/operations.md.
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <fstream>

#include "app/instance.h"
#include "app/upkeep.h"

namespace rekey::app {
namespace {

using base::MetricsPage;

double real(uint64_t value) { return static_cast<double>(value); }

// Counts by powers of two, as the store and the record keep them: bucket i holds what is at most
// 2^i (times `unit`). Empty buckets at the end are left out.
void powers_of_two(MetricsPage& page, std::string_view name, std::string_view help,
                   std::span<const uint64_t> buckets, double sum, double unit) {
  size_t used = buckets.size();
  while (used > 1 && buckets[used - 1] == 0) used--;
  std::vector<double> bounds;
  for (size_t i = 0; i < used; i++) bounds.push_back(std::ldexp(unit, static_cast<int>(i)));
  std::vector<uint64_t> counts(buckets.begin(), buckets.begin() + static_cast<ptrdiff_t>(used));
  counts.push_back(0);
  page.histogram(name, help, bounds, counts, sum);
}

void store_metrics(MetricsPage& page, const storage::Health& health) {
  page.gauge("store_writable", "0 after a failed sync: the store is read-only until a restart.",
             health.writable ? 1 : 0);
  page.gauge("store_keys", "Rows in the store.", real(health.keys));
  page.gauge("store_bytes", "Bytes of the store on disk, pages waiting for reuse included.",
             real(health.bytes_used));
  page.gauge("store_map_bytes", "Present bound of store_bytes; grows by itself.",
             real(health.bytes_max));
  page.gauge("store_queued_batches", "Commits that wait for the writer now.", real(health.queued));
  page.counter("store_commits_total", "Batches committed.", real(health.commits));
  page.counter("store_conflicts_total", "Batches that lost a race and were made anew.",
               real(health.conflicts));
  page.counter("store_failures_total", "Batches that failed in any other way.",
               real(health.failures));
  powers_of_two(page, "store_batches_per_sync", "Commits that shared one sync.",
                health.batches_per_sync.counts, real(health.batches_per_sync.sum), 1);
  powers_of_two(page, "store_sync_seconds", "Time to make one group of commits durable.",
                health.sync_ns.counts, real(health.sync_ns.sum) / 1e9, 1e-9);
}

void ledger_metrics(MetricsPage& page, const barrier::LedgerStatus& ledger) {
  page.gauge("ledger_rows", "Rows whose present value is known; 0 while sealed.",
             real(ledger.entries));
  page.gauge("ledger_bytes", "Memory for that.", real(ledger.bytes));
  page.counter("ledger_refused_total",
               "Reads of rows that were put back, taken away or added behind the server's back.",
               real(ledger.refused));
  page.gauge("ledger_missing_rows",
             "Rows that were written and are not there; below 0: rows that nobody wrote.",
             static_cast<double>(ledger.missing));
}

void record_metrics(MetricsPage& page, const audit::Health& health) {
  page.gauge("record_writable", "0 while the record can't be written: nothing is served.",
             health.writable ? 1 : 0);
  page.gauge("record_damaged", "1 if the files contradict what was signed.",
             health.damaged ? 1 : 0);
  page.gauge("record_entries", "Entries in the record.", real(health.size));
  page.gauge("record_published_entries", "Entries that are in tiles.", real(health.published));
  page.gauge("record_checkpoint_entries", "Entries under the last signed checkpoint.",
             real(health.checkpoint_size));
  page.gauge("record_wal_bytes", "Bytes of the write-ahead log on disk.", real(health.wal_bytes));
  page.counter("record_bytes_total", "Bytes of entries written.", real(health.entry_bytes));
  page.counter("record_commits_total", "Group commits.", real(health.groups));
  page.counter("record_write_failures_total", "Commits that failed and were tried again.",
               real(health.write_failures));
}

// One sample of a name after the other, so a loop for each name.
void device_metrics(MetricsPage& page, const auditdev::DeviceSet& set) {
  std::vector<std::pair<MetricsPage::Labels, auditdev::WriterHealth>> devices;
  for (const auto& device : set.devices()) {
    devices.emplace_back(MetricsPage::Labels{{"device", device->config().path}},
                         device->writer().health());
  }
  for (const auto& [labels, health] : devices) {
    page.gauge("audit_device_works", "0 while an audit device doesn't take its lines.",
               health.works ? 1 : 0, labels);
  }
  for (const auto& [labels, health] : devices) {
    page.gauge("audit_device_waiting_bytes", "Bytes of lines that wait for an audit device.",
               real(health.waiting_bytes), labels);
  }
  for (const auto& [labels, health] : devices) {
    page.counter("audit_device_lines_total", "Lines that an audit device took.",
                 real(health.lines_written), labels);
  }
  for (const auto& [labels, health] : devices) {
    page.counter("audit_device_lines_dropped_total",
                 "Lines that an audit device didn't take and that were dropped.",
                 real(health.lines_dropped), labels);
  }
}

void index_metrics(MetricsPage& page, const audit::IndexStatus& index) {
  page.gauge("record_indexed", "Entries that the record's index covers.", real(index.indexed));
  page.gauge("record_index_bytes", "Of the record's index on disk.", real(index.run_bytes));
  page.counter("record_index_removed_total", "Parts of the index that were damaged and made anew.",
               real(index.runs_removed));
}

void net_metrics(MetricsPage& page, const net::ServerStatistics& net) {
  page.gauge("connections", "Open connections.", real(net.connections_now));
  page.counter("connections_total", "Accepted.", real(net.connections_accepted));
  page.counter("connections_refused_total", "Over the limit.", real(net.connections_refused));
  page.counter("handshakes_failed_total", "TLS handshakes that failed.",
               real(net.handshakes_failed));
  page.counter("malformed_requests_total", "Refused before they were a request.",
               real(net.malformed));
  page.counter("connection_timeouts_total", "Closed because they were too slow.",
               real(net.timeouts));
  page.counter("received_bytes_total", "On the wire.", real(net.bytes_in));
  page.counter("sent_bytes_total", "On the wire.", real(net.bytes_out));
}

// From /proc/self/status: kilobytes.
void process_metrics(MetricsPage& page) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    const auto value = [&] {
      const size_t digits = line.find_first_of("0123456789");
      uint64_t number = 0;
      if (digits != std::string::npos) {
        (void)std::from_chars(line.data() + digits, line.data() + line.size(), number);
      }
      return real(number);
    };
    if (line.starts_with("VmRSS:"))
      page.gauge("process_resident_bytes", "Memory, the store's map included.", value() * 1024);
    if (line.starts_with("RssAnon:"))
      page.gauge("process_anonymous_bytes", "Memory of its own.", value() * 1024);
    if (line.starts_with("Threads:")) page.gauge("process_threads", "Threads.", value());
  }
}

}  // namespace

void Instance::collect_metrics(MetricsPage& page) const {
  using Counters = pipeline::RequestCounters;
  using Times = base::TimeHistogram;
  for (size_t operation = 0; operation < Counters::kOperations; operation++) {
    std::array<uint64_t, Times::kBuckets + 1> counts{};
    uint64_t sum_us = 0;
    for (const auto& lane : lanes_) lane->counters().times[operation].add_to(counts, sum_us);
    page.histogram(
        "core_handle_request_seconds", "From a request's arrival to its durable record.",
        Times::bounds_s(), counts, real(sum_us) / 1e6,
        {{"operation",
          std::string(logical::operation_name(static_cast<logical::Operation>(operation)))}});
  }
  for (size_t status = 0; status < Counters::kStatusClasses; status++) {
    uint64_t count = 0;
    for (const auto& lane : lanes_) count += lane->counters().by_status[status].load();
    page.counter("core_requests_total", "Answers by class of status.", real(count),
                 {{"status", std::to_string(status + 1) + "xx"}});
  }
  ledger_metrics(page, barrier_->ledger_status());
  uint64_t tokens = 0;
  for (const auto& lane : lanes_) tokens += lane->counters().tokens_created.load();
  page.counter("token_creation_total", "Tokens handed out, logins included.", real(tokens));
  const auto& removals = removal_->counters();
  page.counter("lease_removed_total", "Leases whose outside credential was removed.",
               real(removals.removed.load()));
  page.counter("lease_removal_failures_total", "Tries to remove one that failed.",
               real(removals.failed.load()));
  page.counter("lease_irrevocable_total",
               "Times that a lease was given up for an hour: somebody has to look.",
               real(removals.stuck.load()));
  if (upkeep_ != nullptr) {
    page.gauge("token_count", "Service tokens in the store, as of the last count.",
               real(upkeep_->token_count()));
  }
  page.gauge("wrapping_count", "Wrapped answers that nobody has unwrapped yet, at most.",
             real(keeper_->open_wrappings().known()));
  store_metrics(page, store_->health());
  record_metrics(page, record_->health());
  if (const auto state = keeper_->state().get(); state != nullptr && state->devices != nullptr) {
    device_metrics(page, *state->devices);
  }
  index_metrics(page, index_->status());
  net_metrics(page, server_->statistics());
  process_metrics(page);
}

}  // namespace rekey::app
