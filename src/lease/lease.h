// A lease: what an engine handed out, until when, and what it hangs from. A value, its row and the
// keys of its indexes; the layout is in docs/formats/lease.md.
//
// A lease knows no engine: `data` is the engine's own, and `target` is the engine's word for the
// outside system that has to be asked when the lease ends. Pure functions: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "identity/cutoff.h"
#include "identity/token.h"

namespace rekey::lease {

constexpr size_t kIdChars = 24;              // random, at the end of a lease's id
constexpr size_t kPathBytesMax = 250;        // of the path that a lease is handed out at
constexpr size_t kTargetBytesMax = 80;       // of an engine's word for an outside system
constexpr size_t kDataBytesMax = 64 * 1024;  // of an engine's own part of a lease
constexpr size_t kErrorBytesMax = 500;       // kept of the error of the last attempt

// Where a lease stands. Each state is a place in another order on disk.
enum class State {
  kIntent,  // its outside effect may or may not have happened: removed when nobody completes it
  kActive,  // waits for its end
  kQueued,  // void; waits to be removed outside
  kStuck,   // void; removing it failed so often that somebody has to look; still tried, rarely
};
std::string_view state_name(State state);

struct Lease {
  std::string id;    // "<path>/<24 characters>"
  std::string path;  // "database/creds/readonly"
  std::string mount_uuid, mount_accessor;
  std::string role;    // of the engine; may be empty
  std::string target;  // of the engine; may be empty
  std::string data;    // JSON text, the engine's own
  // Of the token that it was handed to, only what it hangs from: id, hash, path, mount accessor,
  // role, entity, ancestors, type and the revision at which the token was issued.
  identity::Token holder;
  int64_t issued_s = 0;   // seconds since 1970
  int64_t expires_s = 0;  // also of an intent: when it is taken to be abandoned
  int64_t last_renewal_s = 0;
  int64_t ttl_s = 0;      // as granted first
  int64_t max_ttl_s = 0;  // from issued_s; 0: the mount's
  bool renewable = false;
  uint64_t issued_at = 0;  // store revision that was seen when it was made

  State state = State::kActive;
  int64_t queued_s = 0;        // since when it waits to be removed
  int64_t next_attempt_s = 0;  // not before
  int64_t attempts = 0;        // that failed
  std::string last_error;

  bool expired(base::WallTime now) const;
  int64_t ttl_left_s(base::WallTime now) const;
};

std::string encode_lease(const Lease& lease);
base::Result<Lease> decode_lease(std::string_view row);

// Whether a cut-off voids the lease or the token that it hangs from.
bool revoked(const identity::CutoffTable& cutoffs, const Lease& lease);

// The order in which outside systems are asked: one queue for each target of each mount.
std::string queue_name(const Lease& lease);
// The key of the row that gives the lease its place in the order of its state.
std::string place_key(const Lease& lease);

int64_t seconds_of(base::WallTime time);

}  // namespace rekey::lease
