// Txn: what one request reads and writes of the store.
//
// Reads decrypt; writes are kept here, seen by later reads of the same Txn, and become one batch.
// Every key that get() read is a condition of the batch ("still at this revision"), so that the
// batch is an optimistic transaction: if it commits, nothing that was read had changed. peek()
// reads without a condition. Lists set no condition either: who must not miss a new sibling reads
// a row that the sibling's writer writes too.
// Lives on one thread, as long as one request; never knows what the rows mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "barrier/keyring.h"
#include "base/error.h"
#include "base/random.h"
#include "storage/store.h"

namespace rekey::barrier {

// The revision of the row in the reader's snapshot, which is checked to be the present one; 0 where
// there is none. kCorrupt as Txn::get.
base::Result<storage::Revision> row_revision(storage::Reader& reader, const Keyring& keyring,
                                             std::string_view key);

class Txn {
 public:
  // All three outlive the Txn.
  Txn(storage::Reader& reader, const Keyring& keyring, base::Random& random);

  // The plaintext, or nothing where there is no such key. kCorrupt if the row was tampered with, an
  // older value put back or the row taken away.
  base::Result<std::optional<std::string>> get(std::string_view key);
  base::Result<std::optional<std::string>> peek(std::string_view key);
  // The revision of the row as get() would find it, without its value; 0 where there is none. A
  // condition of the batch as with get(). Not for a key that was written here.
  base::Result<storage::Revision> hold(std::string_view key);
  // The revision of the row in this snapshot, without reading it: 0 where there is none, nothing
  // where it was written here. For who has decoded the row before; sets no condition.
  base::Result<std::optional<storage::Revision>> revision(std::string_view key);
  void put(std::string_view key, std::string plaintext);
  void erase(std::string_view key);

  // Names directly under `prefix` (empty, or ending in '/'): keys, and folders with their '/', in
  // byte order, after `after` (a name; empty for the start), at most `limit` (0 for no limit).
  base::Result<std::vector<std::string>> list(std::string_view prefix, std::string_view after = {},
                                              size_t limit = 0);
  // Full keys with this prefix and their plaintexts, in byte order, until `visit` returns false.
  using Visit = std::function<bool(std::string_view key, std::string_view plaintext)>;
  base::Result<void> scan(std::string_view prefix, std::string_view after, const Visit& visit);

  bool has_writes() const { return !writes_.empty(); }
  // Encrypts the writes and hands over conditions, puts and deletes; the Txn is empty afterwards.
  // An error of the keyring (kUnavailable) leaves it as it was.
  base::Result<storage::Batch> take_batch();

 private:
  // A write: a value, or nothing for a deletion.
  using Writes = std::map<std::string, std::optional<std::string>, std::less<>>;

  // The row that peek() read last: what a request looks at before it is allowed, it often reads
  // again right after, to change it.
  struct Peeked {
    std::string key;
    std::string plaintext;
    storage::Revision revision = 0;
    storage::Revision snapshot = 0;
  };

  base::Result<std::optional<std::string>> read(std::string_view key, bool as_condition);
  // False for a name of the store of which the writes leave nothing.
  base::Result<bool> is_shown(std::string_view prefix, std::string_view name);
  std::vector<std::string> written_children(std::string_view prefix, std::string_view after) const;

  storage::Reader& reader_;
  const Keyring& keyring_;
  base::Random& random_;
  Writes writes_;
  std::optional<Peeked> peeked_;
  std::map<std::string, uint64_t, std::less<>> conditions_;  // key to revision; 0 for "absent"
};

}  // namespace rekey::barrier
