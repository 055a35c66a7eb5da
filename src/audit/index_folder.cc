#include "audit/index_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr size_t kOutputBufferBytes = 256 * 1024;
constexpr const char* kLockName = "lock";
constexpr std::string_view kUnfinished = ".new";

std::unexpected<base::Error> failed(std::string_view what, const std::string& path) {
  const int error = errno;
  return fail(error == ENOENT ? ErrorKind::kNotFound : ErrorKind::kUnavailable,
              "the audit index's disk failed",
              std::string(what) + " " + path + ": " + std::generic_category().message(error));
}

std::unexpected<base::Error> too_short(const std::string& name) {
  return fail(ErrorKind::kCorrupt, "the audit index is damaged", name + " is too short");
}

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

class PosixIndexFile final : public IndexFile {
 public:
  PosixIndexFile(Fd fd, uint64_t size, std::string name)
      : fd_(std::move(fd)), size_(size), name_(std::move(name)) {}
  uint64_t size() const override { return size_; }
  Result<std::string> read(uint64_t offset, size_t size) const override {
    if (offset > size_ || size > size_ - offset) return too_short(name_);
    std::string out(size, '\0');
    size_t got = 0;
    while (got < size) {
      const ssize_t n =
          ::pread(fd_.get(), out.data() + got, size - got, static_cast<off_t>(offset + got));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed("reading", name_);
      if (n == 0) return too_short(name_);  // cut while we have it open
      got += static_cast<size_t>(n);
    }
    return out;
  }

 private:
  Fd fd_;
  uint64_t size_;
  std::string name_;
};

class PosixIndexOutput final : public IndexOutput {
 public:
  PosixIndexOutput(int folder, Fd fd, std::string name)
      : folder_(folder), fd_(std::move(fd)), name_(std::move(name)) {}
  ~PosixIndexOutput() override {
    if (!committed_) ::unlinkat(folder_, unfinished().c_str(), 0);
  }
  Result<void> append(std::string_view bytes) override {
    size_ += bytes.size();
    buffer_ += bytes;
    return buffer_.size() < kOutputBufferBytes ? Result<void>() : write_out();
  }
  uint64_t size() const override { return size_; }
  Result<void> commit(bool sync) override {
    Result<void> written = write_out();
    if (!written) return written;
    if (sync && ::fdatasync(fd_.get()) != 0) return failed("syncing", name_);
    if (::renameat(folder_, unfinished().c_str(), folder_, name_.c_str()) != 0) {
      return failed("renaming", name_);
    }
    committed_ = true;
    if (sync && ::fsync(folder_) != 0) return failed("syncing the folder of", name_);
    return {};
  }

 private:
  std::string unfinished() const { return name_ + std::string(kUnfinished); }
  Result<void> write_out() {
    std::string_view rest = buffer_;
    while (!rest.empty()) {
      const ssize_t n = ::write(fd_.get(), rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return failed("writing", name_);
      rest.remove_prefix(static_cast<size_t>(n));
    }
    buffer_.clear();
    return {};
  }

  int folder_;  // the IndexFolder's
  Fd fd_;
  std::string name_;
  std::string buffer_;
  uint64_t size_ = 0;
  bool committed_ = false;
};

class PosixIndexFolder final : public IndexFolder {
 public:
  PosixIndexFolder(Fd folder, Fd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}

