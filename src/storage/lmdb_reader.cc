// Reading from LmdbStore: LMDB's snapshot, and over it the tables of what it doesn't have yet.
#include <algorithm>

#include "base/check.h"
#include "storage/listing.h"
#include "storage/lmdb_format.h"
#include "storage/lmdb_store.h"

namespace rekey::storage {
namespace {

class LmdbCursor {
 public:
  static Result<LmdbCursor> open(MDB_txn* txn, MDB_dbi rows) {
    MDB_cursor* opened = nullptr;
    if (int code = mdb_cursor_open(txn, rows, &opened); code != 0) {
      return fail_lmdb(code, "the store can't be read");
    }
    return LmdbCursor(CursorPtr(opened));
  }

  bool seek(std::string_view key) {
    key_ = to_val(key);
    return move(key.empty() ? MDB_FIRST : MDB_SET_RANGE);
  }
  bool next() { return move(MDB_NEXT); }
  std::string_view key() const { return to_view(key_); }
  Result<void> status() const {
    if (code_ == 0 || code_ == MDB_NOTFOUND) return {};
    return fail_lmdb(code_, "the store can't be read");
  }

 private:
  explicit LmdbCursor(CursorPtr cursor) : cursor_(std::move(cursor)) {}

  bool move(MDB_cursor_op op) {
    MDB_val row{};
    code_ = mdb_cursor_get(cursor_.get(), &key_, &row, op);
    return code_ == 0;
  }

  CursorPtr cursor_;
  MDB_val key_{};
  int code_ = 0;
};

// LMDB's keys and those of the tables in one order, without what the tables say is gone.
class LayeredCursor {
 public:
  LayeredCursor(LmdbCursor base, const std::vector<std::shared_ptr<const RowTable>>& newest_first,
                Revision revision)
      : base_(std::move(base)), revision_(revision) {
    for (const auto& table : newest_first) {
      if (!table->empty()) tables_.emplace_back(*table);
    }
  }

  bool seek(std::string_view key) {
    in_base_ = base_.seek(key);
    for (RowTable::Cursor& table : tables_) table.seek(key);
    return settle();
  }
  bool next() {
    step(key_);
    return settle();
  }
  std::string_view key() const { return key_; }
  Result<void> status() const { return base_.status(); }

 private:
  void step(std::string_view key) {
    // `key` may be LMDB's memory, which stays as it is; so LMDB goes last.
    for (RowTable::Cursor& table : tables_) {
      if (table.valid() && table.key() == key) table.next();
    }
    if (in_base_ && base_.key() == key) in_base_ = base_.next();
  }

  // To the first key from here on that is there at revision_.
  bool settle() {
    for (;;) {
      bool any = in_base_;
      if (any) key_ = base_.key();
      for (const RowTable::Cursor& table : tables_) {
        if (!table.valid() || (any && table.key() >= key_)) continue;
        key_ = table.key();
        any = true;
      }
      if (!any) return false;
      if (is_there()) return true;
      step(key_);
    }
  }

  bool is_there() const {
    for (const RowTable::Cursor& table : tables_) {
      if (!table.valid() || table.key() != key_) continue;
      if (const RowTable::Version* version = table.version(revision_)) return !version->erased;
    }
    return in_base_ && base_.key() == key_;
  }

  LmdbCursor base_;
  bool in_base_ = false;
  std::vector<RowTable::Cursor> tables_;
  const Revision revision_;
  std::string_view key_;
};

}  // namespace

class LmdbStore::LmdbReader final : public Reader {
 public:
  explicit LmdbReader(LmdbStore& store) : store_(store), newest_tables_(store.tables_) {}
  ~LmdbReader() override { release(); }

  Result<void> refresh() override {
    // Nothing new and nobody wants the map: the snapshot is still the newest.
    if (active_ && revision_ == store_.committed_.load(std::memory_order_acquire) &&
        newest_tables_.get().get() == tables_ && !store_.gate_.closed()) {
      return {};
    }
    release();
    store_.gate_.enter();
    // In this order: a table that is gone from the tables is in any LMDB snapshot begun afterwards.
    for (;;) {
      revision_ = store_.committed_.load(std::memory_order_acquire);
      tables_ = newest_tables_.get().get();
      if (auto begun = begin_snapshot(); !begun) {
        store_.gate_.leave();
        return begun;
      }
      active_ = true;
      auto stored = read_revision(txn_.get(), store_.databases_.meta);
      if (!stored) {
        release();
        return base::forward(stored);
      }
      if (*stored <= revision_) return {};
      mdb_txn_reset(txn_.get());  // two tables went into LMDB meanwhile
      active_ = false;
    }
  }

  void release() override {
    if (!active_) return;
    mdb_txn_reset(txn_.get());
    newest_tables_.drop();  // may be the last to hold them
    active_ = false;
    store_.gate_.leave();
  }

  Revision revision() const override {
    REKEY_CHECK(active_);
    return revision_;
  }

