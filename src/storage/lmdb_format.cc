#include "storage/lmdb_format.h"

#include <cerrno>

#include "base/codec.h"

namespace rekey::storage {
namespace {

constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kRevisionKey = "revision";
constexpr std::string_view kTagKey = "redo";

int put_meta(MDB_txn* txn, MDB_dbi meta, std::string_view key, std::string_view value) {
  MDB_val name = to_val(key), data = to_val(value);
  return mdb_put(txn, meta, &name, &data, 0);
}

}  // namespace

void EnvDeleter::operator()(MDB_env* env) const { mdb_env_close(env); }
void TxnDeleter::operator()(MDB_txn* txn) const { mdb_txn_abort(txn); }
void CursorDeleter::operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }

std::unexpected<Error> fail_lmdb(int code, std::string message, std::source_location where) {
  ErrorKind kind = ErrorKind::kUnavailable;
  switch (code) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_NOTFOUND:
      kind = ErrorKind::kCorrupt;
      break;
    case EACCES:
    case EINVAL:
      kind = ErrorKind::kInternal;
      break;
    default:
      break;
  }
  return base::fail(kind, std::move(message), mdb_strerror(code), where);
}

Result<Item> decode_row(std::string_view row, Revision newest) {
  if (row.size() < kRowHeaderBytes) {
    return base::fail(ErrorKind::kCorrupt, "a stored row is damaged", "shorter than its header");
  }
  const Revision revision = base::read_u64(row.data());
  if (revision == 0 || revision > newest) {
    return base::fail(
        ErrorKind::kCorrupt, "a stored row is damaged",
        "revision " + std::to_string(revision) + " in a store at " + std::to_string(newest));
  }
  return Item{row.substr(kRowHeaderBytes), revision};
}

Result<void> check_file_size(MDB_env* env, uint64_t file_bytes) {
  MDB_envinfo info{};
  MDB_stat stat{};
  if (int code = mdb_env_info(env, &info); code != 0)
    return fail_lmdb(code, "the store can't be read");
  if (int code = mdb_env_stat(env, &stat); code != 0)
    return fail_lmdb(code, "the store can't be read");
  const uint64_t needed = (info.me_last_pgno + 1) * stat.ms_psize;
  if (file_bytes >= needed) return {};
  return base::fail(ErrorKind::kCorrupt, "the store's file has been cut short",
                    std::to_string(file_bytes) + " bytes of " + std::to_string(needed));
}

Result<std::optional<Databases>> open_databases(MDB_env* env) {
  MDB_txn* begun = nullptr;
  if (int code = mdb_txn_begin(env, nullptr, MDB_RDONLY, &begun); code != 0) {
    return fail_lmdb(code, "the store can't be read");
  }
  TxnPtr txn(begun);
  Databases databases;
  MDB_dbi main = 0;
  MDB_stat stat{};
  if (int code = mdb_dbi_open(txn.get(), nullptr, 0, &main); code != 0) {
    return fail_lmdb(code, "the store can't be read");
  }
  if (int code = mdb_stat(txn.get(), main, &stat); code != 0) {
    return fail_lmdb(code, "the store can't be read");
  }
  if (stat.ms_entries == 0) return std::nullopt;
  for (auto [name, dbi] :
       {std::pair{kMetaName, &databases.meta}, std::pair{kRowsName, &databases.rows}}) {
    if (int code = mdb_dbi_open(txn.get(), name, 0, dbi); code != 0) {
      return fail_lmdb(code, "the file is not a store of Rekey");
    }
  }
  if (auto format = read_format(txn.get(), databases.meta); !format) return base::forward(format);
  // Handles opened in a transaction live on only if it is committed, also a reading one.
  if (int code = mdb_txn_commit(txn.release()); code != 0) {
    return fail_lmdb(code, "the store can't be read");
  }
  return databases;
}

