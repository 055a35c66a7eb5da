// What the handlers of sys and auth/token get beyond a Context: the whole store and the state. They
// are the pipeline's own backends; an engine doesn't link this room and so can't reach it.
#pragma once

#include <memory>

#include "barrier/txn.h"
#include "identity/token_store.h"
#include "logical/context.h"
#include "pipeline/authenticate.h"
#include "pipeline/lane.h"
#include "pipeline/state.h"

namespace rekey::pipeline {

// What a request that meets a second factor keeps when it loses a race and runs again.
struct SecondFactorTry {
  std::string pending_id;            // under which its login waits
  std::vector<std::string> counted;  // tries that were counted
  std::shared_ptr<void> claim;       // lets go of the login that waits when the request ends
};

struct CallContext : logical::Context {
  Lane& lane;
  std::shared_ptr<const State> state;              // null only while sealed
  barrier::Txn* txn = nullptr;                     // null only while sealed
  std::shared_ptr<const identity::Token> token;    // the caller's; null without one
  std::shared_ptr<const Rights> rights;            // the caller's
  std::shared_ptr<const identity::Token> granted;  // what a login got; for the record

  SecondFactorTry* factor_try = nullptr;  // of the request; never null in one

  // The pipeline makes nothing but CallContexts.
  static CallContext& of(logical::Context& context) { return static_cast<CallContext&>(context); }

  identity::TokenStore tokens() const {
    return identity::TokenStore(*txn, lane.revision(), *state->token_keys, clock, random);
  }
};

}  // namespace rekey::pipeline
