// From what a login handler recognised to a token: the step of the chain after the handler.
//
// Finds or makes the entity, adds what its groups say, applies the mount's own settings and makes
// the token, all in the request's one Txn. The only place where a login becomes a token. Runs on
// the request's lane.
#pragma once

#include "logical/login.h"
#include "pipeline/call_context.h"

namespace rekey::pipeline {

constexpr size_t kLoginMetadataBytesMax = 16 * 1024;  // keys and values together
constexpr size_t kLoginGroupsMax = 1000;              // outside groups that one login names

// Who a login is for, once found.
struct LoginFor {
  std::string entity_id, alias_id;                     // empty: no entity
  std::shared_ptr<const identity::Standing> standing;  // null without an entity
};

// Takes `response.login` and fills in `response.auth`; adds warnings. The mount is the context's.
// Where a second factor is needed and wasn't sent along, `auth` holds no token but says so
// (login_mfa.h). Failure: kUnauthenticated where the entity is disabled or a second factor was
// wrong, kInvalid where a limit is passed or the login asks for root.
base::Result<void> grant_login(CallContext& context, logical::Response& response);

// The two halves of it, for a login that waits for a second factor between them.
base::Result<LoginFor> find_login_entity(CallContext& context, const logical::Mount& mount,
                                         const logical::Login& login);
base::Result<logical::Auth> make_login_token(CallContext& context, const logical::Mount& mount,
                                             std::string_view path, const logical::Login& login,
                                             const LoginFor& whose,
                                             std::vector<std::string>& warnings);

// Whether something that this login hangs from was cut off after revision `seen`, at which it was
// recognised.
bool login_cut_off(const CallContext& context, const logical::Mount& mount, std::string_view path,
                   const logical::Login& login, const LoginFor& whose, storage::Revision seen);

// Whether the auth method would still let in, by what it says of renewing such a token: not if the
// user or the role is gone. Always, where such tokens aren't renewed.
base::Result<void> ask_whether_renewable(CallContext& context, const logical::Mount& mount,
                                         const logical::Login& login);

// Of a token that was made by a login: what its auth method says of its renewal. `params` is what
// it was given. Success: what applies now.
base::Result<logical::TokenParams> ask_for_renewal(CallContext& context,
                                                   const identity::Token& token,
                                                   logical::TokenParams params);

// The auth mount with this accessor; null where it is gone.
std::shared_ptr<const logical::Mount> mount_by_accessor(const State& state,
                                                        std::string_view accessor);

}  // namespace rekey::pipeline
