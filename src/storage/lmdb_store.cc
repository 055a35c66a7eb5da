#include "storage/lmdb_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "storage/listing.h"
#include "storage/lmdb_format.h"

namespace rekey::storage {
namespace {

// LMDB writes into the lock file through a map: a hole in it and a full disk would be a SIGBUS.
Result<void> reserve_lock_file(const std::string& path) {
  constexpr off_t kBytes = 128 << 10;  // kReadersMax slots of 64 bytes, and room to spare
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return fail_errno("the store can't be opened", path);
  if (const int error = ::posix_fallocate(fd.get(), 0, kBytes); error != 0) {
    errno = error;
    return fail_errno("the store can't be opened", path);
  }
  return {};
}

// A map of twice the file is large enough to start with, however the file got there.
uint64_t first_map_bytes(const LmdbOptions& options, const std::string& data_path) {
  struct stat info{};
  const uint64_t present = ::stat(data_path.c_str(), &info) == 0 ? info.st_size : 0;
  return std::clamp(std::max(options.map_bytes_first, present * 2), uint64_t{1} << 20,
                    kMapBytesMax);
}

Result<EnvPtr> open_env(const LmdbOptions& options, const DataFolder& folder) {
  MDB_env* created = nullptr;
  if (int code = mdb_env_create(&created); code != 0)
    return fail_lmdb(code, "the store can't be opened");
  EnvPtr env(created);
  mdb_env_set_mapsize(env.get(), first_map_bytes(options, folder.file("data.mdb")));
  mdb_env_set_maxdbs(env.get(), 2);
  mdb_env_set_maxreaders(env.get(), kReadersMax);
  if (int code = mdb_env_open(env.get(), folder.path().c_str(), MDB_NOTLS, 0600); code != 0) {
    return fail_lmdb(code, "the store can't be opened");
  }
  REKEY_CHECK(static_cast<size_t>(mdb_env_get_maxkeysize(env.get())) >=
              kEmbeddedLimits.key_bytes_max);
  mdb_filehandle_t fd = -1;
  struct stat info{};
  if (mdb_env_get_fd(env.get(), &fd) != 0 || ::fstat(fd, &info) != 0 ||
      ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    return fail_errno("the store can't be opened", folder.path());
  }
  if (auto checked = check_file_size(env.get(), info.st_size); !checked)
    return base::forward(checked);
  int stale = 0;
  if (int code = mdb_reader_check(env.get(), &stale); code != 0) {
    return fail_lmdb(code, "the store can't be opened");
  }
  return env;
}

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

}  // namespace

class LmdbStore::LmdbReader final : public Reader {
 public:
  explicit LmdbReader(LmdbStore& store) : store_(store) {}
  ~LmdbReader() override { release(); }

  Result<void> refresh() override {
    // Nothing new and nobody wants the map: the snapshot is still the newest.
    if (active_ && revision_ == store_.committed_.load(std::memory_order_acquire) &&
        !store_.gate_.closed()) {
      return {};
    }
    release();
    store_.gate_.enter();
    int code = begin(store_.env_.get());
    if (code == MDB_PANIC) code = begin_standby();
    if (code != 0) {
      store_.gate_.leave();
      return fail_lmdb(code, code == MDB_READERS_FULL ? "the store has too many readers"
                                                      : "the store can't be read");
    }
    active_ = true;
    auto revision = read_revision(txn_.get(), store_.databases_.meta);
    if (revision && standby_ && *revision != store_.committed_) {
      revision =
          base::fail(ErrorKind::kUnavailable, "the store can't be read after a failed write");
    }
    if (!revision) {
      release();
      return base::forward(revision);
    }
    revision_ = *revision;
    return {};
  }

  void release() override {
    if (!active_) return;
    mdb_txn_reset(txn_.get());
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
    return list_names(*cursor, prefix, after, limit);
  }

  Result<std::vector<std::string>> scan(std::string_view prefix, std::string_view after,
                                        size_t limit) override {
    REKEY_CHECK(active_);
    auto cursor = LmdbCursor::open(txn_.get(), store_.databases_.rows);
    if (!cursor) return base::forward(cursor);
    return scan_keys(*cursor, prefix, after, limit);
  }

 private:
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
    standby_ = true;
    return begin(*env);
  }

  LmdbStore& store_;
  TxnPtr txn_;  // kept for good: holds the slot in the reader table
  bool active_ = false;
  bool standby_ = false;  // txn_ is one of the standby's
  Revision revision_ = 0;
};

Result<std::unique_ptr<LmdbStore>> LmdbStore::open(const LmdbOptions& options,
                                                   const base::Clock& clock, const base::Log& log) {
  auto folder = DataFolder::open(options.folder, log);
  if (!folder) return base::forward(folder);
  if (auto reserved = reserve_lock_file(folder->file("lock.mdb")); !reserved) {
    return base::forward(reserved);
  }
  auto env = open_env(options, *folder);
  if (!env) return base::forward(env);
  auto found = open_databases(env->get());
  if (!found) return base::forward(found);
  Databases databases;
  if (*found) {
    databases = **found;
    auto migrated = migrate_format(env->get(), databases);
    if (!migrated) return base::forward(migrated);
  } else {
    auto created = create_databases(env->get());
    if (!created) return base::forward(created);
    databases = *created;
  }
  // data.mdb may be new, also after a crash between its making and this.
  if (auto synced = folder->sync(); !synced) return base::forward(synced);
  auto store = std::make_unique<LmdbStore>(Opened{std::move(*folder), std::move(*env), databases},
                                           clock, log);
  if (auto started = store->start(); !started) return base::forward(started);
  return store;
}

LmdbStore::LmdbStore(Opened opened, const base::Clock& clock, const base::Log& log)
    : folder_(std::move(opened.folder)),
      env_(std::move(opened.env)),
      databases_(opened.databases),
      clock_(clock),
      log_(log) {}

Result<void> LmdbStore::start() {
  MDB_txn* begun = nullptr;
  if (int code = mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &begun); code != 0) {
    return fail_lmdb(code, "the store can't be read");
  }
  const TxnPtr txn(begun);
  auto revision = read_revision(txn.get(), databases_.meta);
  if (!revision) return base::forward(revision);
  MDB_stat stat{};
  MDB_envinfo info{};
  mdb_stat(txn.get(), databases_.rows, &stat);
  mdb_env_info(env_.get(), &info);
  committed_ = *revision;
  health_.keys = stat.ms_entries;
  health_.bytes_used = (info.me_last_pgno + 1) * stat.ms_psize;
  health_.bytes_max = info.me_mapsize;
  writer_ = std::thread([this] { write_loop(); });
  return {};
}

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

LmdbStore::~LmdbStore() {
  {
    const std::lock_guard lock(queue_mutex_);
    stopping_ = true;
  }
  queue_filled_.notify_one();
  if (writer_.joinable()) writer_.join();
}

Result<std::unique_ptr<Reader>> LmdbStore::open_reader() {
  auto reader = std::make_unique<LmdbReader>(*this);
  if (auto refreshed = reader->refresh(); !refreshed) return base::forward(refreshed);
  return reader;
}

std::unique_ptr<Watch> LmdbStore::watch(std::string prefix, OnChange on_change) {
  return hub_.add(std::move(prefix), std::move(on_change));
}

Health LmdbStore::health() const {
  const std::lock_guard lock(health_mutex_);
  return health_;
}

}  // namespace rekey::storage
