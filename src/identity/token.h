// A token as the store keeps it, and the rules of its life.
//
// No row ever holds a usable token: rows are found by a keyed hash of it (TokenKeys). The layout of
// the rows is in docs/formats/lease.md. Values, pure functions: any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "crypto/digest.h"
#include "logical/context.h"
#include "logical/request.h"

namespace rekey::identity {

constexpr std::string_view kServicePrefix = "hvs.";
constexpr std::string_view kBatchPrefix = "hvb.";
constexpr size_t kServiceTokenChars = 28;    // with its prefix; 143 bits of randomness
constexpr size_t kTokenBytesMax = 8 * 1024;  // a token as sent; batch tokens carry their content
constexpr size_t kAncestorsMax = 256;        // tokens made by tokens made by tokens ...

struct Token {
  std::string id;  // not the token: 16 random bytes in hex, its name in the store
  std::string accessor;
  std::vector<std::string> policies;  // sorted
  std::string path;                   // that made it: "auth/token/create"
  std::string mount_accessor;         // of the auth mount that made it
  std::vector<std::pair<std::string, std::string>> meta;
  std::string display_name;
  std::string role;        // token role that it was made by
  std::string login_role;  // role of the auth method that it logged in by
  std::string entity_id;
  std::string alias_id;  // by which it logged in
  logical::TokenType type = logical::TokenType::kService;
  int64_t num_uses = 0;        // 0: unlimited; -1: used up, waiting for its last request
  int64_t created_s = 0;       // seconds since 1970
  int64_t creation_ttl_s = 0;  // 0: lives until revoked
  int64_t expires_s = 0;       // 0: never
  int64_t explicit_max_ttl_s = 0;
  int64_t period_s = 0;
  int64_t max_ttl_s = 0;  // of the role it logged in by; 0: the mount's
  int64_t last_renewal_s = 0;
  bool renewable = true;
  bool orphan = true;
  std::vector<std::string> bound_cidrs;
  std::vector<std::string> ancestors;       // ids, the parent first; empty for an orphan
  std::vector<std::string> ancestor_paths;  // that made each of them, in the same order
  base::JsonObject internal;                // what its auth method wants back when it is renewed
  uint64_t issued_at = 0;                   // store revision that was seen when it was made
  std::string hash;                         // filled in on reading: the name of its row

  void hang_below(const Token& parent);  // takes over its line
  bool is_root() const;
  int64_t ttl_left_s(base::WallTime now) const;  // 0 where it never expires
  bool expired(base::WallTime now) const;
};

// The lease that a token is, as sys/leases names it: "auth/token/create/h<hash>".
std::string lease_id_of(const Token& token);

// The key of the row of the token with this hash.
constexpr std::string_view kTokenRowPrefix = "token/id/";
std::string token_row_key(std::string_view hash);
std::string encode_token(const Token& token);
base::Result<Token> decode_token(std::string_view row);

// The keyed hashing of tokens. Kept behind the barrier, gone when sealed.
class TokenKeys {
 public:
  explicit TokenKeys(const base::SecretBytes& key) : hmac_(key) {}
  std::string hash(std::string_view token) const;  // 32 bytes, the name of the token's row

 private:
  crypto::HmacSha256 hmac_;
};

}  // namespace rekey::identity