Result<Databases> create_databases(MDB_env* env) {
  MDB_txn* begun = nullptr;
  int code = mdb_txn_begin(env, nullptr, 0, &begun);
  if (code != 0) return fail_lmdb(code, "the store can't be made");
  TxnPtr txn(begun);
  Databases databases;
  std::string format;
  base::append_u32(format, kLmdbFormat);
  code = mdb_dbi_open(txn.get(), kMetaName, MDB_CREATE, &databases.meta);
  if (code == 0) code = mdb_dbi_open(txn.get(), kRowsName, MDB_CREATE, &databases.rows);
  if (code == 0) code = put_meta(txn.get(), databases.meta, kFormatKey, format);
  if (code == 0) code = write_revision(txn.get(), databases.meta, 0);
  if (code == 0) code = mdb_txn_commit(txn.release());
  if (code != 0) return fail_lmdb(code, "the store can't be made");
  return databases;
}

Result<uint32_t> read_format(MDB_txn* txn, MDB_dbi meta) {
  MDB_val name = to_val(kFormatKey), data{};
  const int code = mdb_get(txn, meta, &name, &data);
  if (code != 0) return fail_lmdb(code, "the store has no format version");
  if (data.mv_size != 4)
    return base::fail(ErrorKind::kCorrupt, "the store's format version is damaged");
  const uint32_t format = base::read_u32(to_view(data).data());
  if (format > kLmdbFormat) {
    return base::fail(ErrorKind::kUnsupported,
                      "the store was written by a newer Rekey: its format is " +
                          std::to_string(format) + " and this program knows up to " +
                          std::to_string(kLmdbFormat));
  }
  if (format == 0) return base::fail(ErrorKind::kCorrupt, "the store's format version is damaged");
  return format;
}

// To 3: redo files stand beside the file, which an older program wouldn't look into.
Result<uint64_t> migrate(MDB_env* env, const Databases& databases, uint64_t fresh_tag) {
  MDB_txn* begun = nullptr;
  int code = mdb_txn_begin(env, nullptr, 0, &begun);
  if (code != 0) return fail_lmdb(code, "the store can't be written");
  TxnPtr txn(begun);
  auto format = read_format(txn.get(), databases.meta);
  if (!format) return base::forward(format);
  MDB_val name = to_val(kTagKey), data{};
  code = mdb_get(txn.get(), databases.meta, &name, &data);
  if (code != 0 && code != MDB_NOTFOUND) return fail_lmdb(code, "the store can't be read");
  // What is in its redo files is known by the tag that it has.
  uint64_t tag_number = fresh_tag;
  if (code == 0) {
    if (data.mv_size != 8) return base::fail(ErrorKind::kCorrupt, "the store's tag is damaged");
    tag_number = base::read_u64(to_view(data).data());
    if (*format == kLmdbFormat) return tag_number;
  }
  std::string newest, tag;
  base::append_u32(newest, kLmdbFormat);
  base::append_u64(tag, tag_number);
  code = put_meta(txn.get(), databases.meta, kFormatKey, newest);
  if (code == 0) code = put_meta(txn.get(), databases.meta, kTagKey, tag);
  if (code == 0) code = mdb_txn_commit(txn.release());
  if (code != 0) return fail_lmdb(code, "the store can't be brought to its newest format");
  return tag_number;
}

Result<Revision> read_revision(MDB_txn* txn, MDB_dbi meta) {
  MDB_val name = to_val(kRevisionKey), data{};
  const int code = mdb_get(txn, meta, &name, &data);
  if (code != 0) return fail_lmdb(code, "the store's revision can't be read");
  if (data.mv_size != 8) return base::fail(ErrorKind::kCorrupt, "the store's revision is damaged");
  return base::read_u64(to_view(data).data());
}

int write_revision(MDB_txn* txn, MDB_dbi meta, Revision revision) {
  std::string bytes;
  base::append_u64(bytes, revision);
  return put_meta(txn, meta, kRevisionKey, bytes);
}

}  // namespace rekey::storage
