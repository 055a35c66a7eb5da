// The one door: the ordered steps that every request passes. No secret leaves by another way.
//
// run() is a coroutine on the request's lane. The steps up to the commit are plain functions of one
// attempt: nothing they do is visible until their one batch is committed, and a request that lost a
// race simply runs them again.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "audit/log.h"
#include "auditdev/line.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/task.h"
#include "logical/lockout.h"
#include "logical/request.h"
#include "pipeline/keeper.h"
#include "pipeline/lane.h"
#include "storage/store.h"

namespace rekey::pipeline {

constexpr int kAttemptsMax = 20;  // of a request that loses races

struct CallContext;

// How long an outside effect may take until its request is taken to have died.
constexpr base::Duration kIntentPatience = std::chrono::minutes(10);

// Threads that may block, each with a lane of its own.
class Pool {
 public:
  virtual ~Pool() = default;
  // Runs `work` on one of them; the lane is fresh and forgets everything afterwards. False, and
  // nothing is run, when too much is waiting already.
  virtual bool run(std::function<void(Lane&)> work) = 0;
};

struct ChainParts {
  Keeper& keeper;
  storage::Store& store;
  audit::Log& record;
  Pool& pool;
  Pool& outside_pool;  // for what waits for outside systems, so that nothing else waits with it
  const base::Clock& clock;
  base::Random& random;
  const base::Log& log;
  // What serves sys/ while there is no mount table to find it in.
  std::shared_ptr<const logical::Mount> sealed_sys;
  logical::Limits lease_limits;
  logical::LockoutByType user_lockout = {};  // as the configuration has it
};

class Chain {
 public:
  explicit Chain(ChainParts parts) : parts_(std::move(parts)), lockout_(parts_.user_lockout) {}

  // The answer, released: its record is durable. An Error is an answer too and recorded as well;
  // it is kUnavailable when the record itself can't be written. `request` and what its views point
  // to, and `lane`, must live until the task is done.
  base::Task<base::Result<logical::Response>> run(Lane& lane, const logical::Request& request);

  // The record of a request that never became one (malformed HTTP, bad JSON). Not waited for:
  // nothing is released by it.
  void record_refused(Lane& lane, const logical::Request& request, const base::Error& error);

 private:
  struct Call;
  struct Described;
  static void describe(const Call& call, const State* state, Described& described);
  // What is to be done after one attempt.
  enum class Next {
    kRecord,        // the answer is there
    kUnrecordable,  // the answer is given without a record: there can't be one
    kPool,          // the attempt is made on a thread that may block
    kCommit,        // what was written is committed first
  };
  Next begin(Lane& lane, Call& call, bool first, base::Result<logical::Response>& answer);
  void run_on_pool(Lane& lane, Call& call, base::Result<logical::Response>& answer,
                   std::function<void(bool)> done);
  bool settle_commit(Call& call, const base::Result<storage::Revision>& committed, bool last,
                     base::Result<logical::Response>& answer);
  void finish(Lane& lane, Call& call, const base::Result<void>& durable,
              base::Result<logical::Response>& answer);
  base::Result<logical::Response> run_blocking(Lane& lane, Call& call);
  base::Task<base::Result<storage::Revision>> commit(Lane& lane, Call& call);
  base::Result<void> act_after_commit(Call& call);
  base::Result<logical::Response> attempt(Lane& lane, Call& call);
  base::Result<void> route(Lane& lane, Call& call);
  base::Result<void> authorise(Lane& lane, Call& call);
  base::Result<logical::Response> dispatch(Lane& lane, Call& call);
  uint64_t microseconds_since(base::WallTime then) const;
  std::string role_of(Lane& lane, Call& call);
  base::Result<void> check_rate(Lane& lane, Call& call);
  base::Result<void> check_lease_count(const Call& call);
  base::Result<void> check_new_token(const Call& call, const logical::Response& response);
  base::Result<void> record_intent(Lane& lane, const Call& call);
  base::Result<void> intend(Lane& lane, Call& call, CallContext& context,
                            const logical::LeaseGrant& grant);
  base::Result<void> checkpoint(Lane& lane, Call& call);
  base::Result<void> settle(CallContext& context, Call& call, logical::Response& response);
  void abandon_intent(Lane& lane, Call& call);
  CallContext context_of(Lane& lane, Call& call, const logical::Fields& fields,
                         barrier::View* view);
  base::Result<uint64_t> append_record(Lane& lane, const Call& call,
                                       const base::Result<logical::Response>& answer);
  static auditdev::RequestFacts facts_of(const Call& call,
                                         std::span<const auditdev::HeaderFact> headers);
  void tell_request(Call& call, const base::Result<void>& authorised);
  void tell_response(const Call& call, const base::Result<logical::Response>& answer);

  ChainParts parts_;
  logical::Lockout lockout_;
};

}  // namespace rekey::pipeline
