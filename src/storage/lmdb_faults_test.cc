// The store on a disk that fails or loses its power at the k-th write or sync, for every k.
//
// LMDB's and our own system calls on the data file and the redo files go through a shim: the
// functions below stand in for the C library's in this program, for LMDB too. Shown is: what was
// acknowledged is there after any of these, what was refused is not, and a full disk is over when
// there is room again.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "base/random.h"
#include "storage/lmdb_store.h"
#include "storage/testing/temporary_folder.h"

namespace rekey::storage {
namespace {

constexpr size_t kSectorBytes = 512;  // written whole or not at all

enum class Kind { kNone, kNoSpace, kIoError, kShortWrite, kPowerLoss };

// The writes and syncs of a store's files, counted together. Off until watch() names the folder.
class FaultyFiles {
 public:
  static constexpr const char* kNames[] = {"data.mdb", "redo-0", "redo-1"};

  void watch(const std::string& folder, Kind kind, uint64_t at) {
    std::lock_guard lock(mutex_);
    files_.clear();
    for (const char* name : kNames) {
      struct stat status{};
      ASSERT_EQ(::stat((folder + "/" + name).c_str(), &status), 0);
      device_ = status.st_dev;
      files_[status.st_ino].name = name;
    }
    folder_ = folder, kind_ = kind, at_ = at, operations_ = 0, failing_ = false;
  }
  void unwatch() {
    std::lock_guard lock(mutex_);
    files_.clear();
  }
  uint64_t operations() {
    std::lock_guard lock(mutex_);
    return operations_;
  }
  bool full() {
    std::lock_guard lock(mutex_);
    return failing_ && (kind_ == Kind::kNoSpace || kind_ == Kind::kShortWrite);
  }
  // There is room again, or another disk.
  void heal() {
    std::lock_guard lock(mutex_);
    kind_ = Kind::kNone, failing_ = false;
  }

  // The bytes that go through, or less than 0 for an error in errno.
  ssize_t before_write(int fd, std::span<const iovec> pieces, off_t offset) {
    size_t bytes = 0;
    for (const iovec& piece : pieces) bytes += piece.iov_len;
    std::lock_guard lock(mutex_);
    File* file = watched(fd);
    if (file == nullptr) return static_cast<ssize_t>(bytes);
    const bool hit = count();
    if (failing_ && kind_ == Kind::kPowerLoss) {
      if (hit) remember(*file, fd, pieces, offset, bytes);
      return dead();
    }
    if (failing_ && kind_ == Kind::kShortWrite && bytes > 1) {
      bytes /= 2;
    } else if (failing_) {
      errno = kind_ == Kind::kIoError ? EIO : ENOSPC;
      return -1;
    }
    remember(*file, fd, pieces, offset, bytes);
    return static_cast<ssize_t>(bytes);
  }
  void after_write(int fd) {
    std::lock_guard lock(mutex_);
    // The header is written through: it is durable when the call returns.
    const bool synced = (::fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    File* file = watched(fd);
    if (file != nullptr && synced) file->unsynced.pop_back();
  }
  int before_sync(int fd) {
    std::lock_guard lock(mutex_);
    if (watched(fd) == nullptr) return 0;
    count();
    if (failing_ && kind_ == Kind::kPowerLoss) return static_cast<int>(dead());
    if (failing_) {
      errno = kind_ == Kind::kNoSpace ? ENOSPC : EIO;
      return -1;
    }
    return 0;
  }
  void after_sync(int fd) {
    std::lock_guard lock(mutex_);
    if (File* file = watched(fd); file != nullptr) file->unsynced.clear();
  }

  // What the disk holds after the power went, by file: of each sector that wasn't synced the new or
  // the old.
  std::map<std::string, std::string> after_power_loss(base::Random& random) {
    std::lock_guard lock(mutex_);
    std::map<std::string, std::string> images;
    for (const auto& [inode, file] : files_) images[file.name] = image(file, random);
    return images;
  }

 private:
  struct Write {
    size_t offset = 0;
    std::string before, after;
  };
  struct File {
    std::string name;
    std::vector<Write> unsynced;
  };

  std::string image(const File& file, base::Random& random) const {
    std::ifstream in(folder_ + "/" + file.name, std::ios::binary);
    std::string image((std::istreambuf_iterator<char>(in)), {});
    for (auto write = file.unsynced.rbegin(); write != file.unsynced.rend(); ++write) {
      image.resize(std::max(image.size(), write->offset + write->before.size()));
      image.replace(write->offset, write->before.size(), write->before);
    }
    for (const Write& write : file.unsynced) {
      for (size_t at = 0; at < write.after.size(); at += kSectorBytes) {
        if (random.number() % 2 == 0) continue;
        const size_t size = std::min(kSectorBytes, write.after.size() - at);
        image.replace(write.offset + at, size, write.after, at, size);
      }
    }
    return image;
  }

  File* watched(int fd) {
    struct stat status{};
    if (files_.empty() || ::fstat(fd, &status) != 0 || status.st_dev != device_) return nullptr;
    const auto found = files_.find(status.st_ino);
    return found == files_.end() ? nullptr : &found->second;
  }
  // Whether it is this one that meets the fault; later ones meet it too.
  bool count() {
    operations_++;
    if (kind_ == Kind::kNone || operations_ != at_) return false;
    return failing_ = true;
  }
  static ssize_t dead() {
    errno = EIO;
    return -1;
  }
  void remember(File& file, int fd, std::span<const iovec> pieces, off_t offset, size_t bytes) {
    Write write{.offset = static_cast<size_t>(offset)};
    for (const iovec& piece : pieces) {
      write.after.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    }
    write.after.resize(bytes);
    write.before.resize(bytes);  // zeros where there was nothing
    char name[64];
    std::snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    const int reading = ::open(name, O_RDONLY | O_CLOEXEC);
    if (reading >= 0 && ::pread(reading, write.before.data(), bytes, offset) < 0) {
      write.before.assign(bytes, '\0');
    }
    if (reading >= 0) ::close(reading);
    file.unsynced.push_back(std::move(write));
  }

  std::mutex mutex_;
  std::map<ino_t, File> files_;
  std::string folder_;
  dev_t device_ = 0;
  Kind kind_ = Kind::kNone;
  uint64_t at_ = 0, operations_ = 0;
  bool failing_ = false;
};

FaultyFiles& file() {
  static FaultyFiles one;
  return one;
}

}  // namespace
}  // namespace rekey::storage

using rekey::storage::file;

extern "C" ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  const iovec piece{const_cast<void*>(data), size};
  const ssize_t bytes = file().before_write(fd, {&piece, 1}, offset);
  if (bytes < 0) return bytes;
  const ssize_t written = ::syscall(SYS_pwrite64, fd, data, bytes, offset);
  file().after_write(fd);
  return written;
}

