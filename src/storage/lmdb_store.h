// LmdbStore: the Store contract on one LMDB file in one folder; what `storage "lmdb"` means.
//
// One writer thread turns everything queued into one LMDB transaction, which is one sync, and only
// then calls anyone back. No batch waits for company: while one turn is being synced, the next
// fills. Readers take no lock. The file's layout is docs/formats/lmdb.md; that values are encrypted
// this driver does not know. LMDB has no page checksums: damage inside a value is the barrier's to
// find.
//
// When things go wrong: a full disk fails the batches and is over when a commit succeeds again. Any
// other failure to write or sync leaves the store read-only until the process restarts, since after
// a failed sync nobody can say what the disk holds; it is never retried.
//
// The process must ignore SIGXFSZ if it runs under a file size limit. Never use a store after fork.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "storage/data_folder.h"
#include "storage/lmdb_handles.h"
#include "storage/read_gate.h"
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

struct LmdbOptions {
  std::string folder;
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

  Result<void> start();
  Result<MDB_env*> standby_env();
  void write_loop();
  bool take_turn(Turn& turn);
  void run_turn(Turn& turn);
  Result<void> write_turn(Turn& turn);
  int try_turn(Turn& turn, Result<void>& refused);
  int apply(MDB_txn* txn, Queued& queued, Revision& revision);
  int put_rows(MDB_txn* txn, const std::vector<Put>& puts, Revision revision);
  // Puts what the witness says into `txn`; 0, and an error in `refused` if it refuses the group.
  int ask_witness(MDB_txn* txn, const Turn& turn, Revision revision, Result<void>& refused);
  int commit_txn(TxnPtr txn, Revision revision, size_t batches);
  Result<void> grow_map();
  std::unexpected<Error> write_failure(int code);
  bool disk_is_full(int code) const;
  void count_outcomes(const Turn& turn);

  const DataFolder folder_;
  const EnvPtr env_;
  const Databases databases_;
  const base::Clock& clock_;
  const base::Log& log_;
  WatchHub hub_;
  ReadGate gate_;
  std::atomic<int> backups_ = 0;
  std::atomic<Revision> committed_ = 0;  // the newest that is durable

  std::mutex witness_mutex_;  // held while a transaction is made and committed
  CommitWitness* witness_ = nullptr;

  // After a failed write of its header LMDB also refuses to begin reading. Nobody writes from then
  // on, so the file can be read by its side, without locks.
  std::mutex standby_mutex_;
  EnvPtr standby_env_;

  std::mutex queue_mutex_;
  std::condition_variable queue_filled_;
  std::deque<Queued> queue_;
  size_t queue_bytes_ = 0;
  bool stopping_ = false;

  mutable std::mutex health_mutex_;
  Health health_;

  std::thread writer_;  // last: runs on all of the above
};

}  // namespace rekey::storage
