#include "storage/lmdb_backup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <span>
#include <thread>

#include "base/codec.h"
#include "storage/data_folder.h"
#include "storage/lmdb_format.h"
#include "storage/lmdb_store.h"

namespace rekey::storage {
namespace {

// The last bytes of a backup: magic, length of the LMDB file before it, CRC-32 of that file.
constexpr std::string_view kTrailerMagic = "rekey backup 1\r\n";
constexpr size_t kTrailerBytes = 16 + 8 + 4;
constexpr size_t kChunkBytes = 256u << 10;
static_assert(kTrailerMagic.size() == 16);

class Checksum {
 public:
  void add(std::string_view bytes) {
    crc_ = crc32_z(crc_, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
    length_ += bytes.size();
  }
  std::string trailer() const {
    std::string out(kTrailerMagic);
    base::append_u64(out, length_);
    base::append_u32(out, crc_);
    return out;
  }
  uint64_t length() const { return length_; }

 private:
  uint32_t crc_ = 0;
  uint64_t length_ = 0;
};

// Up to `buffer`'s size from `fd`; empty at the end.
Result<std::string_view> read_chunk(int fd, std::span<char> buffer, std::string_view path) {
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got >= 0) return std::string_view(buffer.data(), got);
    if (errno != EINTR) return fail_errno("the backup can't be read", path);
  }
}

Result<void> write_all(int fd, std::string_view bytes, std::string_view path) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_errno("the backup can't be written", path);
    bytes.remove_prefix(put);
  }
  return {};
}

Result<UniqueFd> open_file(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (!fd.valid()) return fail_errno("the backup can't be opened", path);
  return fd;
}

// Reads the file behind `fd` from its beginning, hands the part before the trailer to `sink` and
// compares it with the trailer. LMDB itself is not safe against damaged files, so this comes first.
Result<void> read_image(int fd, const std::string& path, const BackupSink& sink) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail_errno("the backup can't be read", path);
  const uint64_t size = info.st_size;
  std::array<char, kTrailerBytes> trailer{};
  if (size <= kTrailerBytes ||
      ::pread(fd, trailer.data(), kTrailerBytes, size - kTrailerBytes) != ssize_t{kTrailerBytes} ||
      !std::string_view(trailer.data(), kTrailerBytes).starts_with(kTrailerMagic)) {
    return base::fail(ErrorKind::kCorrupt, "the file is not a complete backup of Rekey", path);
  }
  Checksum checksum;
  std::vector<char> buffer(kChunkBytes);
  while (checksum.length() < size - kTrailerBytes) {
    const size_t want = std::min<uint64_t>(kChunkBytes, size - kTrailerBytes - checksum.length());
    auto chunk = read_chunk(fd, std::span(buffer).first(want), path);
    if (!chunk) return base::forward(chunk);
    if (chunk->empty()) break;
    checksum.add(*chunk);
    if (auto sunk = sink(*chunk); !sunk) return sunk;
  }
  if (checksum.trailer() != std::string_view(trailer.data(), kTrailerBytes)) {
    return base::fail(ErrorKind::kCorrupt, "the backup is damaged: its checksum does not match",
                      path);
  }
  return {};
}

Result<void> walk_rows(MDB_env* env, const Databases& databases, BackupReport& report) {
  MDB_txn* begun = nullptr;
  if (int code = mdb_txn_begin(env, nullptr, MDB_RDONLY, &begun); code != 0) {
    return fail_lmdb(code, "the backup can't be read");
  }
  const TxnPtr txn(begun);
  auto revision = read_revision(txn.get(), databases.meta);
  if (!revision) return base::forward(revision);
  report.revision = *revision;
  auto format = read_format(txn.get(), databases.meta);
  if (!format) return base::forward(format);
  report.format = *format;
  MDB_stat stat{};
  if (int code = mdb_stat(txn.get(), databases.rows, &stat); code != 0) {
    return fail_lmdb(code, "the backup can't be read");
  }
  MDB_cursor* opened = nullptr;
  if (int code = mdb_cursor_open(txn.get(), databases.rows, &opened); code != 0) {
    return fail_lmdb(code, "the backup can't be read");
  }
  const CursorPtr cursor(opened);
  MDB_val key{}, row{};
  std::string before;
  int code = 0;
  while ((code = mdb_cursor_get(cursor.get(), &key, &row, MDB_NEXT)) == 0) {
    if (auto item = decode_row(to_view(row), report.revision); !item) return base::forward(item);
    if (to_view(key) <= before) {
      return base::fail(ErrorKind::kCorrupt, "the backup is damaged: its keys are out of order");
    }
    before = to_view(key);
    report.rows += 1;
  }
  if (code != MDB_NOTFOUND) return fail_lmdb(code, "the backup can't be read");
  if (report.rows != stat.ms_entries) {
    return base::fail(ErrorKind::kCorrupt, "the backup is damaged: rows are missing");
  }
  return {};
}

// Walks the LMDB file at the beginning of `path`, whose bytes are known to be what was written.
Result<void> walk_file(const std::string& path, BackupReport& report) {
  MDB_env* created = nullptr;
  if (int code = mdb_env_create(&created); code != 0)
    return fail_lmdb(code, "the backup can't be read");
  const EnvPtr env(created);
  mdb_env_set_maxdbs(env.get(), 2);
  if (int code =
          mdb_env_open(env.get(), path.c_str(), MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0600);
      code != 0) {
    return fail_lmdb(code, "the backup can't be read");
  }
  if (auto checked = check_file_size(env.get(), report.bytes); !checked) return checked;
  auto databases = open_databases(env.get());
  if (!databases) return base::forward(databases);
  if (!*databases) return base::fail(ErrorKind::kCorrupt, "the backup holds no store");
  return walk_rows(env.get(), **databases, report);
}

