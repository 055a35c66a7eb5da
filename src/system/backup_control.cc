#include "system/backup_control.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/thread.h"

namespace rekey::system {

using base::ErrorKind;
using base::Result;
using storage::fail_errno;
using storage::UniqueFd;

BackupControl::BackupControl(Source source, const base::Clock& clock, base::Random& random,
                             const base::Log& log)
    : source_(std::move(source)), clock_(clock), random_(random), log_(log) {}

BackupControl::~BackupControl() {
  const std::lock_guard control(control_);
  forget();
}

Result<UniqueFd> BackupControl::make_file() const {
  UniqueFd file(open(source_.folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.valid()) return file;
  // A file system that knows no nameless files: one that loses its name at once.
  const std::string path = source_.folder + "/backup." + random_.uuid();
  UniqueFd named(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!named.valid()) return fail_errno("the backup's file can't be made", path);
  unlink(path.c_str());
  return named;
}

Result<BackupControl::Status> BackupControl::start() {
  const std::lock_guard control(control_);
  if (!source_.copy) {
    return base::fail(ErrorKind::kUnsupported,
                      "the store is in memory: there is nothing to back up");
  }
  expire();
  {
    const std::lock_guard lock(mutex_);
    if (!status_.id.empty() && status_.state == State::kRunning) {
      return base::fail(ErrorKind::kPrecondition, "another backup is being made: try again later");
    }
  }
  forget();
  const uint64_t expected = source_.bytes_bound();
  struct statvfs disk{};
  if (statvfs(source_.folder.c_str(), &disk) != 0) {
    return fail_errno("the store's folder can't be looked at", source_.folder);
  }
  if (uint64_t{disk.f_bavail} * disk.f_frsize < expected + kBackupDiskLeftMin) {
    return base::fail(ErrorKind::kUnavailable, "the store's disk has no room for a backup: up to " +
                                                   std::to_string(expected >> 20) + " MiB and " +
                                                   std::to_string(kBackupDiskLeftMin >> 20) +
                                                   " MiB to spare are needed");
  }
  auto file = make_file();
  if (!file) return forward(file);
  const std::lock_guard lock(mutex_);
  file_ = std::move(*file);
  status_ = {.id = random_.uuid(), .bytes_expected = expected};
  started_ = clock_.monotonic();
  stopping_ = false;
  thread_ = std::thread([this] { run(); });
  return status_;
}

Result<void> BackupControl::take(std::string_view piece) {
  if (stopping_) return base::fail(ErrorKind::kUnavailable, "the backup was discarded");
  const size_t whole = piece.size();
  while (!piece.empty()) {
    const ssize_t put = write(file_.get(), piece.data(), piece.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_errno("the backup can't be written", source_.folder);
    piece.remove_prefix(static_cast<size_t>(put));
  }
  const std::lock_guard lock(mutex_);
  status_.bytes += whole;
  return {};
}

// On the backup's own thread. The file isn't touched by others until the state has changed.
void BackupControl::run() {
  base::begin_thread("backup", base::Urgency::kSoon);
  const auto copied = source_.copy([this](std::string_view piece) { return take(piece); });
  const std::lock_guard lock(mutex_);
  if (copied) {
    status_.state = State::kDone;
    log_.info("system", "a backup was made", {{"bytes", std::to_string(status_.bytes)}});
    return;
  }
  status_.state = State::kFailed;
  status_.error = copied.error().message();
  if (!stopping_) {
    log_.error("system", "a backup failed", {{"error", copied.error().describe()}});
  }
}

Result<BackupControl::Status> BackupControl::status(std::string_view id) {
  const std::lock_guard control(control_);
  expire();
  const std::lock_guard lock(mutex_);
  if (id.empty() || status_.id != id) {
    return base::fail(ErrorKind::kNotFound,
                      "there is no such backup: it was replaced, discarded "
                      "or is over an hour old");
  }
  return status_;
}

Result<std::string> BackupControl::read(std::string_view id, uint64_t offset) {
  auto now = status(id);
  if (!now) return forward(now);
  const std::lock_guard lock(mutex_);
  if (status_.id != id || status_.state != State::kDone) {
    return base::fail(ErrorKind::kPrecondition, "the backup is not complete");
  }
  std::string piece;
  if (offset >= status_.bytes) return piece;
  piece.resize(std::min<uint64_t>(kBackupPieceBytesMax, status_.bytes - offset));
  size_t have = 0;
  while (have < piece.size()) {
    const ssize_t got = pread(file_.get(), piece.data() + have, piece.size() - have,
                              static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail_errno("the backup can't be read", source_.folder);
    have += static_cast<size_t>(got);
  }
  return piece;
}

void BackupControl::discard(std::string_view id) {
  const std::lock_guard control(control_);
  {
    const std::lock_guard lock(mutex_);
    if (id.empty() || status_.id != id) return;
  }
  forget();
}

void BackupControl::expire() {
  {
    const std::lock_guard lock(mutex_);
    if (status_.id.empty() || clock_.monotonic() - started_ <= kBackupKeptMax) return;
  }
  forget();
}

// Ends the copy and closes its file, whose space the file system then has again.
void BackupControl::forget() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  const std::lock_guard lock(mutex_);
  status_ = {};
  file_.reset();
}

}  // namespace rekey::system