  Result<std::unique_ptr<IndexOutput>> create(const std::string& name) override {
    if (!lock_) return fail(ErrorKind::kUnsupported, "the audit index is open for reading only");
    const std::string path = name + std::string(kUnfinished);
    Fd fd(
        ::openat(folder_.get(), path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
    if (!fd) return failed("creating", path);
    return std::make_unique<PosixIndexOutput>(folder_.get(), std::move(fd), name);
  }

  Result<std::unique_ptr<IndexFile>> open(const std::string& name) const override {
    Fd fd(::openat(folder_.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) return failed("opening", name);
    if (!S_ISREG(status.st_mode)) return too_short(name);
    return std::make_unique<PosixIndexFile>(std::move(fd), static_cast<uint64_t>(status.st_size),
                                            name);
  }

  Result<void> remove(const std::string& name) override {
    if (!lock_) return fail(ErrorKind::kUnsupported, "the audit index is open for reading only");
    if (::unlinkat(folder_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
      return failed("removing", name);
    }
    return {};
  }

  Result<std::vector<std::string>> list() const override {
    const int fd = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed("listing", "index");
    DIR* folder = ::fdopendir(fd);
    if (folder == nullptr) {
      ::close(fd);
      return failed("listing", "index");
    }
    std::vector<std::string> names;
    while (const dirent* item = ::readdir(folder)) {
      if (item->d_name[0] != '.') names.emplace_back(item->d_name);
    }
    ::closedir(folder);
    return names;
  }

 private:
  Fd folder_;
  Fd lock_;  // none: for reading
};

class MemoryIndexFile final : public IndexFile {
 public:
  explicit MemoryIndexFile(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_->size(); }
  Result<std::string> read(uint64_t offset, size_t size) const override {
    if (offset > bytes_->size() || size > bytes_->size() - offset) return too_short("a run");
    return bytes_->substr(offset, size);
  }

 private:
  std::shared_ptr<const std::string> bytes_;
};

class MemoryIndexFolder final : public IndexFolder {
 public:
  class Output final : public IndexOutput {
   public:
    Output(MemoryIndexFolder& folder, std::string name) : folder_(folder), name_(std::move(name)) {}
    Result<void> append(std::string_view bytes) override {
      bytes_ += bytes;
      return {};
    }
    uint64_t size() const override { return bytes_.size(); }
    Result<void> commit(bool) override {
      std::lock_guard lock(folder_.mutex_);
      folder_.files_[name_] = std::make_shared<const std::string>(std::move(bytes_));
      return {};
    }

   private:
    MemoryIndexFolder& folder_;
    std::string name_;
    std::string bytes_;
  };

  Result<std::unique_ptr<IndexOutput>> create(const std::string& name) override {
    return std::make_unique<Output>(*this, name);
  }
  Result<std::unique_ptr<IndexFile>> open(const std::string& name) const override {
    std::lock_guard lock(mutex_);
    const auto found = files_.find(name);
    if (found == files_.end()) return fail(ErrorKind::kNotFound, "no such file", name);
    return std::make_unique<MemoryIndexFile>(found->second);
  }
  Result<void> remove(const std::string& name) override {
    std::lock_guard lock(mutex_);
    files_.erase(name);
    return {};
  }
  Result<std::vector<std::string>> list() const override {
    std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, bytes] : files_) names.push_back(name);
    return names;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const std::string>> files_;
};

}  // namespace

Result<std::unique_ptr<IndexFolder>> open_index_folder(const std::string& directory) {
  if (::mkdir(directory.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return failed("making", directory);
  }
  Fd folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return failed("opening", directory);
  Fd lock(::openat(folder.get(), kLockName, O_WRONLY | O_CREAT | O_CLOEXEC, kFileMode));
  if (!lock) return failed("opening", directory + "/" + kLockName);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorKind::kUnavailable, "the audit index is in use by another process", directory);
  }
  auto made = std::make_unique<PosixIndexFolder>(std::move(folder), std::move(lock));
  Result<std::vector<std::string>> names = made->list();
  if (!names) return base::forward(names);
  for (const std::string& name : *names) {
    if (!name.ends_with(kUnfinished)) continue;
    Result<void> removed = made->remove(name);
    if (!removed) return base::forward(removed);
  }
  return made;
}

Result<std::unique_ptr<IndexFolder>> open_index_folder_for_reading(const std::string& directory) {
  Fd folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return failed("opening", directory);
  return std::make_unique<PosixIndexFolder>(std::move(folder), Fd());
}

std::unique_ptr<IndexFolder> make_memory_index_folder() {
  return std::make_unique<MemoryIndexFolder>();
}

}  // namespace rekey::audit
