// What Rekey keeps inside an LMDB file. docs/formats/lmdb.md is the
// description; this is the only place that knows it in code. Includers: the lmdb_*.cc files alone.
#pragma once

#include <lmdb.h>

#include <optional>
#include <source_location>
#include <string_view>

#include "storage/lmdb_handles.h"
#include "storage/store.h"

namespace rekey::storage {

inline constexpr uint32_t kLmdbFormat = 4;    // the newest that this program reads and writes
inline constexpr size_t kRowHeaderBytes = 8;  // the revision, before the value
inline constexpr const char* kRowsName = "rows";
inline constexpr const char* kMetaName = "meta";

// An Error for a result code of LMDB or errno, with the kind that Reader and Store promise.
std::unexpected<Error> fail_lmdb(int code, std::string message,
                                 std::source_location where = std::source_location::current());

inline MDB_val to_val(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};  // LMDB does not write through it
}
inline std::string_view to_view(const MDB_val& val) {
  return {static_cast<const char*>(val.mv_data), val.mv_size};
}

// Splits a stored row. kCorrupt if it is too short or claims a revision that isn't in 1..newest.
Result<Item> decode_row(std::string_view row, Revision newest);

// Fails with kCorrupt if the file is shorter than its own header says: touching the missing pages
// through the map would end the process. To be asked before the first transaction.
Result<void> check_file_size(MDB_env* env, uint64_t file_bytes);

// Opens the databases of a store that exists. nullopt: the file is empty. Fails with kUnsupported
// if a newer program wrote it, kCorrupt if it is something else.
Result<std::optional<Databases>> open_databases(MDB_env* env);

// Makes the databases of a new store, at revision 0.
Result<Databases> create_databases(MDB_env* env);

// Brings a store of an older format to kLmdbFormat and gives the tag by which its redo files are
// known; `fresh_tag` if it had none. 2 differs from 1 by the barrier's ledger alone, which the
// barrier makes; an older program would write rows without it. 4 differs from 3 by the names of the
// rows of new tokens (token.md), which an older program wouldn't find.
Result<uint64_t> migrate(MDB_env* env, const Databases& databases, uint64_t fresh_tag);

// The format of a store that open_databases() took.
Result<uint32_t> read_format(MDB_txn* txn, MDB_dbi meta);

// The store's revision as of `txn`.
Result<Revision> read_revision(MDB_txn* txn, MDB_dbi meta);
int write_revision(MDB_txn* txn, MDB_dbi meta, Revision revision);

}  // namespace rekey::storage
