// Revocation by cut-off: one row says "everything of this scope issued before revision n is void".
//
// A token names the scopes that it hangs from (each ancestor, its auth mount, role, entity, alias,
// and the path that made it); checking it compares a handful of integers in memory, so revoking the
// parent of a million tokens costs one write. A token can also be detached: what hangs below it no
// longer hangs from what is above it (revoke-orphan). Leases (lease/lease.h) hang from the same
// scopes. The table is an immutable snapshot, swapped whole; rows are in docs/formats/lease.md.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "barrier/txn.h"
#include "base/error.h"
#include "identity/token.h"
#include "storage/store.h"

namespace rekey::identity {

constexpr std::string_view kCutoffPrefix = "token/cutoff/";
// Written with every cut-off of a scope that is wider than one token: whoever must not be overtaken
// by one reads it as a condition.
constexpr std::string_view kCutoffGenerationRow = "token/cutoff-generation";
constexpr size_t kCutoffPathBytesMax = 400;  // of a path prefix that is cut off

class CutoffTable {
 public:
  enum class Kind { kRevoked, kDetached };
  struct Cutoff {
    Kind kind = Kind::kRevoked;
    storage::Revision revision = 0;  // what was issued before it is void
  };

  // Reads every row; at unseal and after each change. `txn` must read through `reader`.
  static base::Result<CutoffTable> load(storage::Reader& reader, barrier::Txn& txn);

  static std::string scope_of_token(std::string_view id);
  static std::string scope_of_mount(std::string_view accessor);
  static std::string scope_of_role(std::string_view mount_accessor, std::string_view role);
  static std::string scope_of_entity(std::string_view entity_id);
  static std::string scope_of_alias(std::string_view alias_id);
  static std::string scope_of_prefix(std::string_view path);  // "auth/userpass/": ends in '/'
  // Buffers the row that revokes or detaches `scope`; in force once committed and loaded.
  static void write(barrier::Txn& txn, std::string_view scope, Kind kind);

  bool empty() const { return rows_.empty(); }
  bool revokes(const Token& token) const;
  // Whether its parent was revoked in a way that left the token alive.
  bool orphaned(const Token& token) const;
  // Whether what hangs from `scope` and was issued at this revision is void.
  bool cuts(std::string_view scope, storage::Revision issued_at) const;
  // The same for every prefix of `path`, and the whole of it.
  bool cuts_path(std::string_view path, storage::Revision issued_at) const;

 private:
  const Cutoff* find(std::string_view scope) const;
  std::map<std::string, Cutoff, std::less<>> rows_;
  bool has_prefixes_ = false;
};

}  // namespace rekey::identity
