// RAII around LMDB's handles, without LMDB's header: that stays inside this room.
#pragma once

#include <memory>

struct MDB_env;
struct MDB_txn;
struct MDB_cursor;

namespace rekey::storage {

struct EnvDeleter {
  void operator()(MDB_env* env) const;
};
struct TxnDeleter {
  void operator()(MDB_txn* txn) const;
};
struct CursorDeleter {
  void operator()(MDB_cursor* cursor) const;
};
using EnvPtr = std::unique_ptr<MDB_env, EnvDeleter>;
using TxnPtr = std::unique_ptr<MDB_txn, TxnDeleter>;  // aborts unless released into a commit
using CursorPtr = std::unique_ptr<MDB_cursor, CursorDeleter>;

// Handles (MDB_dbi) of the two databases in a store's file.
struct Databases {
  unsigned rows = 0;
  unsigned meta = 0;
};

}  // namespace rekey::storage
