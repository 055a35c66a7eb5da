// Secret ids of a role: the second thing an AppRole logs in with.
//
// No row holds a usable one: they are found by a keyed hash, whose key lies in the mount's own
// store. Rows (docs/formats/approle.md): salt, secret/<role uid>/<hash>, accessor/<role
// uid>/<accessor>, due/<time>/<role uid>/<hash> for those that expire, gone/<role uid> for a role
// that was deleted and whose rows are still to be removed. Expired and orphaned rows are removed a
// few at a time whenever a secret id is made, and many at a time by tidy. Functions of a request's
// View; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/approle/role.h"
#include "logical/row.h"

namespace rekey::auth::approle {

constexpr size_t kSecretIdBytesMax = 4096;   // one that the client chose
constexpr size_t kMetadataBytesMax = 16384;  // keys and values of one secret id's metadata
constexpr size_t kSweepOnMake = 4;           // rows looked at whenever a secret id is made
constexpr size_t kSweepOnTidy = 2000;        // rows looked at by one tidy; bounded by a commit

struct SecretId {
  std::string accessor;
  std::string hash;      // of its row, hex; filled in on reading
  int64_t num_uses = 0;  // left; 0: any number
  int64_t ttl_s = 0;
  int64_t expires_s = 0;  // 0: never
  std::string created, updated;
  std::vector<std::string> cidrs, token_cidrs;
  logical::StringPairs metadata;
};

class SecretIds {
 public:
  SecretIds(logical::Context& context, const Role& role) : context_(context), role_(role) {}

  // Buffers a new one. `text` is what the client will send. Failure: kInvalid if it exists.
  base::Result<void> make(SecretId& secret, std::string_view text);
  base::Result<std::optional<SecretId>> find(std::string_view text);
  base::Result<std::optional<SecretId>> find_by_accessor(std::string_view accessor);
  base::Result<std::vector<std::string>> accessors(std::string_view after, size_t limit);
  base::Result<void> update(const SecretId& secret);
  base::Result<void> erase(const SecretId& secret);
  // Of a role that is being deleted: removes what fits, leaves a mark for the rest.
  base::Result<void> erase_all();

 private:
  base::Result<std::string> hash_of(std::string_view text, bool make_salt);
  base::Result<std::optional<SecretId>> read(const std::string& hash);

  logical::Context& context_;
  const Role& role_;
};

bool expired(const SecretId& secret, base::WallTime now);
base::JsonObject describe(const SecretId& secret);
// Removes up to `rows_max` expired or orphaned secret ids of the mount.
base::Result<void> sweep(logical::Context& context, size_t rows_max);

}  // namespace rekey::auth::approle
