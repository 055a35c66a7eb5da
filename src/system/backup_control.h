// BackupControl: makes backups of the store while it serves, one at a time, for sys/storage/backup.
//
// A backup is copied by a thread of its own into a file without a name in the store's folder, from
// which a client then takes it piece by piece: so neither a slow client nor a large store holds up
// a thread of the server, and whatever becomes of client or server leaves no file behind. It is
// gone when the next one is started, when it is discarded, or after an hour. What is in it is as
// encrypted as in the store; this class knows nothing of it.
//
// Any thread. start() and read() touch the disk: on the pool.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "storage/data_folder.h"

namespace rekey::system {

inline constexpr size_t kBackupPieceBytesMax = 8u << 20;    // of one answer
inline constexpr std::chrono::minutes kBackupKeptMax{60};   // from its start
inline constexpr uint64_t kBackupDiskLeftMin = 256u << 20;  // bytes that must stay free

class BackupControl {
 public:
  using Sink = std::function<base::Result<void>(std::string_view)>;
  // Copies the store as it is now into the sink, and ends with the sink's error if it has one.
  using Copy = std::function<base::Result<void>(const Sink&)>;
  struct Source {
    std::string folder;                     // for the file
    Copy copy;                              // empty: the store can't be backed up
    std::function<uint64_t()> bytes_bound;  // how large a backup may get
  };
  enum class State { kRunning, kDone, kFailed };
  struct Status {
    std::string id;
    State state = State::kRunning;
    uint64_t bytes = 0;           // copied so far; of the whole when done
    uint64_t bytes_expected = 0;  // an upper bound
    std::string error;            // when failed
  };

  // `clock`, `random` and `log` outlive it, and so does what the source uses.
  BackupControl(Source source, const base::Clock& clock, base::Random& random,
                const base::Log& log);
  ~BackupControl();  // ends a copy that is running

  // kUnsupported for a store in memory, kPrecondition while another is being made, kUnavailable
  // where the disk has no room for it.
  base::Result<Status> start();
  // kNotFound for one that is gone.
  base::Result<Status> status(std::string_view id);
  // Up to kBackupPieceBytesMax bytes from `offset` on, none at the end. kPrecondition until done.
  base::Result<std::string> read(std::string_view id, uint64_t offset);
  // Frees the disk; also of one that is running. Nothing happens where it is gone.
  void discard(std::string_view id);

 private:
  base::Result<storage::UniqueFd> make_file() const;
  void run();
  base::Result<void> take(std::string_view piece);
  void forget();  // under control_, without mutex_
  void expire();  // the same

  const Source source_;
  const base::Clock& clock_;
  base::Random& random_;
  const base::Log& log_;
  std::mutex control_;  // one beginning or ending at a time; taken before mutex_
  std::mutex mutex_;    // of what follows
  Status status_;       // without an id: there is none
  base::Duration started_{};
  storage::UniqueFd file_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace rekey::system
