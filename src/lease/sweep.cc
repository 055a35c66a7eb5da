// The background steps: from the order of ends, of tokens and of scopes into the queues.
#include "base/json.h"
#include "identity/token_store.h"
#include "lease/keys.h"
#include "lease/lease_store.h"

namespace rekey::lease {
namespace {

using base::Json;
using base::JsonObject;

// What a job is about and how far it came.
struct Job {
  std::string key;
  JsonObject row;
  std::string path, accessor, role, entity, after;
  bool batch = false, forget = false;
  storage::Revision before = 0;  // leases that were issued before it are void
};

bool flag(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  return member != nullptr && member->as_bool() && *member->as_bool();
}

base::Result<std::optional<Job>> next_job(const Sweep& sweep) {
  auto keys = sweep.reader.scan(kJobPrefix, "", 1);
  if (!keys) return forward(keys);
  if (keys->empty()) return std::optional<Job>();
  Job job;
  job.key = (*keys)[0];
  auto text = sweep.txn.get(job.key);
  if (!text) return forward(text);
  auto row = Json::parse(text->value_or(""));
  if (!row || row->as_object() == nullptr) {
    return base::fail(base::ErrorKind::kCorrupt, "a lease job's row can't be read");
  }
  job.path = row->string_or("path", "");
  job.accessor = row->string_or("accessor", "");
  job.role = row->string_or("role", "");
  job.entity = row->string_or("entity", "");
  job.after = row->string_or("after", "");
  job.batch = flag(*row, "batch");
  job.forget = flag(*row, "forget");
  if (const Json* before = row->find("before")) {
    job.before = static_cast<uint64_t>(before->as_int().value_or(0));
  } else {
    auto item = sweep.reader.get(job.key);  // not begun: the row is as old as its cut-off
    if (!item) return forward(item);
    if (*item) job.before = (*item)->revision;
  }
  job.row = *row->as_object();
  return std::optional<Job>(std::move(job));
}

std::string range_of(const Job& job) {
  if (job.batch) return std::string(kByTokenPrefix) + std::string(kNoToken) + "/";
  if (!job.entity.empty()) return std::string(kByEntityPrefix) + job.entity + "/";
  return std::string(kIdPrefix) + job.path;
}

bool is_meant(const Job& job, const Lease& lease, const identity::CutoffTable& cutoffs) {
  if (job.batch) return cutoffs.revokes(lease.holder);
  if (!job.entity.empty()) return lease.holder.issued_at < job.before;
  if (!job.accessor.empty() && lease.mount_accessor != job.accessor) return false;
  if (!job.role.empty() && lease.role != job.role) return false;
  return lease.issued_at < job.before;
}

// The lease that the last part of a key of any index names.
base::Result<std::optional<Lease>> lease_at(LeaseStore& leases, std::string_view key,
                                            size_t prefix) {
  return leases.find(key.substr(prefix));
}

void end(LeaseStore& leases, const Lease& lease, const Sweep& sweep, bool forget) {
  if (forget) {
    leases.erase(lease);
  } else if (lease.state == State::kActive || lease.state == State::kIntent) {
    leases.change(lease, queued(lease, sweep.now));
  }
}

int64_t time_of(std::string_view key, size_t at) {
  int64_t time = 0;
  for (size_t i = at; i < at + kTimeChars && i < key.size(); i++) {
    const char c = key[i];
    time = time * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return time;
}

// Leases whose time in the order of `place` has come, into their queues.
base::Result<bool> move_due(const Sweep& sweep, std::string_view place) {
  auto keys = sweep.reader.scan(place, "", sweep.rows_max);
  if (!keys) return forward(keys);
  LeaseStore leases(sweep.txn);
  size_t moved = 0;
  for (const std::string& key : *keys) {
    if (time_of(key, place.size()) > seconds_of(sweep.now)) return false;
    auto lease = lease_at(leases, key, place.size() + kTimeChars + 1);
    if (!lease) return forward(lease);
    if (*lease && place_key(**lease) == key) {
      leases.change(**lease, queued(**lease, sweep.now));
    } else {
      sweep.txn.erase(key);
    }
    moved++;
  }
  return moved == sweep.rows_max;
}

}  // namespace

base::Result<bool> sweep_due(const Sweep& sweep) { return move_due(sweep, kDuePrefix); }

base::Result<bool> sweep_stuck(const Sweep& sweep) { return move_due(sweep, kStuckPrefix); }

base::Result<bool> sweep_ended(const Sweep& sweep) {
  auto ended = sweep.reader.scan(identity::kEndedPrefix, "", 1);
  if (!ended) return forward(ended);
  if (ended->empty()) return false;
  const std::string& word = (*ended)[0];
  const std::string prefix =
      std::string(kByTokenPrefix) + word.substr(identity::kEndedPrefix.size()) + "/";
  auto keys = sweep.reader.scan(prefix, "", sweep.rows_max);
  if (!keys) return forward(keys);
  LeaseStore leases(sweep.txn);
  for (const std::string& key : *keys) {
    auto lease = lease_at(leases, key, prefix.size());
    if (!lease) return forward(lease);
    if (*lease) end(leases, **lease, sweep, false);
    sweep.txn.erase(key);
  }
  if (keys->size() < sweep.rows_max) sweep.txn.erase(word);
  return true;
}

base::Result<bool> sweep_jobs(const Sweep& sweep) {
  auto next = next_job(sweep);
  if (!next) return forward(next);
  if (!*next) return false;
  Job& job = **next;
  identity::CutoffTable cutoffs;
  if (job.batch) {
    auto loaded = identity::CutoffTable::load(sweep.reader, sweep.txn);
    if (!loaded) return forward(loaded);
    cutoffs = std::move(*loaded);
  }
  const std::string range = range_of(job);
  const size_t prefix = job.batch || !job.entity.empty() ? range.size() : kIdPrefix.size();
  auto keys = sweep.reader.scan(range, job.after, sweep.rows_max);
  if (!keys) return forward(keys);
  LeaseStore leases(sweep.txn);
  for (const std::string& key : *keys) {
    auto lease = lease_at(leases, key, prefix);
    if (!lease) return forward(lease);
    if (*lease && is_meant(job, **lease, cutoffs)) end(leases, **lease, sweep, job.forget);
  }
  if (keys->size() < sweep.rows_max) {
    sweep.txn.erase(job.key);
    return true;
  }
  job.row.set("before", job.before);
  job.row.set("after", keys->back());
  sweep.txn.put(job.key, Json(std::move(job.row)).dump());
  return true;
}

}  // namespace rekey::lease
