// The tokens in the store: making, finding, renewing and revoking them, within one request's Txn.
//
// Rows (docs/formats/lease.md): token/id/<hash>, token/accessor/<accessor>, token/child/<parent
// id>/<hash>, token/due/<time>/<hash>, token/path/<path>/h<hash>. Nothing here decides who may do
// it, and nothing commits: the pipeline does both. Functions of their arguments: any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/txn.h"
#include "base/clock.h"
#include "base/random.h"
#include "identity/cutoff.h"
#include "identity/token.h"

namespace rekey::identity {

constexpr size_t kTokenHashBytes = 32;
// A token that had leases leaves a row here, named by its id, when it ends: the leases' turn.
constexpr std::string_view kEndedPrefix = "token/ended/";

class TokenStore {
 public:
  // `seen` is the store revision that `txn` reads at: what is made now is younger than any cut-off
  // up to it.
  TokenStore(barrier::Txn& txn, storage::Revision seen, const TokenKeys& keys,
             const base::Clock& clock, base::Random& random)
      : txn_(txn), seen_(seen), keys_(keys), clock_(clock), random_(random) {}

  // Completes `token` (id, accessor, times, hash) and buffers its rows. `parent` is null for an
  // orphan. `wanted` is the token's text where the caller chooses it. Success: the token itself,
  // which exists nowhere else. Failure: kInvalid when the wanted one exists or the line is too
  // long.
  base::Result<std::string> create(Token& token, const Token* parent, std::string_view wanted = {});

  // The token behind `text`, whether or not it is still good; nothing when there is none.
  base::Result<std::optional<Token>> find(std::string_view text);
  base::Result<std::optional<Token>> find_by_hash(std::string_view hash);
  base::Result<std::optional<Token>> find_by_accessor(std::string_view accessor);

  // Tokens that end by themselves are leases: the one that `lease_id` names, and the names under a
  // folder of paths (empty, or ending in '/').
  base::Result<std::optional<Token>> find_by_lease_id(std::string_view lease_id);
  base::Result<std::vector<std::string>> lease_ids(std::string_view folder, std::string_view after,
                                                   size_t limit);
  // Notes that a lease hangs from the token, so that the token's end is the lease's. With it the
  // caller has to read the token's row as a condition.
  base::Result<void> hold_lease(const Token& token);
  // Voids what was issued under a path prefix (ends in '/'), and has its rows cleaned up. In force
  // once committed and the table loaded again.
  void cut_prefix(std::string_view prefix);
  // Cleans up what a role of an auth mount was given; the cut-off itself is the caller's.
  void cut_role(std::string_view mount_accessor, std::string_view path, std::string_view role);

  // Rewrites the row after a change of `token`; moves its place in the due order.
  void update(const Token& token, int64_t old_expires_s);

  // Buffers the end of a token. Its children end with it: where it has any, by a cut-off and a
  // clean-up row. True when a cut-off was written, so that the table must be loaded again.
  base::Result<bool> revoke(const Token& token);
  // The same, but its children live on as orphans.
  base::Result<bool> revoke_and_orphan(const Token& token);

  base::Result<std::vector<std::string>> accessors(std::string_view after, size_t limit);

 private:
  barrier::Txn& txn_;
  storage::Revision seen_;
  const TokenKeys& keys_;
  const base::Clock& clock_;
  base::Random& random_;
};

// Background work, each a bounded step that buffers its writes in `txn` and says whether there is
// more to do. All only remove rows that are already void.
base::Result<bool> sweep_expired(barrier::Txn& txn, base::WallTime now, size_t rows_max);
base::Result<bool> sweep_revoked(barrier::Txn& txn, size_t rows_max);
base::Result<bool> sweep_cut(storage::Reader& reader, barrier::Txn& txn, size_t rows_max);

}  // namespace rekey::identity