  Result<std::optional<Item>> get(std::string_view key) override {
    REKEY_CHECK(active_);
    if (key.empty()) return base::fail(ErrorKind::kInvalid, "a storage key is empty");
    if (key.size() > kEmbeddedLimits.key_bytes_max) return std::nullopt;
    if (const RowTable::Version* version = newest(key)) {
      if (version->erased) return std::nullopt;
      return Item{version->value, version->revision};
    }
    MDB_val name = to_val(key), row{};
    const int code = mdb_get(txn_.get(), store_.databases_.rows, &name, &row);
    if (code == MDB_NOTFOUND) return std::nullopt;
    if (code != 0) return fail_lmdb(code, "the store can't be read");
    return decode_row(to_view(row), revision_);
  }

  Result<std::vector<std::string>> list(std::string_view prefix, std::string_view after,
                                        size_t limit) override {
    REKEY_CHECK(active_);
    auto cursor = LmdbCursor::open(txn_.get(), store_.databases_.rows);
    if (!cursor) return base::forward(cursor);
    LayeredCursor layered(std::move(*cursor), tables_->newest_first, revision_);
    return list_names(layered, prefix, after, limit);
  }

  Result<std::vector<std::string>> scan(std::string_view prefix, std::string_view after,
                                        size_t limit) override {
    REKEY_CHECK(active_);
    auto cursor = LmdbCursor::open(txn_.get(), store_.databases_.rows);
    if (!cursor) return base::forward(cursor);
    LayeredCursor layered(std::move(*cursor), tables_->newest_first, revision_);
    return scan_keys(layered, prefix, after, limit);
  }

  // LMDB knows how many it has; of what only the tables know each row is looked up.
  Result<uint64_t> rows() override {
    REKEY_CHECK(active_);
    MDB_stat stat{};
    if (int code = mdb_stat(txn_.get(), store_.databases_.rows, &stat); code != 0) {
      return fail_lmdb(code, "the store can't be read");
    }
    uint64_t count = stat.ms_entries;
    for (const auto& table : tables_->newest_first) {
      RowTable::Cursor cursor(*table);
      for (bool more = cursor.seek(""); more; more = cursor.next()) {
        const RowTable::Version* version = cursor.version(revision_);
        if (version == nullptr || newest(cursor.key()) != version) continue;
        MDB_val name = to_val(cursor.key()), row{};
        const bool was = mdb_get(txn_.get(), store_.databases_.rows, &name, &row) == 0;
        count += static_cast<uint64_t>(!version->erased) - static_cast<uint64_t>(was);
      }
    }
    return count;
  }

 private:
  // What the tables know of this key, as far as the snapshot goes; null if none of them does.
  const RowTable::Version* newest(std::string_view key) const {
    for (const auto& table : tables_->newest_first) {
      if (const RowTable::Version* version = table->find(key, revision_)) return version;
    }
    return nullptr;
  }

  Result<void> begin_snapshot() {
    int code = begin(store_.env_.get());
    if (code == MDB_PANIC) code = begin_standby();
    if (code == 0) return {};
    return fail_lmdb(code, code == MDB_READERS_FULL ? "the store has too many readers"
                                                    : "the store can't be read");
  }

  int begin(MDB_env* env) {
    if (txn_) return mdb_txn_renew(txn_.get());
    MDB_txn* begun = nullptr;
    const int code = mdb_txn_begin(env, nullptr, MDB_RDONLY, &begun);
    txn_.reset(begun);
    return code;
  }

  int begin_standby() {
    auto env = store_.standby_env();
    if (!env) return MDB_PANIC;
    txn_.reset();
    return begin(*env);
  }

  LmdbStore& store_;
  TxnPtr txn_;  // kept for good: holds the slot in the reader table
  bool active_ = false;
  Revision revision_ = 0;
  base::SnapshotReader<Tables> newest_tables_;
  const Tables* tables_ = nullptr;  // newest_tables_'s, those of this snapshot
};

Result<MDB_env*> LmdbStore::standby_env() {
  const std::lock_guard lock(standby_mutex_);
  if (standby_env_) return standby_env_.get();
  MDB_env* created = nullptr;
  if (int code = mdb_env_create(&created); code != 0)
    return fail_lmdb(code, "the store can't be read");
  EnvPtr env(created);
  mdb_env_set_maxdbs(env.get(), 2);
  constexpr unsigned kFlags = MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS;
  if (int code = mdb_env_open(env.get(), folder_.path().c_str(), kFlags, 0600); code != 0) {
    return fail_lmdb(code, "the store can't be read");
  }
  auto databases = open_databases(env.get());
  if (!databases) return base::forward(databases);
  // LMDB numbers them in the order of opening, which is the same everywhere.
  if (!*databases || (*databases)->rows != databases_.rows ||
      (*databases)->meta != databases_.meta) {
    return base::fail(ErrorKind::kUnavailable, "the store can't be read after a failed write");
  }
  standby_env_ = std::move(env);
  return standby_env_.get();
}

Result<std::unique_ptr<Reader>> LmdbStore::open_reader() {
  auto reader = std::make_unique<LmdbReader>(*this);
  if (auto refreshed = reader->refresh(); !refreshed) return base::forward(refreshed);
  return reader;
}

}  // namespace rekey::storage
