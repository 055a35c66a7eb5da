// LmdbStore: the Store contract on one LMDB file in one folder; what `storage "lmdb"` means.
//
// One writer thread turns everything queued into one group in a redo file, which is one sync, and
// only then calls anyone back. No batch waits for company: while one turn is being synced, the next
// fills. What is in the redo file stands in a table in memory too, where readers find it before
// they look into LMDB; a second thread moves full tables into the LMDB file, each in one synced
// transaction. So a row costs its share of a page, not a page, and LMDB's file is whole at any
// time: recovery is to apply the groups that it doesn't have yet. Readers take no lock. The files'
// layout is docs/formats/lmdb.md; that values are encrypted this driver does not know. LMDB has no
// page checksums: damage inside a value is the barrier's to find.
//
// When things go wrong: a full disk fails the batches, at the latest when the tables are full, and
// is over when there is room again. Any other failure to write or sync leaves the store read-only
// until the process restarts, since after a failed sync nobody can say what the disk holds; it is
// never retried.
//
// The process must ignore SIGXFSZ if it runs under a file size limit. Never use a store after fork.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/snapshot.h"
#include "storage/data_folder.h"
#include "storage/lmdb_handles.h"
#include "storage/read_gate.h"
#include "storage/redo_file.h"
#include "storage/row_table.h"
#include "storage/store.h"
#include "storage/watch_hub.h"

