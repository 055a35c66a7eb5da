// Keeper: builds the State when the server is unsealed, renews its parts when rows of theirs were
// changed, and takes it all away when it is sealed.
//
// Lanes only ever see whole snapshots. Building and renewing read the store and exclude one
// another; a renewal that returned is seen by every later request on every lane.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "barrier/barrier.h"
#include "base/log.h"
#include "base/snapshot.h"
#include "logical/mount_table.h"
#include "pipeline/lane.h"
#include "pipeline/open_wrappings.h"
#include "pipeline/state.h"
#include "storage/store.h"

namespace rekey::pipeline {

constexpr std::string_view kMountPrefix = "core/mount/";
constexpr std::string_view kPasswordPolicyPrefix = "core/password-policy/";
constexpr std::string_view kDisabledMountPrefix = "core/disabled/";  // <uuid>
constexpr std::string_view kClusterRow = "core/cluster";
constexpr std::string_view kPolicyPrefix = "core/policy/";

// Makes the backend that a mount of a type is served by. Read-only once the server runs.
class Catalog {
 public:
  using Make = std::function<std::shared_ptr<const logical::Backend>(const logical::Mount&)>;
  void add_engine(std::string type, Make make) { engines_[std::move(type)] = std::move(make); }
  void add_auth(std::string type, Make make) { auths_[std::move(type)] = std::move(make); }
  // Null when the type is unknown.
  std::shared_ptr<const logical::Backend> make(const logical::Mount& mount) const;
  bool knows(std::string_view type, bool auth) const;

 private:
  std::map<std::string, Make, std::less<>> engines_, auths_;
};

class Keeper {
 public:
  Keeper(storage::Store& store, barrier::Barrier& barrier, const Catalog& catalog,
         std::string cluster_name, base::Random& random, const base::Log& log)
      : store_(store),
        barrier_(barrier),
        catalog_(catalog),
        cluster_name_(std::move(cluster_name)),
        random_(random),
        log_(log) {}

  const base::Snapshot<State>& state() const { return state_; }

  // Lanes that hold references to the state; they must forget before a seal is complete.
  void add_lane(Lane& lane) { lanes_.push_back(&lane); }

  // The devices that open() starts and close() ends. Without one there are no devices.
  void use_devices(DeviceTable& devices) { devices_ = &devices; }
  DeviceTable* devices() const { return devices_; }

  OpenWrappings& open_wrappings() { return open_wrappings_; }

  // The barrier is open: makes the rows that a first start lacks, reads all tables, publishes.
  base::Result<void> open();
  // Publishes that there is nothing, closes the barrier, waits until every io lane let go. Not on
  // an io thread.
  void close();

  // After the barrier rotated its keys.
  base::Result<void> reload_keyring();
  base::Result<void> reload_mounts();
  base::Result<void> reload_policy(std::string_view name);
  base::Result<void> reload_cutoffs();
  base::Result<void> reload_quotas();
  // Raises the store's epoch and takes it over: from here on the record vouches for it. The new
  // one.
  base::Result<uint64_t> advance_epoch();
  // Audit devices; waits, for a bounded time, until those that are gone wrote their last lines.
  base::Result<void> reload_devices();
  base::Result<void> reload_audited_headers();
  base::Result<void> reload_settings();  // CORS, rotation of the key

  static base::Json describe(const logical::Mount& mount);  // a mount's row

  // A mount that was disabled while it had leases, with its backend, until they are removed: its
  // row is kept aside for that. Null where there is none. keep_disabled() writes that row.
  base::Result<std::shared_ptr<const logical::Mount>> disabled_mount(barrier::Txn& txn,
                                                                     std::string_view uuid) const;
  static void keep_disabled(barrier::Txn& txn, const logical::Mount& mount);
  base::Result<std::vector<std::shared_ptr<const logical::Mount>>> disabled_mounts(
      storage::Reader& reader, barrier::Txn& txn) const;

 private:
  base::Result<void> add_missing_rows(storage::Reader& reader, const barrier::Keyring& keyring);
  base::Result<logical::MountTable> read_mounts(barrier::Txn& txn);
  base::Result<PolicySet> read_policies(barrier::Txn& txn);
  base::Result<void> read_settings(barrier::Txn& txn, State& state);
  // Runs `change` on a copy of the state, with a fresh view of the store, and publishes the copy.
  using Change = std::function<base::Result<void>(State&, storage::Reader&, barrier::Txn&)>;
  base::Result<void> renew(const Change& change);

  storage::Store& store_;
  barrier::Barrier& barrier_;
  OpenWrappings open_wrappings_;
  const Catalog& catalog_;
  std::string cluster_name_;  // as configured; empty: made at the first start and kept
  base::Random& random_;
  const base::Log& log_;
  std::vector<Lane*> lanes_;
  DeviceTable* devices_ = nullptr;
  base::Snapshot<State> state_;
  std::mutex mutex_;
};

}  // namespace rekey::pipeline
