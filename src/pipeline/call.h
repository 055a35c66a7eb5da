// What one request accumulates on its way through the chain. Private to chain.cc, recording.cc and
// telling.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "barrier/txn.h"
#include "lease/lease.h"
#include "logical/context.h"
#include "pipeline/authenticate.h"
#include "pipeline/call_context.h"
#include "pipeline/chain.h"
#include "pipeline/state.h"

namespace rekey::pipeline {

// What one request accumulates on its way. The parts of an attempt are made anew for each.
struct Chain::Call {
  explicit Call(const logical::Request& the_request) : request(the_request) {}

  const logical::Request& request;
  std::shared_ptr<const State> state;
  std::shared_ptr<const logical::Mount> mount;
  logical::RouteTable::Match match;
  logical::Operation operation =
      logical::Operation::kRead;  // create or update is decided on the way
  std::optional<barrier::Txn> txn;
  Authenticated who;
  logical::Caller caller;
  std::shared_ptr<const identity::Token> granted;  // by a login
  std::string deciding_rule;
  bool allowed = false;  // by that rule
  // Audit devices that were told of the request and will be told of the answer; null: none.
  std::shared_ptr<const auditdev::DeviceSet> devices;
  auditdev::DeviceSet::Told told;
  std::vector<std::function<base::Result<void>()>> after_commit;
  storage::Revision seen = 0;  // by this attempt, when it began
  storage::Revision committed = 0;
  bool on_pool = false;  // runs on a thread that may block
  SecondFactorTry factor_try;
  bool wants_pool = false;  // the handler asked to be called again there
  // Made durable before an outside effect of this attempt; gone when its batch is committed.
  std::optional<lease::Lease> intent;
};

}  // namespace rekey::pipeline
