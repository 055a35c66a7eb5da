// What a login handler hands back, and from which the pipeline makes a token.
//
// An auth method says who it is that it recognised and what the role grants; entities, mounts' own
// settings and tokens are the pipeline's business (pipeline/login.h). Values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace rekey::logical {

// Which type of token a role wants; the mount's token_type has the last word. kDefault leaves it to
// the mount.
enum class TokenKind { kDefault, kDefaultService, kDefaultBatch, kService, kBatch };

// What every role, user and group of every auth method can say about its tokens: the token_* fields
// (token_params.h reads and shows them). Zero and empty mean: as the mount and the server have it.
struct TokenParams {
  std::vector<std::string> policies;
  std::vector<std::string> bound_cidrs;  // canonical; empty: any address
  TokenKind kind = TokenKind::kDefault;
  int64_t ttl_s = 0;
  int64_t max_ttl_s = 0;
  int64_t period_s = 0;  // not 0: lives as long as it is renewed within it
  int64_t explicit_max_ttl_s = 0;
  int64_t num_uses = 0;  // 0: any number
  bool no_default_policy = false;
  // Older names that were used, with the present ones; shown again: ("ttl", "token_ttl").
  std::vector<std::pair<std::string, std::string>> older_names;

  bool operator==(const TokenParams&) const = default;
};

struct Login {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  // The name by which this mount knows the caller: its entity is found or made by (mount, name).
  // Empty: the token gets no entity.
  std::string alias_name;
  Pairs alias_metadata;
  // Names of outside groups; they match the group aliases of this mount.
  std::vector<std::string> group_aliases;
  std::string display_name;  // without the mount's path, which is put before it
  Pairs metadata;            // of the token: shown in the answer and in look-ups
  std::string role;          // what the token hangs from besides its mount; may be empty
  TokenParams token;
  bool renewable = true;
  base::JsonObject internal;  // kept with the token for Backend::renew_login; shown to nobody
};

// What is known of a token whose renewal its auth method is asked about.
struct Renewal {
  const std::string& role;
  const std::vector<std::string>& policies;  // of the token, with "default"; not its entity's
  const Login::Pairs& metadata;
  const base::JsonObject& internal;
  // No token yet: a login that waits for its second factor, asked about again before it gets one.
  bool waiting = false;
};

}  // namespace rekey::logical
