// Quotas: how many requests a client may make in a time, and how many leases a path may hold.
//
// A set is an immutable snapshot, part of State; only the counters in it change, by atomic
// operations, so that no request waits for another. Of the quotas that fit a request the most
// particular one counts, as in Vault: path and role, path, mount, all.
// Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/txn.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "storage/store.h"

namespace rekey::pipeline {

constexpr std::string_view kQuotaPrefix = "core/quota/";  // <kind>/<name>
constexpr std::string_view kQuotaConfigRow = "core/quota-config";
constexpr size_t kQuotasMax = 1000;        // of one kind
constexpr size_t kQuotaClientsMax = 4096;  // told apart by one rate-limit quota
// A kLimited error of a quota says in its detail after how many seconds to come again.
constexpr std::string_view kRetryAfterDetail = "retry after seconds: ";
constexpr base::Duration kRecountInterval = std::chrono::seconds(5);  // of leases, at least

enum class QuotaKind { kRateLimit, kLeaseCount };
std::string_view quota_kind_name(QuotaKind kind);  // "rate-limit"

// A quota as it was set.
struct Quota {
  QuotaKind kind = QuotaKind::kRateLimit;
  std::string name;
  std::string path;  // "", "secret/", "secret/data/a", "auth/x/login/*"
  std::string role;  // or empty
  double rate = 0;   // requests in an interval, of one client
  base::Duration interval = std::chrono::seconds(1);
  base::Duration block{};  // how long a client is refused that went over
  int64_t max_leases = 0;
  bool inheritable = false;
};
std::string encode_quota(const Quota& quota);
base::Result<Quota> decode_quota(std::string_view row);

// Requests of many clients against one rate, without a lock: for each client the time at which it
// will have used up nothing (a leaky bucket, GCRA). Clients that were idle give their place to
// others; when more are active than there are places, some share one.
class RateLimiter {
 public:
  RateLimiter(double rate, base::Duration interval, base::Duration block);
  // Zero: go on. Otherwise how long the client has to wait.
  base::Duration take(uint64_t client, base::Duration now);

 private:
  struct Place {
    std::atomic<uint64_t> client{0};
    std::atomic<int64_t> used_until_ns{0};  // monotonic
  };
  Place& place_of(uint64_t client, int64_t now_ns);
  int64_t per_request_ns_, burst_ns_, block_ns_;
  std::array<Place, kQuotaClientsMax> places_;
};

// Leases under a path: counted now and then, and what came since added.
struct LeaseCounter {
  std::atomic<int64_t> counted{0}, since{0};
};

class QuotaSet {
 public:
  struct Row {
    Quota quota;
    std::shared_ptr<RateLimiter> limiter;
    std::shared_ptr<LeaseCounter> leases;
  };
  // Reads all quotas; a limiter or counter of `before` goes on where its quota didn't change.
  static base::Result<QuotaSet> load(storage::Reader& reader, barrier::Txn& txn,
                                     const QuotaSet* before);

  struct Asked {
    std::string_view path, mount, role;
  };
  // The quota of this kind that counts for a request; nullptr: none.
  const Row* find(QuotaKind kind, const Asked& asked) const;
  bool has(QuotaKind kind) const { return !rows_[static_cast<size_t>(kind)].empty(); }
  // Whether a quota of this kind counts for one role alone, so that a login's has to be found out.
  bool has_roles(QuotaKind kind) const;
  bool is_exempt(std::string_view path) const;
  bool records_refusals() const { return records_refusals_; }

  // Counts the leases of every lease-count quota anew. For a thread that may take its time.
  base::Result<void> recount(storage::Reader& reader, barrier::Txn& txn) const;

 private:
  // From the most particular to the least.
  std::array<std::vector<Row>, 2> rows_;
  std::vector<std::string> exempt_;  // with a star at the end: prefixes
  bool records_refusals_ = false;
};

}  // namespace rekey::pipeline
