#include "pipeline/quota.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include "base/codec.h"
#include "identity/token_store.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;

constexpr size_t kCountPage = 10'000;  // keys read at a time
constexpr int kProbes = 4;             // places that a client may have

bool matches(const Quota& quota, const QuotaSet::Asked& asked) {
  if (!quota.role.empty() && quota.role != asked.role) return false;
  if (quota.path.empty()) return true;
  if (quota.path.ends_with('*')) {
    return asked.path.starts_with(std::string_view(quota.path).substr(0, quota.path.size() - 1));
  }
  return quota.path == asked.path || quota.path == asked.mount;
}

// Longer paths first; of the same path the one with a role, and exact before a star.
bool more_particular(const QuotaSet::Row& a, const QuotaSet::Row& b) {
  if (a.quota.path.size() != b.quota.path.size()) {
    return a.quota.path.size() > b.quota.path.size();
  }
  if (a.quota.role.empty() != b.quota.role.empty()) return !a.quota.role.empty();
  return a.quota.name < b.quota.name;
}

int64_t integer(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  return member == nullptr ? 0 : member->as_int().value_or(0);
}

bool flag(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  return member != nullptr && member->as_bool() && *member->as_bool();
}

// The keys of a prefix that `counts`.
using Counts = std::function<Result<bool>(std::string_view key)>;
Result<int64_t> count_keys(storage::Reader& reader, const std::string& prefix,
                           const Counts& counts = {}) {
  int64_t count = 0;
  std::string after;
  while (true) {
    auto keys = reader.scan(prefix, after, kCountPage);
    if (!keys) return forward(keys);
    for (const std::string& key : *keys) {
      auto one = counts ? counts(key) : Result<bool>(true);
      if (!one) return forward(one);
      count += *one ? 1 : 0;
    }
    if (keys->size() < kCountPage) return count;
    after = std::move(keys->back());
  }
}

std::string_view last_part(std::string_view key) {
  return key.substr(std::min(key.rfind('/') + 1, key.size()));
}

// database/creds/<role>/<id>: the role stands before the id.
bool lease_of_role(std::string_view key, std::string_view role) {
  key.remove_suffix(std::min(last_part(key).size() + 1, key.size()));
  return last_part(key) == role;
}

// Who logged in with it; that stands in the token's row alone.
Result<bool> token_of_role(barrier::Txn& txn, std::string_view key, std::string_view role) {
  std::string_view hex = last_part(key);
  constexpr size_t kHashChars = 2 * identity::kTokenHashBytes;  // at the end
  hex.remove_prefix(hex.size() - std::min(kHashChars, hex.size()));
  auto hash = base::hex_decode(hex);
  if (!hash) return false;
  auto row = txn.peek(identity::token_row_key(*hash));
  if (!row) return forward(row);
  if (!*row) return false;
  auto token = identity::decode_token(**row);
  if (!token) return forward(token);
  return token->login_role == role;
}

}  // namespace

std::string_view quota_kind_name(QuotaKind kind) {
  return kind == QuotaKind::kRateLimit ? "rate-limit" : "lease-count";
}

std::string encode_quota(const Quota& quota) {
  const JsonObject row{{"kind", quota_kind_name(quota.kind)},
                       {"name", quota.name},
                       {"path", quota.path},
                       {"role", quota.role},
                       {"rate", Json::number(quota.rate)},
                       {"interval_ms", quota.interval.count() / 1'000'000},
                       {"block_ms", quota.block.count() / 1'000'000},
                       {"max_leases", quota.max_leases},
                       {"inheritable", quota.inheritable}};
  return Json(row).dump();
}

Result<Quota> decode_quota(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(ErrorKind::kCorrupt, "a quota's row can't be read");
  }
  Quota quota;
  quota.kind =
      row->string_or("kind", "") == "lease-count" ? QuotaKind::kLeaseCount : QuotaKind::kRateLimit;
  quota.name = row->string_or("name", "");
  quota.path = row->string_or("path", "");
  quota.role = row->string_or("role", "");
  if (const Json* rate = row->find("rate")) quota.rate = rate->as_double().value_or(0);
  quota.interval = std::chrono::milliseconds(integer(*row, "interval_ms"));
  quota.block = std::chrono::milliseconds(integer(*row, "block_ms"));
  quota.max_leases = integer(*row, "max_leases");
  quota.inheritable = flag(*row, "inheritable");
  return quota;
}

RateLimiter::RateLimiter(double rate, base::Duration interval, base::Duration block)
    : block_ns_(block.count()) {
  const double each = static_cast<double>(interval.count()) / std::max(rate, 1e-6);
  per_request_ns_ = std::max<int64_t>(1, std::llround(std::min(each, 9e17)));
  // As many at once as fit into an interval, at least one.
  burst_ns_ = std::max(per_request_ns_, interval.count());
}

RateLimiter::Place& RateLimiter::place_of(uint64_t client, int64_t now_ns) {
  client = std::max<uint64_t>(client, 1);
  for (int i = 0; i < kProbes; i++) {
    Place& place = places_[(client + static_cast<uint64_t>(i)) % places_.size()];
    uint64_t holder = place.client.load(std::memory_order_relaxed);
    if (holder == client) return place;
    const bool idle = holder == 0 || place.used_until_ns.load(std::memory_order_relaxed) <= now_ns;
    if (idle && place.client.compare_exchange_strong(holder, client)) return place;
  }
  return places_[client % places_.size()];  // shared with somebody who is as busy
}

