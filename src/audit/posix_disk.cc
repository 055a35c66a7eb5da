#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>
#include <system_error>

#include "audit/disk.h"
#include "base/check.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr size_t kZeroChunkBytes = 1 << 20;
// More files than this are synced together where the file system can: each sync of its own makes
// the disk empty its cache, which holds up the commits that answers wait for.
constexpr size_t kSyncedOneByOneMax = 8;

std::unexpected<base::Error> failed(std::string_view what, const std::string& path, int error) {
  const ErrorKind kind = error == ENOENT ? ErrorKind::kNotFound
                         : error == ENOSPC || error == EDQUOT || error == EFBIG || error == EIO
                             ? ErrorKind::kUnavailable
                             : ErrorKind::kInternal;
  return fail(kind, "the audit log's disk failed",
              std::string(what) + " " + path + ": " + std::generic_category().message(error));
}

// Whether syncfs(2) makes everything there durable: others (FUSE) don't pass it on.
bool syncs_as_a_whole(int fd) {
  constexpr long kXfsMagic = 0x58465342;  // not in linux/magic.h
  struct statfs found{};
  if (::fstatfs(fd, &found) != 0) return false;
  const long type = found.f_type;
  return type == EXT4_SUPER_MAGIC || type == kXfsMagic || type == BTRFS_SUPER_MAGIC ||
         type == OVERLAYFS_SUPER_MAGIC;
}

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

Result<void> write_all(int fd, const char* data, size_t size, off_t offset,
                       const std::string& path) {
  while (size > 0) {
    const ssize_t written = ::pwrite(fd, data, size, offset);
    if (written < 0) {
      if (errno == EINTR) continue;
      return failed("writing", path, errno);
    }
    if (written == 0) return failed("writing", path, ENOSPC);
    data += written, size -= static_cast<size_t>(written), offset += written;
  }
  return {};
}

class PosixBlockFile final : public BlockFile {
 public:
  // `synced_writes`: opened with O_DSYNC, so that a write is durable when it returns.
  PosixBlockFile(Fd fd, uint64_t size, bool synced_writes, std::string path)
      : fd_(std::move(fd)), size_(size), synced_writes_(synced_writes), path_(std::move(path)) {}

  uint64_t size() const override { return size_; }

  Result<void> write(uint64_t offset, std::span<const char> bytes) override {
    REKEY_CHECK(offset + bytes.size() <= size_);
    Result<void> done =
        write_all(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset), path_);
    if (done && !synced_writes_ && ::fdatasync(fd_.get()) != 0) {
      return failed("syncing", path_, errno);
    }
    return done;
  }

  Result<void> read(uint64_t offset, std::span<char> out) override {
    REKEY_CHECK(offset + out.size() <= size_);
    size_t got = 0;
    while (got < out.size()) {
      const ssize_t n =
          ::pread(fd_.get(), out.data() + got, out.size() - got, static_cast<off_t>(offset + got));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed("reading", path_, errno);
      if (n == 0) return failed("reading", path_, EIO);
      got += static_cast<size_t>(n);
    }
    return {};
  }

 private:
  Fd fd_;
  uint64_t size_;
  bool synced_writes_;
  std::string path_;
};

// "a/b/c" gives "a/b" and "a" and "".
std::vector<std::string> folders_above(const std::string& path) {
  std::vector<std::string> out;
  for (size_t at = path.rfind('/'); at != path.npos; at = path.rfind('/', at - 1)) {
    out.push_back(path.substr(0, at));
    if (at == 0) break;
  }
  out.emplace_back();
  return out;
}

class PosixDisk final : public Disk {
 public:
  PosixDisk(Fd root, std::string directory, bool writable)
      : root_(std::move(root)), directory_(std::move(directory)), writable_(writable) {
    struct stat status{};
    if (::fstat(root_.get(), &status) == 0) device_ = status.st_dev;
    one_file_system_ = syncs_as_a_whole(root_.get());
  }

  Result<std::unique_ptr<BlockFile>> create_blocks(const std::string& path,
                                                   uint64_t size) override {
    // Made under another name first, so that a crash leaves no segment that is too short.
    const std::string making = path + ".new";
    Result<Fd> fd = create(making);
    if (!fd) return base::forward(fd);
    Result<void> filled = fill_with_zeros(fd->get(), size, making);
    if (filled && ::fsync(fd->get()) != 0) filled = failed("syncing", full(making), errno);
    if (filled && ::renameat(root_.get(), making.c_str(), root_.get(), path.c_str()) != 0) {
      filled = failed("renaming", full(making), errno);
    }
    if (filled) filled = sync_folders({folders_above(path)});
    if (!filled) {
      ::unlinkat(root_.get(), making.c_str(), 0);
      return base::forward(filled);
    }
    return open_blocks(path);
  }

