// The second factor between a login and its token: which enforcements match, what the client is
// told, and whether what it sent is right. Everything that isn't clearly right is refused.
//
// A code is taken once: the step that it belongs to is written in the batch that makes the token,
// and is a condition of it, so that of two requests with one code one gets in, after a restart too.
// Runs on the request's lane.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "identity/mfa.h"
#include "logical/login.h"
#include "pipeline/call_context.h"
#include "pipeline/login.h"

namespace rekey::pipeline {

constexpr size_t kMfaCredentialsMax = 64;        // methods, and texts for each, in one request
constexpr size_t kMfaCredentialBytesMax = 1024;  // one text
constexpr std::string_view kMfaHeader = "x-vault-mfa";

// What was sent for each method, by its id or name: passcodes, plain or as "passcode=123456".
using MfaCredentials = std::map<std::string, std::vector<std::string>, std::less<>>;

// Of header fields "ID-OR-NAME" and "ID-OR-NAME:PASSCODE"; empty where there are none.
base::Result<MfaCredentials> read_mfa_headers(const logical::Request& request);
// Of sys/mfa/validate's mfa_payload: {"ID": ["PASSCODE"]}.
base::Result<MfaCredentials> read_mfa_payload(const base::JsonObject& payload);

// Those that a login at this mount by this entity has to satisfy: all of them.
base::Result<std::vector<identity::MfaEnforcement>> enforcements_for(CallContext& context,
                                                                     const logical::Mount& mount,
                                                                     const LoginFor& whose);

// The codes that were sent are used up if all are right. Failure: kUnauthenticated, in Vault's
// words.
base::Result<void> check_second_factor(CallContext& context,
                                       const std::vector<identity::MfaEnforcement>& enforcements,
                                       const LoginFor& whose, const MfaCredentials& credentials);

// Keeps the login until its second factor comes, and says in `response.auth` what is wanted.
base::Result<void> hold_for_second_factor(CallContext& context,
                                          const std::vector<identity::MfaEnforcement>& enforcements,
                                          const LoginFor& whose, logical::Login login,
                                          logical::Response& response);

// sys/mfa/validate: makes the token of a login that waits. Whatever ended, disabled or changed it
// meanwhile ends it.
base::Result<logical::Response> complete_login(CallContext& context, std::string_view request_id,
                                               const MfaCredentials& credentials);

}  // namespace rekey::pipeline
