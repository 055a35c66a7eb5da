#include "storage/lmdb_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
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

}  // namespace

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
  } else {
    auto created = create_databases(env->get());
    if (!created) return base::forward(created);
    databases = *created;
  }
  const auto now = clock.wall().time_since_epoch();
  auto tag = migrate(env->get(), databases, static_cast<uint64_t>(now.count()));
  if (!tag) return base::forward(tag);
  Opened opened{.folder = std::move(*folder),
                .env = std::move(*env),
                .databases = databases,
                .tag = *tag,
                .table_bytes_full = options.table_bytes_full};
  for (const char* name : kRedoNames) {
    auto redo = RedoFile::open(opened.folder.file(name));
    if (!redo) return base::forward(redo);
    opened.redo.push_back(std::move(*redo));
  }
  // data.mdb may be new, also after a crash between its making and this.
  if (auto synced = opened.folder.sync(); !synced) return base::forward(synced);
  auto store = std::make_unique<LmdbStore>(std::move(opened), clock, log);
  if (auto started = store->start(); !started) return base::forward(started);
  return store;
}

LmdbStore::LmdbStore(Opened opened, const base::Clock& clock, const base::Log& log)
    : folder_(std::move(opened.folder)),
      env_(std::move(opened.env)),
      databases_(opened.databases),
      clock_(clock),
      log_(log),
      tables_(std::make_shared<const Tables>()),
      tag_(opened.tag),
      table_bytes_full_(opened.table_bytes_full),
      redo_(std::move(opened.redo)),
      filling_(std::make_shared<RowTable>()) {}

Result<void> LmdbStore::start() {
  MDB_txn* begun = nullptr;
  if (int code = mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &begun); code != 0) {
    return fail_lmdb(code, "the store can't be read");
  }
  TxnPtr txn(begun);
  auto revision = read_revision(txn.get(), databases_.meta);
  if (!revision) return base::forward(revision);
  MDB_stat stat{};
  MDB_envinfo info{};
  mdb_stat(txn.get(), databases_.rows, &stat);
  mdb_env_info(env_.get(), &info);
  // A tree whose top is damaged is better refused here than with every request.
  for (const MDB_cursor_op end : {MDB_FIRST, MDB_LAST}) {
    MDB_cursor* opened = nullptr;
    MDB_val key{}, row{};
    int code = mdb_cursor_open(txn.get(), databases_.rows, &opened);
    const CursorPtr cursor(opened);
    if (code == 0) code = mdb_cursor_get(cursor.get(), &key, &row, end);
    if (code != 0 && code != MDB_NOTFOUND) return fail_lmdb(code, "the store can't be read");
  }
  committed_ = flushed_ = *revision;
  if (auto replayed = replay(*revision); !replayed) return replayed;
  txn.reset();  // or the map couldn't grow
  health_.bytes_used = (info.me_last_pgno + 1) * stat.ms_psize;
  health_.bytes_max = info.me_mapsize;
  {
    const std::lock_guard lock(flush_mutex_);
    if (!filling_->empty()) {
      flushing_ = Flushing{std::exchange(filling_, std::make_shared<RowTable>()), committed_, {}};
    }
    publish_tables();
  }
  auto reader = open_reader();
  if (!reader) return base::forward(reader);
  present_ = std::move(*reader);
  auto rows = present_->rows();
  if (!rows) return base::forward(rows);
  health_.keys = *rows;
  present_->release();
  flusher_ = std::thread([this] { flush_loop(); });
  writer_ = std::thread([this] { write_loop(); });
  return {};
}

// Puts what the redo files have and the LMDB file doesn't into the first table. Whatever was
// acknowledged is whole and in one unbroken row of revisions; only a last group, which nobody was
// told of, may be torn.
Result<void> LmdbStore::replay(Revision stored) {
  std::vector<std::string> bytes;
  std::vector<RedoGroup> groups;
  for (const RedoFile& file : redo_) {
    auto read = file.read_all();
    if (!read) return base::forward(read);
    bytes.push_back(std::move(*read));
  }
  for (const std::string& file : bytes) {
    if (redo_tag(file).value_or(tag_) != tag_) {
      return base::fail(ErrorKind::kCorrupt, "the redo files are another store's");
    }
    for (RedoGroup& group : parse_redo_file(file, tag_)) {
      if (group.last > stored) groups.push_back(std::move(group));
    }
  }
  std::ranges::sort(groups, {}, &RedoGroup::first);
  for (const RedoGroup& group : groups) {
    if (group.first != committed_ + 1) {
      return base::fail(ErrorKind::kCorrupt, "the store's redo files don't fit its data file",
                        "data up to revision " + std::to_string(committed_) +
                            ", the next in the redo files are " + std::to_string(group.first) +
                            " to " + std::to_string(group.last));
    }
    for (const RedoRow& row : group.rows) {
      if (row.erased) {
        filling_->erase(row.key, row.revision);
      } else {
        filling_->put(row.key, row.value, row.revision);
      }
    }
    committed_ = group.last;
  }
  if (groups.empty()) return {};
  log_.info(
      "storage", "writes that a crash left in the redo files are moved into the store",
      {{"groups", std::to_string(groups.size())}, {"revision", std::to_string(committed_.load())}});
  return {};
}

LmdbStore::~LmdbStore() { close(); }

void LmdbStore::close() {
  {
    const std::lock_guard lock(queue_mutex_);
    stopping_ = true;
  }
  queue_filled_.notify_one();
  if (!writer_.joinable()) return;
  writer_.join();
  Result<void> outcome =
      is_broken() ? base::fail(ErrorKind::kUnavailable, "writing failed before") : start_flush();
  {
    std::unique_lock lock(flush_mutex_);
    flush_stopping_ = true;
    flush_work_.notify_one();
  }
  flusher_.join();
  if (outcome && flushing_) outcome = flush_error_;
  present_.reset();
  for (RedoFile& file : redo_) {
    if (outcome) outcome = file.wipe();
  }
  if (!outcome) {
    log_.warn("storage", "the last writes stay in the redo files until the next start",
              {{"reason", outcome.error().describe()}});
  }
}

std::unique_ptr<Watch> LmdbStore::watch(std::string prefix, OnChange on_change) {
  return hub_.add(std::move(prefix), std::move(on_change));
}

Health LmdbStore::health() const {
  const std::lock_guard lock(health_mutex_);
  return health_;
}

}  // namespace rekey::storage