namespace rekey::storage {

// Address space, not disk: the file grows with what is written. Growing the map needs a moment
// without any snapshot, so the first one is far larger than most stores ever get.
inline constexpr uint64_t kMapBytesFirst = uint64_t{64} << 30;
inline constexpr uint64_t kMapBytesMax = uint64_t{16} << 40;  // the store's greatest size
inline constexpr std::chrono::milliseconds kMapGrowWaitMax{
    5'000};                                     // ms, for the last snapshot to end
inline constexpr unsigned kReadersMax = 1'024;  // io threads, pool threads and backups together
// One turn of the writer; bounds what a batch at the end of the turn waits for.
inline constexpr size_t kTurnOpsMax = 32'768;
inline constexpr size_t kTurnBytesMax = 64u << 20;  // or one batch, if it alone is larger
// Writes that wait for the disk; beyond either, commits fail with kUnavailable.
inline constexpr size_t kQueueBatchesMax = 65'536;
inline constexpr size_t kQueueBytesMax = 256u << 20;  // keys and values of what waits

// A table in memory of this size is moved into the LMDB file. Larger ones share pages among more
// rows, and make LMDB keep more memory for the pages that it writes at once.
inline constexpr size_t kTableBytesFull = 4u << 20;
// So long after the last commit what is in memory is moved too, so that reads need not look there.
inline constexpr std::chrono::milliseconds kIdleFlushDelay{1'000};      // ms
inline constexpr std::chrono::milliseconds kFlushRetryInterval{1'000};  // ms, on a full disk

inline constexpr const char* kRedoNames[] = {"redo-0", "redo-1"};  // beside data.mdb

struct LmdbOptions {
  std::string folder;
  size_t table_bytes_full = kTableBytesFull;  // tests fill it sooner
  uint64_t map_bytes_first = kMapBytesFirst;  // tests start small to see the map grow
};

struct BackupProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_expected = 0;  // an upper bound: free pages are left out of a backup
};
using BackupSink = std::function<Result<void>(std::string_view)>;
using OnBackupProgress = std::function<void(BackupProgress)>;

class LmdbStore final : public Store {
 private:
  struct Opened {  // private, so that only open() can construct a store
    DataFolder folder;
    EnvPtr env;
    Databases databases;
    uint64_t tag = 0;            // of this store, in its redo files
    std::vector<RedoFile> redo;  // two
    size_t table_bytes_full = kTableBytesFull;
  };

 public:
  // Opens the store in `options.folder`, or makes one there. `clock` and `log` outlive it. Fails
  // with kUnavailable if another process has the folder, kUnsupported if a newer program wrote the
  // store, kCorrupt if it is damaged or something else; nothing is changed then.
  static Result<std::unique_ptr<LmdbStore>> open(const LmdbOptions& options,
                                                 const base::Clock& clock, const base::Log& log);
  LmdbStore(Opened opened, const base::Clock& clock, const base::Log& log);
  ~LmdbStore() override;

  const Limits& limits() const override { return kEmbeddedLimits; }
  Result<std::unique_ptr<Reader>> open_reader() override;
  void commit(Batch batch, Done done) override;
  std::unique_ptr<Watch> watch(std::string prefix, OnChange on_change) override;
  void set_witness(CommitWitness* witness) override;
  Health health() const override;

  // Writes a backup of the present state to `sink` (lmdb_backup.h reads it), while commits and
  // reads go on; pages they overwrite can't be used again until it is done, so the file may grow.
  // Blocking, for a pool or a tool; `progress` may be empty. Fails as the sink does, or with
  // kUnavailable.
  Result<void> backup(const BackupSink& sink, const OnBackupProgress& progress);
  // The same into a file, which is synced. `fd` stays the caller's.
  Result<void> backup_to(int fd, const OnBackupProgress& progress);

 private:
  class LmdbReader;
  struct Queued {
    Batch batch;
    Done done;
    size_t ops = 0;
    size_t bytes = 0;
    Result<Revision> outcome = Revision{0};
  };
  using Turn = std::vector<Queued>;

  // Newest first: what stands in one hides what the later ones and LMDB have.
  struct Tables {
    std::vector<std::shared_ptr<const RowTable>> newest_first;
  };
  // What a turn has decided on so far.
  struct Plan {
    std::unordered_map<std::string_view, Revision> present;  // of what it knows; 0: absent
    std::vector<RedoRow> rows;
    Revision revision = 0;
  };
  // A table on its way into the LMDB file.
  struct Flushing {
    std::shared_ptr<const RowTable> table;
    Revision revision = 0;                  // of the store when it was full
    std::optional<uint64_t> rows_expected;  // in it then, by what the witness saw
  };

  Result<void> start();
  Result<void> replay(Revision stored);
  Result<MDB_env*> standby_env();

  // On the writer thread.
  void write_loop();
  bool take_turn(Turn& turn);
  void run_turn(Turn& turn);
  Result<void> write_turn(Turn& turn);
  Result<void> make_room();
  Result<void> start_flush();
  std::optional<uint64_t> rows_expected();
  void flush_if_idle();
  void plan_batch(Queued& queued, Plan& plan);
  Result<Revision> present_revision(Plan& plan, std::string_view key);
  void plan_row(Plan& plan, const RedoRow& row);
  // What the witness wants beside the turn's batches; its error refuses the group.
  Result<std::vector<Put>> ask_witness(const Turn& turn, Revision revision);
  Result<void> commit_plan(const Plan& plan, size_t batches);
  std::unexpected<Error> redo_failure(RedoFile::Written written);
  void count_outcomes(const Turn& turn);

  // Has everything that is committed moved into the LMDB file, and waits for it. On any thread but
  // those two.
  Result<void> flush_all();
  bool is_broken() const;  // read-only for good
  void close();

  // On the flush thread.
  void flush_loop();
  Result<void> flush(const Flushing& flushing);
  int try_flush(const Flushing& flushing, uint64_t& rows);
  void tell_rows(const Flushing& flushing, uint64_t rows);
  Result<void> grow_map();
  std::unexpected<Error> write_failure(int code);
  // Writes down that the disk is full, or else that the store is broken, and whether that is a
  // reason to refuse writes already; for both threads.
  std::unexpected<Error> note_failure(bool full, std::string_view what, bool refusing);
  void note_refusing();
  static bool means_full(int error);
  bool disk_is_full(int code) const;
  void publish_tables();  // with flush_mutex_ held

  const DataFolder folder_;
  const EnvPtr env_;
  const Databases databases_;
  const base::Clock& clock_;
  const base::Log& log_;
  WatchHub hub_;
  ReadGate gate_;
  std::atomic<int> backups_ = 0;
  std::atomic<Revision> committed_ = 0;  // the newest that is durable
  base::Snapshot<Tables> tables_;

  std::mutex witness_mutex_;  // held while a group is made and committed, and what it wrote counted
  CommitWitness* witness_ = nullptr;

  // The writer thread's.
  const uint64_t tag_;
  const size_t table_bytes_full_;
  std::vector<RedoFile> redo_;
  std::optional<size_t> filling_redo_;  // none: both hold what isn't in the LMDB file yet
  RedoGroupMaker group_;
  std::unique_ptr<Reader> present_;

  std::mutex flush_mutex_;
  std::condition_variable flush_work_, flush_done_;
  std::shared_ptr<RowTable> filling_;  // its rows are the writer's
  std::optional<Flushing> flushing_;
  Revision flushed_ = 0;         // the LMDB file's
  uint64_t flush_attempts_ = 0;  // begun
  uint64_t flush_failed_ = 0;    // the last of them that did
  Result<void> flush_error_;     // of the last attempt
  bool flush_now_ = false;       // don't wait for kFlushRetryInterval
  bool flush_stopping_ = false;

  // After a failed write of its header LMDB also refuses to begin reading. Nobody writes from then
  // on, so the file can be read by its side, without locks.
  std::mutex standby_mutex_;
  EnvPtr standby_env_;

  std::mutex queue_mutex_;
  std::condition_variable queue_filled_;
  std::deque<Queued> queue_;
  size_t queue_bytes_ = 0;
  bool stopping_ = false;
  bool flush_wanted_ = false;

  mutable std::mutex health_mutex_;
  Health health_;
  bool flush_fails_ = false;  // the last attempt did

  std::thread flusher_, writer_;  // last: they run on all of the above
};

}  // namespace rekey::storage