base::Duration RateLimiter::take(uint64_t client, base::Duration now) {
  const int64_t now_ns = now.count();
  Place& place = place_of(client, now_ns);
  int64_t used_until = place.used_until_ns.load(std::memory_order_relaxed);
  while (true) {
    const int64_t from = std::max(used_until, now_ns);
    const int64_t next = from + per_request_ns_;
    if (next - now_ns <= burst_ns_) {
      if (place.used_until_ns.compare_exchange_weak(used_until, next)) return {};
      continue;
    }
    const int64_t wait = std::max<int64_t>(1, next - burst_ns_ - now_ns);
    if (block_ns_ <= wait) return base::Duration(wait);
    // Over it once: refused for the whole time.
    const int64_t blocked = now_ns + block_ns_ + burst_ns_ - per_request_ns_;
    if (used_until >= blocked || place.used_until_ns.compare_exchange_weak(used_until, blocked)) {
      return base::Duration(std::max(block_ns_, wait));
    }
  }
}

Result<QuotaSet> QuotaSet::load(storage::Reader& reader, barrier::Txn& txn,
                                const QuotaSet* before) {
  QuotaSet set;
  Result<void> problem;
  auto scanned = txn.scan(kQuotaPrefix, "", [&](std::string_view, std::string_view text) {
    auto quota = decode_quota(text);
    if (!quota) {
      problem = forward(quota);
      return false;
    }
    Row row{std::move(*quota), nullptr, nullptr};
    if (before != nullptr) {
      for (const Row& old : before->rows_[static_cast<size_t>(row.quota.kind)]) {
        if (encode_quota(old.quota) == encode_quota(row.quota)) row = old;
      }
    }
    if (row.quota.kind == QuotaKind::kRateLimit && row.limiter == nullptr) {
      row.limiter =
          std::make_shared<RateLimiter>(row.quota.rate, row.quota.interval, row.quota.block);
    }
    if (row.quota.kind == QuotaKind::kLeaseCount && row.leases == nullptr) {
      row.leases = std::make_shared<LeaseCounter>();
    }
    set.rows_[static_cast<size_t>(row.quota.kind)].push_back(std::move(row));
    return true;
  });
  if (!scanned) return forward(scanned);
  if (!problem) return forward(problem);
  for (auto& rows : set.rows_) std::ranges::sort(rows, more_particular);
  auto config = txn.peek(kQuotaConfigRow);
  if (!config) return forward(config);
  if (const auto row = Json::parse(config->value_or("{}"))) {
    set.records_refusals_ = flag(*row, "enable_rate_limit_audit_logging");
    const Json* exempt = row->find("rate_limit_exempt_paths");
    if (exempt != nullptr && exempt->as_array() != nullptr) {
      for (const Json& item : *exempt->as_array()) {
        if (const std::string* path = item.as_string()) set.exempt_.push_back(*path);
      }
    }
  }
  auto counted = set.recount(reader, txn);
  if (!counted) return forward(counted);
  return set;
}

const QuotaSet::Row* QuotaSet::find(QuotaKind kind, const Asked& asked) const {
  for (const Row& row : rows_[static_cast<size_t>(kind)]) {
    if (matches(row.quota, asked)) return &row;
  }
  return nullptr;
}

bool QuotaSet::is_exempt(std::string_view path) const {
  return std::ranges::any_of(exempt_, [&](const std::string& one) {
    if (!one.ends_with('*')) return path == one;
    return path.starts_with(std::string_view(one).substr(0, one.size() - 1));
  });
}

bool QuotaSet::has_roles(QuotaKind kind) const {
  return std::ranges::any_of(rows_[static_cast<size_t>(kind)],
                             [](const Row& row) { return !row.quota.role.empty(); });
}

Result<void> QuotaSet::recount(storage::Reader& reader, barrier::Txn& txn) const {
  for (const Row& row : rows_[static_cast<size_t>(QuotaKind::kLeaseCount)]) {
    std::string path = row.quota.path;
    if (path.ends_with('*')) path.pop_back();
    const int64_t since = row.leases->since.load();
    const std::string& role = row.quota.role;
    const auto of_role = [&](const std::function<Result<bool>(std::string_view)>& counts) {
      return role.empty() ? Counts() : Counts(counts);
    };
    auto leases = count_keys(reader, "lease/id/" + path, of_role([&](std::string_view key) {
                               return Result<bool>(lease_of_role(key, role));
                             }));
    if (!leases) return forward(leases);
    auto tokens =
        count_keys(reader, "token/path/" + path,
                   of_role([&](std::string_view key) { return token_of_role(txn, key, role); }));
    if (!tokens) return forward(tokens);
    row.leases->counted.store(*leases + *tokens);
    row.leases->since.fetch_sub(since);  // these are in the store by now, or failed
  }
  return {};
}

}  // namespace rekey::pipeline
