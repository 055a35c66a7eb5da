// Leases on the chain's way: an engine's grant becomes a lease in the batch of its request, and the
// engine is called back with it when it is renewed or ends.
//
// What makes a lease void is decided here in one place: its end, a cut-off of anything that it or
// its token hangs from, or the end of that token. Functions of one request's Txn.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "lease/lease_store.h"
#include "pipeline/call_context.h"
#include "pipeline/keeper.h"

namespace rekey::pipeline {

// The server's limits, narrowed by the mount's.
logical::Limits limits_of(logical::Limits limits, const logical::Mount& mount);

// How long something lives that was issued at `issued_s`: `wanted`, else `usual`, within
// `longest` (all seconds, 0: none) and the mount's limits. Adds a warning where it is less than
// wanted. Failure: kInvalid, its longest time is over.
struct Terms {
  int64_t wanted_s = 0, usual_s = 0, longest_s = 0, issued_s = 0, now_s = 0;
};
base::Result<int64_t> time_to_live(const Terms& terms, const logical::Limits& limits,
                                   std::vector<std::string>& warnings);

// What a lease that `context`'s request hands out hangs from becomes a condition of its commit: the
// token, and that no wide cut-off was faster. `seen` is the revision that the request saw first.
base::Result<lease::Lease> new_lease(CallContext& context, const logical::LeaseGrant& grant,
                                     storage::Revision seen);
// Buffers the lease of `response` and fills in what the client is told of it. `intent` is the one
// that was made durable before the outside effect, if there was any.
base::Result<void> register_lease(CallContext& context, storage::Revision seen,
                                  const std::optional<lease::Lease>& intent,
                                  logical::Response& response);

// The lease, if it is in force; nothing where there is none or it is void.
base::Result<std::optional<lease::Lease>> find_lease(CallContext& context, std::string_view id);

// A password by the named policy, or 20 letters, digits and dashes, of each some, as in Vault.
base::Result<std::string> make_password(barrier::Txn& txn, std::string_view policy,
                                        base::Random& random);

// What calling an engine back needs beside the lease.
struct EngineCall {
  const State& state;
  const Keeper& keeper;
  barrier::Txn& txn;
  const base::Clock& clock;
  base::Random& random;
  logical::Limits server_limits;
  std::function<base::Result<void>()> checkpoint = {};
};
// Runs `work` with a context of the mount, outside of any request.
base::Result<void> with_mount(const EngineCall& call, const logical::Mount& mount,
                              std::string_view path,
                              const std::function<base::Result<void>(logical::Context&)>& work);
using EngineWork = std::function<base::Result<void>(const logical::Backend&, logical::Context&,
                                                    const logical::HeldLease&)>;
// Runs `work` with the mount that handed the lease out, also one that was disabled since. Failure:
// kNotFound, there is no such mount any more, so nobody who could be asked; or that of `work`.
base::Result<void> with_engine(const EngineCall& call, const lease::Lease& lease,
                               const EngineWork& work);

}  // namespace rekey::pipeline