extern "C" ssize_t writev(int fd, const iovec* pieces, int count) {
  const off_t offset = ::lseek(fd, 0, SEEK_CUR);
  const std::span all(pieces, static_cast<size_t>(count));
  const ssize_t bytes = file().before_write(fd, all, offset);
  if (bytes < 0) return bytes;
  size_t left = static_cast<size_t>(bytes);
  std::vector<iovec> cut;
  for (const iovec& piece : all) {
    cut.push_back({piece.iov_base, std::min(left, piece.iov_len)});
    left -= cut.back().iov_len;
  }
  const ssize_t written = ::syscall(SYS_writev, fd, cut.data(), cut.size());
  file().after_write(fd);
  return written;
}

extern "C" int fdatasync(int fd) {
  if (file().before_sync(fd) != 0) return -1;
  const int done = static_cast<int>(::syscall(SYS_fdatasync, fd));
  file().after_sync(fd);
  return done;
}

// How the store finds out whether a short write means a full disk.
extern "C" int fallocate(int fd, int mode, off_t offset, off_t size) {
  if (file().full()) {
    errno = ENOSPC;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, size));
}

namespace rekey::storage {
namespace {

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);
constexpr int kCommits = 12;

// Small enough that a few commits fill a table, so that a run has several of them moved.
constexpr size_t kTableBytes = 6'000;

std::unique_ptr<LmdbStore> open_store(const std::string& folder) {
  auto store = LmdbStore::open({.folder = folder, .table_bytes_full = kTableBytes}, kClock, kNoLog);
  EXPECT_TRUE(store) << store.error().describe();
  return store ? std::move(*store) : nullptr;
}

// Small rows, rows of several pages, rows over others, deletions: each commit n sets "n" to n.
Batch commit_number(int n) {
  Batch batch;
  batch.puts.push_back({"n", std::to_string(n)});
  batch.puts.push_back({"row" + std::to_string(n % 5), std::string(n * 700 % 9'000, 'a' + n)});
  batch.puts.push_back({"once" + std::to_string(n), std::to_string(n)});
  if (n % 3 == 2) batch.deletes.push_back("row" + std::to_string((n + 1) % 5));
  return batch;
}

// The rows after the first n commits.
std::map<std::string, std::string> rows_after(int n) {
  std::map<std::string, std::string> rows;
  for (int i = 1; i <= n; i++) {
    const Batch batch = commit_number(i);
    for (const Put& put : batch.puts) rows[put.key] = put.value;
    for (const std::string& key : batch.deletes) rows.erase(key);
  }
  return rows;
}

std::map<std::string, std::string> rows_of(Store& store) {
  std::map<std::string, std::string> rows;
  auto reader = store.open_reader();
  EXPECT_TRUE(reader) << reader.error().describe();
  if (!reader) return rows;
  const auto keys = (*reader)->scan("", "", SIZE_MAX);
  EXPECT_TRUE(keys) << keys.error().describe();
  if (!keys) return rows;
  for (const std::string& key : *keys) {
    const auto item = (*reader)->get(key);
    EXPECT_TRUE(item && *item) << key;
    if (item && *item) rows[key] = (*item)->value;
  }
  return rows;
}

struct Outcome {
  int acknowledged = 0;
  bool unknown = false;  // the commit after that may be there, too
};

// Commits until one fails, or all.
Outcome run_commits(Store& store, int from) {
  Outcome run{.acknowledged = from - 1};
  for (int n = from; n <= kCommits; n++) {
    const auto done = store.commit_and_wait(commit_number(n));
    if (!done) {
      run.unknown = outcome_unknown(done.error());
      return run;
    }
    run.acknowledged = n;
  }
  return run;
}

void expect_rows(Store& store, const Outcome& run, const std::string& when) {
  const auto rows = rows_of(store);
  if (run.unknown && rows == rows_after(run.acknowledged + 1)) return;
  EXPECT_EQ(rows, rows_after(run.acknowledged)) << when;
}

class LmdbFaults : public ::testing::TestWithParam<Kind> {
 protected:
  ~LmdbFaults() override { file().unwatch(); }
};

INSTANTIATE_TEST_SUITE_P(Kinds, LmdbFaults,
                         ::testing::Values(Kind::kNoSpace, Kind::kIoError, Kind::kShortWrite),
                         [](const auto& info) {
                           return info.param == Kind::kNoSpace   ? "NoSpace"
                                  : info.param == Kind::kIoError ? "IoError"
                                                                 : "ShortWrite";
                         });

// From the k-th operation on, all of them fail, until they are mended.
TEST_P(LmdbFaults, AtEveryWriteAndSync) {
  uint64_t recovered = 0, operations = 0;
  for (uint64_t at = 1; at == 1 || at <= operations; at++) {
    const TemporaryFolder folder;
    auto store = open_store(folder.path());
    ASSERT_TRUE(store);
    const std::string when = "failing at " + std::to_string(at);
    file().watch(folder.path(), GetParam(), at);
    Outcome run = run_commits(*store, 1);
    if (run.acknowledged == kCommits) break;  // beyond the last operation
    operations = at + 1;
    (void)store->backup_to(-1, nullptr);  // so that nothing is under way when the disk is mended
    EXPECT_FALSE(store->health().writable) << when;
    EXPECT_NE(store->health().reason, "") << when;
    const bool permanent = store->health().permanent;
    if (GetParam() == Kind::kIoError) EXPECT_TRUE(permanent) << when;
    // What was acknowledged is still served, what failed is not.
    EXPECT_EQ(rows_of(*store), rows_after(run.acknowledged)) << when;
    file().heal();
    if (permanent) {
      EXPECT_FALSE(store->commit_and_wait(commit_number(run.acknowledged + 1))) << when;
    } else {
      EXPECT_FALSE(run.unknown) << when;
      run = run_commits(*store, run.acknowledged + 1);
      EXPECT_EQ(run.acknowledged, kCommits) << when << ": it did not go on by itself";
      EXPECT_TRUE(store->health().writable) << when;
      recovered++;
    }
    file().unwatch();
    store.reset();
    store = open_store(folder.path());
    ASSERT_TRUE(store) << when;
    expect_rows(*store, run, when);
    EXPECT_TRUE(store->commit_and_wait({.puts = {{"after", "1"}}})) << when;
  }
  EXPECT_GT(operations, uint64_t{2 * kCommits});
  if (GetParam() != Kind::kIoError) EXPECT_GT(recovered, uint64_t{kCommits});
}

TEST(LmdbFaults, PowerLossAtEveryWriteAndSync) {
  uint64_t at = 1;
  for (Outcome run; run.acknowledged < kCommits; at++) {
    const TemporaryFolder folder, other;
    auto store = open_store(folder.path());
    ASSERT_TRUE(store);
    file().watch(folder.path(), Kind::kPowerLoss, at);
    run = run_commits(*store, 1);
    for (uint64_t seed = 0; seed < 2; seed++) {
      base::SeededRandom random(1000 * at + seed);
      for (const auto& [name, image] : file().after_power_loss(random)) {
        std::ofstream(other.path() + "/" + name, std::ios::binary) << image;
      }
      const std::string when = "at " + std::to_string(at) + ", seed " + std::to_string(seed);
      auto again = open_store(other.path());
      ASSERT_TRUE(again) << when;
      // The commit that the power went in may be there, as a whole.
      expect_rows(*again, {.acknowledged = run.acknowledged, .unknown = true}, when);
      EXPECT_TRUE(again->commit_and_wait({.puts = {{"after", "1"}}})) << when;
    }
    file().unwatch();
    if (HasFailure()) return;
  }
  EXPECT_GT(at, uint64_t{2 * kCommits});
}

}  // namespace
}  // namespace rekey::storage
