// From the text of a token to who asks and what they may do.
//
// The only place where a token is looked up for a request. Runs on a lane; takes no lock. A token
// that doesn't exist, is expired, was revoked, is used up or comes from the wrong address is the
// same kUnauthenticated to the client; the detail tells the operator which.
#pragma once

#include <memory>
#include <string_view>

#include "barrier/txn.h"
#include "base/clock.h"
#include "base/error.h"
#include "identity/token.h"
#include "logical/context.h"
#include "pipeline/lane.h"
#include "pipeline/state.h"
#include "policy/policy.h"

namespace rekey::pipeline {

struct Authenticated {
  std::shared_ptr<const identity::Token> token;
  std::shared_ptr<const Rights> rights;
};

base::Result<Authenticated> authenticate(Lane& lane, const State& state, barrier::Txn& txn,
                                         std::string_view token_text, std::string_view address,
                                         base::WallTime now);

// What `token` may do, also for what is asked about another token (sys/capabilities). The keys of
// the rows it depends on are added to `rows`, if given. Failure: kUnauthenticated where the token's
// entity is gone or disabled.
base::Result<std::shared_ptr<const Rights>> rights_of(const State& state, barrier::Txn& txn,
                                                      const identity::Token& token,
                                                      std::vector<std::string>* rows = nullptr);

// Whether a token that was found may still be used at `now` from `address`.
base::Result<void> check_usable(const State& state, const identity::Token& token,
                                std::string_view address, base::WallTime now);

// A batch token carries its content, encrypted under the keyring; nothing is stored.
base::Result<std::string> seal_batch_token(const State& state, const identity::Token& token,
                                           base::Random& random);
// Nothing of a batch token is stored, so it hangs from its parent's row: kUnauthenticated where
// that is gone. Cut-offs of its line may be gone too by then.
base::Result<void> check_parent(storage::Reader& reader, const State& state,
                                const identity::Token& token);
base::Result<identity::Token> open_batch_token(const State& state, std::string_view text);

// Views into `who`.
logical::Caller caller_of(const Authenticated& who);

}  // namespace rekey::pipeline