// Gives the present store a second name that is still free: data.mdb.before-restore-1, -2, ...
Result<std::string> keep_present(const DataFolder& folder) {
  constexpr int kKeptMax = 1'000;  // old stores kept beside the present one
  const std::string present = folder.file("data.mdb");
  for (int number = 1; number <= kKeptMax; ++number) {
    const std::string kept = present + ".before-restore-" + std::to_string(number);
    if (::link(present.c_str(), kept.c_str()) == 0) return kept;
    if (errno == ENOENT) return std::string();
    if (errno != EEXIST) return fail_errno("the present store can't be kept", kept);
  }
  return base::fail(ErrorKind::kUnavailable, "there are too many old stores beside this one",
                    present + ".before-restore-*");
}

// What is only in the present store's redo files comes into its data file, or, if that can't be
// opened any more, out of the way: it must not be applied to another store.
Result<void> settle_redo(const std::string& folder_path, const base::Log& log) {
  const base::SystemClock clock;
  struct stat info{};
  bool any = false;
  for (const char* name : kRedoNames) {
    any = any || (::stat((folder_path + "/" + name).c_str(), &info) == 0 && info.st_size > 0);
  }
  if (!any) return {};
  auto store = LmdbStore::open({.folder = folder_path}, clock, log);
  if (store) return {};  // closing it moves everything
  if (store.error().kind() != ErrorKind::kCorrupt) return base::forward(store);
  constexpr int kKeptMax = 1'000;
  for (const char* name : kRedoNames) {
    const std::string present = folder_path + "/" + name;
    for (int number = 1; number <= kKeptMax; ++number) {
      const std::string kept = present + ".before-restore-" + std::to_string(number);
      if (::stat(kept.c_str(), &info) == 0) continue;
      if (::rename(present.c_str(), kept.c_str()) == 0 || errno == ENOENT) break;
      return fail_errno("the present store can't be kept", kept);
    }
  }
  return {};
}

Result<void> copy_image(const std::string& from, const std::string& to) {
  auto source = open_file(from, O_RDONLY);
  if (!source) return base::forward(source);
  auto target = open_file(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
  if (!target) return base::forward(target);
  auto copied = read_image(source->get(), from, [&](std::string_view chunk) {
    return write_all(target->get(), chunk, to);
  });
  if (copied && ::fsync(target->get()) != 0) return fail_errno("the store can't be synced", to);
  return copied;
}

}  // namespace

// LMDB writes the copy into a pipe on a thread of its own; here it comes out in pieces.
Result<void> LmdbStore::backup(const BackupSink& sink, const OnBackupProgress& progress) {
  if (auto flushed = flush_all(); !flushed) return flushed;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("the backup can't be started", "pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  backups_ += 1;
  gate_.enter();
  int copy_code = 0;
  std::thread copier([&] {
    sigset_t pipe_signal;  // a sink that failed closes the pipe; that is no reason to die
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
    copy_code = mdb_env_copyfd2(env_.get(), write_end.get(), MDB_CP_COMPACT);
    write_end.reset();
  });
  BackupProgress done{.bytes_expected = health().bytes_used};
  Checksum checksum;
  std::vector<char> buffer(kChunkBytes);
  Result<void> outcome;
  while (outcome) {
    auto chunk = read_chunk(read_end.get(), buffer, "pipe");
    if (!chunk) outcome = base::forward(chunk);
    if (!chunk || chunk->empty()) break;
    checksum.add(*chunk);
    outcome = sink(*chunk);
    done.bytes_done = checksum.length();
    if (outcome && progress) progress(done);
  }
  read_end.reset();
  copier.join();
  gate_.leave();
  backups_ -= 1;
  if (!outcome) return outcome;
  if (copy_code != 0) return fail_lmdb(copy_code, "the backup failed");
  return sink(checksum.trailer());
}

Result<void> LmdbStore::backup_to(int fd, const OnBackupProgress& progress) {
  auto written =
      backup([fd](std::string_view chunk) { return write_all(fd, chunk, "backup"); }, progress);
  if (written && ::fsync(fd) != 0) return fail_errno("the backup can't be synced", "backup");
  return written;
}

Result<BackupReport> verify_backup(const std::string& path) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd) return base::forward(fd);
  BackupReport report;
  auto read = read_image(fd->get(), path, [&](std::string_view chunk) -> Result<void> {
    report.bytes += chunk.size();
    return {};
  });
  if (!read) return base::forward(read);
  if (auto walked = walk_file(path, report); !walked) return base::forward(walked);
  report.bytes += kTrailerBytes;
  return report;
}

Result<RestoreReport> restore_backup(const std::string& path, const std::string& folder_path,
                                     const base::Log& log) {
  if (auto settled = settle_redo(folder_path, log); !settled) return base::forward(settled);
  auto folder = DataFolder::open(folder_path, log);
  if (!folder) return base::forward(folder);
  auto verified = verify_backup(path);
  if (!verified) return base::forward(verified);

  const std::string fresh = folder->file("data.mdb.restoring");
  auto copied = copy_image(path, fresh);
  if (!copied) {
    ::unlink(fresh.c_str());
    return base::forward(copied);
  }
  auto kept = keep_present(*folder);
  if (!kept) return base::forward(kept);
  if (::rename(fresh.c_str(), folder->file("data.mdb").c_str()) != 0) {
    return fail_errno("the restored store can't be put in place", fresh);
  }
  if (auto synced = folder->sync(); !synced) return base::forward(synced);
  return RestoreReport{*verified, *kept};
}

}  // namespace rekey::storage