  Result<std::unique_ptr<BlockFile>> open_blocks(const std::string& path) override {
    const int access = writable_ ? O_RDWR : O_RDONLY;
    bool synced_writes = true;
    Fd fd(::openat(root_.get(), path.c_str(), access | O_CLOEXEC | O_DIRECT | O_DSYNC));
    if (!fd && errno == EINVAL) {  // tmpfs and others have no O_DIRECT
      synced_writes = false;
      fd = Fd(::openat(root_.get(), path.c_str(), access | O_CLOEXEC));
    }
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) return failed("opening", full(path), errno);
    if (!S_ISREG(status.st_mode) || status.st_size % kBlockBytes != 0) {
      return fail(ErrorKind::kCorrupt, "the audit log is damaged",
                  full(path) + " has a wrong size");
    }
    return std::make_unique<PosixBlockFile>(std::move(fd), static_cast<uint64_t>(status.st_size),
                                            synced_writes, full(path));
  }

  Result<std::string> read(const std::string& path, size_t bytes_max) const override {
    Fd fd(::openat(root_.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) return failed("opening", full(path), errno);
    if (!S_ISREG(status.st_mode)) return failed("opening", full(path), EISDIR);
    const size_t size = static_cast<size_t>(status.st_size);
    if (size > bytes_max) {
      return fail(ErrorKind::kTooLarge, "a file of the audit log is too long", full(path));
    }
    std::string out;
    int error = 0;
    // Bundles are long and read often: no zeros are written first.
    out.resize_and_overwrite(size, [&](char* data, size_t) {
      size_t got = 0;
      while (got < size && error == 0) {
        const ssize_t n = ::read(fd.get(), data + got, size - got);
        if (n < 0 && errno != EINTR) error = errno;
        if (n == 0) break;
        if (n > 0) got += static_cast<size_t>(n);
      }
      return got;
    });
    if (error != 0) return failed("reading", full(path), error);
    return out;
  }

  Result<void> write(const std::string& path, std::string_view bytes) override {
    // Not cut first: whatever happens meanwhile, a file that already had these bytes has them.
    Result<Fd> fd = create(path, 0);
    if (!fd) return base::forward(fd);
    Result<void> done = write_all(fd->get(), bytes.data(), bytes.size(), 0, full(path));
    struct stat status{};
    if (done && ::fstat(fd->get(), &status) != 0) done = failed("reading", full(path), errno);
    if (status.st_dev != device_) one_file_system_ = false;  // somebody mounted something below
    if (done && static_cast<size_t>(status.st_size) != bytes.size() &&
        ::ftruncate(fd->get(), static_cast<off_t>(bytes.size())) != 0) {
      done = failed("cutting", full(path), errno);
    }
    // Starts the transfer now, so that the sync that comes later finds little to do.
    if (done) ::sync_file_range(fd->get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    return done;
  }

  Result<void> sync(std::span<const std::string> paths) override {
    // If it fails that may be by anybody's file, and before Linux 5.8 it doesn't say: ours are
    // asked one by one in any case, which costs little where nothing is left to write.
    const bool together =
        paths.size() > kSyncedOneByOneMax && one_file_system_ && ::syncfs(root_.get()) == 0;
    std::vector<std::vector<std::string>> folders;
    for (const std::string& path : paths) {
      Fd fd(::openat(root_.get(), path.c_str(), O_WRONLY | O_CLOEXEC));
      if (!fd) return failed("opening", full(path), errno);
      if ((together ? wait_for_writes(fd.get()) : ::fdatasync(fd.get())) != 0) {
        return failed("syncing", full(path), errno);
      }
      if (!together) folders.push_back(folders_above(path));
    }
    return sync_folders(folders);
  }

  Result<void> replace(const std::string& path, std::string_view bytes) override {
    const std::string making = path + ".new";
    Result<Fd> fd = create(making);
    if (!fd) return base::forward(fd);
    Result<void> done = write_all(fd->get(), bytes.data(), bytes.size(), 0, full(making));
    if (!done) return done;
    if (::fsync(fd->get()) != 0) return failed("syncing", full(making), errno);
    if (::renameat(root_.get(), making.c_str(), root_.get(), path.c_str()) != 0) {
      return failed("renaming", full(making), errno);
    }
    return sync_folders({folders_above(path)});
  }

  Result<void> remove(const std::string& path) override {
    if (!writable_) return failed("removing", full(path), EROFS);
    if (::unlinkat(root_.get(), path.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return failed("removing", full(path), errno);
    Result<std::vector<std::string>> names = list(path);
    if (!names) return base::forward(names);
    for (const std::string& name : *names) {
      const std::string inside = path + "/" + name;
      if (::unlinkat(root_.get(), inside.c_str(), 0) != 0 && errno != ENOENT) {
        return failed("removing", full(inside), errno);
      }
    }
    if (::unlinkat(root_.get(), path.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return failed("removing", full(path), errno);
    }
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) const override {
    std::vector<std::string> names;
    const char* relative = path.empty() ? "." : path.c_str();
    const int fd = ::openat(root_.get(), relative, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return names;
    if (fd < 0) return failed("opening", full(path), errno);
    DIR* folder = ::fdopendir(fd);
    if (folder == nullptr) {
      const int error = errno;
      ::close(fd);
      return failed("opening", full(path), error);
    }
    while (const dirent* item = ::readdir(folder)) {
      const std::string_view name = item->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(folder);
    return names;
  }

 private:
  std::string full(const std::string& path) const { return directory_ + "/" + path; }

  Result<Fd> create(const std::string& path, int cut = O_TRUNC) {
    if (!writable_) return failed("creating", full(path), EROFS);
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | cut;
    Fd fd(::openat(root_.get(), path.c_str(), flags, kFileMode));
    if (!fd && errno == ENOENT) {
      const std::vector<std::string> folders = folders_above(path);
      for (size_t i = folders.size() - 1; i-- > 0;) {
        if (::mkdirat(root_.get(), folders[i].c_str(), kFolderMode) != 0 && errno != EEXIST) {
          return failed("making", full(folders[i]), errno);
        }
      }
      fd = Fd(::openat(root_.get(), path.c_str(), flags, kFileMode));
    }
    if (!fd) return failed("creating", full(path), errno);
    return fd;
  }

  // Zeros are really written: blocks that were only reserved would change metadata at their first
  // use, and every commit would pay for it.
  Result<void> fill_with_zeros(int fd, uint64_t size, const std::string& path) {
    const std::string zeros(kZeroChunkBytes, '\0');
    for (uint64_t at = 0; at < size; at += kZeroChunkBytes) {
      const size_t count = std::min<uint64_t>(kZeroChunkBytes, size - at);
      Result<void> done = write_all(fd, zeros.data(), count, static_cast<off_t>(at), full(path));
      if (!done) return done;
    }
    return {};
  }

  Result<void> sync_folders(const std::vector<std::vector<std::string>>& lists) {
    std::set<std::string> folders;
    for (const std::vector<std::string>& list : lists) folders.insert(list.begin(), list.end());
    // Deepest first, so that no durable folder lacks its durable contents.
    for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
      const char* relative = folder->empty() ? "." : folder->c_str();
      Fd fd(::openat(root_.get(), relative, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!fd || ::fsync(fd.get()) != 0) return failed("syncing", full(*folder), errno);
    }
    return {};
  }

  // For what is being written of it; an error that nobody was told yet is told.
  static int wait_for_writes(int fd) {
    return ::sync_file_range(
        fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  }

  Fd root_;
  std::string directory_;
  bool writable_;
  dev_t device_ = 0;
  std::atomic<bool> one_file_system_ = false;
};

}  // namespace

Result<std::unique_ptr<Disk>> open_posix_disk(const std::string& directory) {
  std::string prefix;
  for (size_t at = directory.find('/', 1);; at = directory.find('/', at + 1)) {
    prefix = directory.substr(0, at);
    if (::mkdir(prefix.c_str(), kFolderMode) != 0 && errno != EEXIST) {
      return failed("making", prefix, errno);
    }
    if (at == directory.npos) break;
  }
  Fd root(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return failed("opening", directory, errno);
  if (::flock(root.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorKind::kUnavailable, "the audit log is in use by another process", directory);
  }
  return std::make_unique<PosixDisk>(std::move(root), directory, true);
}

Result<std::unique_ptr<Disk>> open_posix_disk_for_reading(const std::string& directory) {
  Fd root(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return failed("opening", directory, errno);
  return std::make_unique<PosixDisk>(std::move(root), directory, false);
}

AlignedBuffer::AlignedBuffer(size_t size) {
  grow(size, 0);
  std::memset(data_.get(), 0, size_);
}

void AlignedBuffer::grow(size_t size, size_t keep) {
  size = std::max(round_up_to_block(size), kBlockBytes);
  if (size <= size_) return;
  char* grown = static_cast<char*>(std::aligned_alloc(kBlockBytes, size));
  REKEY_CHECK(grown != nullptr);
  if (keep = std::min(keep, size_); keep > 0) std::memcpy(grown, data_.get(), keep);
  data_.reset(grown);
  size_ = size;
}

void AlignedBuffer::Free::operator()(char* data) const { std::free(data); }

}  // namespace rekey::audit
