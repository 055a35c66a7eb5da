// The leases in the store: registering, finding, moving and removing them, within one Txn; and the
// steps of background work that bring void leases into the queues of their targets.
//
// Leases lie on disk in due order, so holding a million of them costs no memory and no time at
// start-up. Nothing here decides who may do what, calls an engine or commits. Functions of their
// arguments: any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/txn.h"
#include "base/clock.h"
#include "lease/lease.h"

namespace rekey::lease {

class LeaseStore {
 public:
  explicit LeaseStore(barrier::Txn& txn) : txn_(txn) {}

  // Buffers the rows of a new lease. Also reads what a cut-off of a wide scope writes, so that the
  // commit gives way to one that was faster. Failure: kInvalid, it doesn't fit into its keys.
  base::Result<void> add(const Lease& lease);
  // Read as a condition of the commit; nothing where there is none.
  base::Result<std::optional<Lease>> find(std::string_view id);
  // Rewrites the row, and moves its place in the order of its state.
  void change(const Lease& before, const Lease& after);
  void erase(const Lease& lease);

  // Names under a folder of ids (empty, or ending in '/'), as Txn::list.
  base::Result<std::vector<std::string>> list(std::string_view folder, std::string_view after,
                                              size_t limit);
  // The first leases under a prefix of ids, whatever their state.
  base::Result<std::vector<Lease>> first_under(std::string_view prefix, size_t limit);
  // Leases in the order of `place` ("lease/queue/..."), from `after` on, at most `limit`.
  base::Result<std::vector<Lease>> read_place(std::string_view place, size_t limit);

  // Background removal of what one scope held; with `forget` without asking the engine.
  void cut_prefix(std::string_view prefix, bool forget = false);
  void cut_role(std::string_view mount_accessor, std::string_view mount_path,
                std::string_view role);
  void cut_entity(std::string_view entity_id);
  void cut_mount(std::string_view mount_accessor, std::string_view mount_path);
  // The same without a cut-off: what leases without a row of their token hang from was cut.
  void check_batch_holders();

 private:
  barrier::Txn& txn_;
};

// Puts a lease at the end of its engine's queue: it is void, and waits to be removed outside.
Lease queued(Lease lease, base::WallTime now);

// Background work, each a bounded step that buffers its writes in `txn` and says whether there is
// more to do. `reader` is what `txn` reads through.
struct Sweep {
  storage::Reader& reader;
  barrier::Txn& txn;
  base::WallTime now;
  size_t rows_max;
};
base::Result<bool> sweep_due(const Sweep& sweep);    // at their end: into the queues
base::Result<bool> sweep_stuck(const Sweep& sweep);  // it is time to try again
base::Result<bool> sweep_ended(const Sweep& sweep);  // of tokens that ended
base::Result<bool> sweep_jobs(const Sweep& sweep);   // of scopes that were cut off

// The names of the queues that have something in them, in order, after `after`.
base::Result<std::vector<std::string>> queues(storage::Reader& reader, std::string_view after,
                                              size_t limit);
// The place of one of them, for read_place().
std::string queue_place(std::string_view name);
std::string stuck_place();
// The beginning of the keys of all queues of a mount, and the key of its clean-up job.
std::string queues_of_mount(std::string_view mount_uuid);
std::string job_of_mount(std::string_view mount_accessor);
std::string job_of_prefix(std::string_view prefix);

// Set after an older store was put back: expiry removes nothing outside until it is resumed.
base::Result<bool> is_paused(barrier::Txn& txn);
void pause(barrier::Txn& txn, std::string_view reason, base::WallTime now);
void resume(barrier::Txn& txn);

}  // namespace rekey::lease
