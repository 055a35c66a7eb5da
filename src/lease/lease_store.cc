#include "lease/lease_store.h"

#include "base/json.h"
#include "lease/keys.h"

namespace rekey::lease {
namespace {

using base::ErrorKind;
using identity::CutoffTable;

std::string id_key(std::string_view id) { return std::string(kIdPrefix) + std::string(id); }

std::string token_key(const Lease& lease) {
  const identity::Token& holder = lease.holder;
  const std::string_view token = !holder.id.empty()          ? std::string_view(holder.id)
                                 : !holder.ancestors.empty() ? std::string_view(holder.ancestors[0])
                                                             : kNoToken;
  return std::string(kByTokenPrefix) + std::string(token) + "/" + lease.id;
}

// Empty where no entity holds it.
std::string entity_key(const Lease& lease) {
  if (lease.holder.entity_id.empty()) return {};
  return std::string(kByEntityPrefix) + lease.holder.entity_id + "/" + lease.id;
}

void put_job(barrier::Txn& txn, const std::string& scope, base::JsonObject row) {
  txn.put(std::string(kJobPrefix) + scope, base::Json(std::move(row)).dump());
}

}  // namespace

base::Result<void> LeaseStore::add(const Lease& lease) {
  if (lease.path.empty() || lease.path.size() > kPathBytesMax) {
    return base::fail(ErrorKind::kInvalid, "the path is too long to hand out a lease at");
  }
  if (lease.target.size() > kTargetBytesMax || lease.target.find('/') != std::string::npos) {
    return base::fail(ErrorKind::kInvalid, "the name of what the lease is for is too long");
  }
  if (lease.data.size() > kDataBytesMax) {
    return base::fail(ErrorKind::kTooLarge, "the lease's data is too large");
  }
  auto generation = txn_.get(identity::kCutoffGenerationRow);
  if (!generation) return forward(generation);
  txn_.put(id_key(lease.id), encode_lease(lease));
  txn_.put(place_key(lease), "");
  txn_.put(token_key(lease), "");
  if (const std::string key = entity_key(lease); !key.empty()) txn_.put(key, "");
  return {};
}

base::Result<std::optional<Lease>> LeaseStore::find(std::string_view id) {
  if (id.empty() || id.size() > kPathBytesMax + 1 + kIdChars) return std::optional<Lease>();
  auto row = txn_.get(id_key(id));
  if (!row) return forward(row);
  if (!*row) return std::optional<Lease>();
  auto lease = decode_lease(**row);
  if (!lease) return forward(lease);
  return std::optional<Lease>(std::move(*lease));
}

void LeaseStore::change(const Lease& before, const Lease& after) {
  const std::string old_place = place_key(before), new_place = place_key(after);
  if (old_place != new_place) {
    txn_.erase(old_place);
    txn_.put(new_place, "");
  }
  txn_.put(id_key(after.id), encode_lease(after));
}

void LeaseStore::erase(const Lease& lease) {
  txn_.erase(id_key(lease.id));
  txn_.erase(place_key(lease));
  txn_.erase(token_key(lease));
  if (const std::string key = entity_key(lease); !key.empty()) txn_.erase(key);
}

base::Result<std::vector<std::string>> LeaseStore::list(std::string_view folder,
                                                        std::string_view after, size_t limit) {
  return txn_.list(std::string(kIdPrefix) + std::string(folder), after, limit);
}

base::Result<std::vector<Lease>> LeaseStore::first_under(std::string_view prefix, size_t limit) {
  std::vector<Lease> leases;
  base::Result<void> problem;
  auto scanned = txn_.scan(id_key(prefix), "", [&](std::string_view, std::string_view row) {
    auto lease = decode_lease(row);
    if (!lease) {
      problem = forward(lease);
      return false;
    }
    leases.push_back(std::move(*lease));
    return leases.size() < limit;
  });
  if (!scanned) return forward(scanned);
  if (!problem) return forward(problem);
  return leases;
}

base::Result<std::vector<Lease>> LeaseStore::read_place(std::string_view place, size_t limit) {
  std::vector<std::string> ids;
  auto scanned = txn_.scan(place, "", [&](std::string_view key, std::string_view) {
    ids.emplace_back(key.substr(place.size() + kTimeChars + 1));
    return ids.size() < limit;
  });
  if (!scanned) return forward(scanned);
  std::vector<Lease> leases;
  for (const std::string& id : ids) {
    auto lease = find(id);
    if (!lease) return forward(lease);
    if (*lease) leases.push_back(std::move(**lease));
  }
  return leases;
}

void LeaseStore::cut_prefix(std::string_view prefix, bool forget) {
  const std::string scope = CutoffTable::scope_of_prefix(prefix);
  CutoffTable::write(txn_, scope, CutoffTable::Kind::kRevoked);
  put_job(txn_, scope, {{"path", prefix}, {"forget", forget}});
}

void LeaseStore::cut_role(std::string_view mount_accessor, std::string_view mount_path,
                          std::string_view role) {
  const std::string scope = CutoffTable::scope_of_role(mount_accessor, role);
  CutoffTable::write(txn_, scope, CutoffTable::Kind::kRevoked);
  put_job(txn_, scope, {{"path", mount_path}, {"accessor", mount_accessor}, {"role", role}});
}

void LeaseStore::cut_entity(std::string_view entity_id) {
  const std::string scope = CutoffTable::scope_of_entity(entity_id);
  CutoffTable::write(txn_, scope, CutoffTable::Kind::kRevoked);
  put_job(txn_, scope, {{"entity", entity_id}});
}

void LeaseStore::cut_mount(std::string_view mount_accessor, std::string_view mount_path) {
  const std::string scope = CutoffTable::scope_of_mount(mount_accessor);
  CutoffTable::write(txn_, scope, CutoffTable::Kind::kRevoked);
  put_job(txn_, scope, {{"path", mount_path}, {"accessor", mount_accessor}});
}

void LeaseStore::check_batch_holders() { put_job(txn_, "batch", {{"batch", true}}); }

Lease queued(Lease lease, base::WallTime now) {
  lease.state = State::kQueued;
  if (lease.queued_s == 0) lease.queued_s = seconds_of(now);
  lease.next_attempt_s = seconds_of(now);
  return lease;
}

std::string queue_place(std::string_view name) {
  return std::string(kQueuePrefix) + std::string(name) + "/";
}
std::string stuck_place() { return std::string(kStuckPrefix); }
std::string queues_of_mount(std::string_view mount_uuid) {
  return std::string(kQueuePrefix) + std::string(mount_uuid) + ":";
}
std::string job_of_prefix(std::string_view prefix) {
  return std::string(kJobPrefix) + CutoffTable::scope_of_prefix(prefix);
}
std::string job_of_mount(std::string_view mount_accessor) {
  return std::string(kJobPrefix) + CutoffTable::scope_of_mount(mount_accessor);
}

base::Result<std::vector<std::string>> queues(storage::Reader& reader, std::string_view after,
                                              size_t limit) {
  auto names = reader.list(kQueuePrefix, after.empty() ? "" : std::string(after) + "/", limit);
  if (!names) return names;
  for (std::string& name : *names) {
    if (name.ends_with('/')) name.pop_back();
  }
  return names;
}

base::Result<bool> is_paused(barrier::Txn& txn) {
  auto row = txn.get(kPausedRow);
  if (!row) return forward(row);
  return row->has_value();
}

void pause(barrier::Txn& txn, std::string_view reason, base::WallTime now) {
  const base::JsonObject row{{"reason", reason}, {"since", seconds_of(now)}};
  txn.put(kPausedRow, base::Json(row).dump());
}

void resume(barrier::Txn& txn) { txn.erase(kPausedRow); }

}  // namespace rekey::lease
