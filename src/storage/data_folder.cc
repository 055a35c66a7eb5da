#include "storage/data_folder.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace rekey::storage {

using base::ErrorKind;
using base::Result;

namespace {

// Creates what is missing of `path`, and syncs the parent of every folder made.
Result<void> make_folders(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0700) == 0) {
      const UniqueFd parent(::open((part + "/..").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!parent.valid() || ::fsync(parent.get()) != 0) {
        return fail_errno("the data folder can't be made", part);
      }
    } else if (errno != EEXIST) {
      return fail_errno("the data folder can't be made", part);
    }
    if (end == std::string::npos) return {};
  }
}

bool is_network_file_system(int fd) {
  constexpr long kCifsMagic = 0xff534d42, kSmb2Magic = 0xfe534d42;
  struct statfs info{};
  if (::fstatfs(fd, &info) != 0) return false;
  return info.f_type == NFS_SUPER_MAGIC || info.f_type == SMB_SUPER_MAGIC ||
         info.f_type == kCifsMagic || info.f_type == kSmb2Magic || info.f_type == V9FS_MAGIC;
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (fd_ >= 0 && fd_ != other.fd_) ::close(fd_);
  fd_ = std::exchange(other.fd_, -1);
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<DataFolder> DataFolder::open(const std::string& path, const base::Log& log) {
  if (path.empty()) return base::fail(ErrorKind::kInvalid, "the data folder has no path");
  if (auto made = make_folders(path); !made) return base::forward(made);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info{};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) {
    return fail_errno("the data folder can't be opened", path);
  }
  if ((info.st_mode & 022) != 0) {
    return base::fail(ErrorKind::kInvalid,
                      "others may write into the data folder; make it yours alone (chmod 700)",
                      path);
  }
  if ((info.st_mode & 055) != 0) {
    log.warn("storage", "others may look into the data folder; chmod 700 is better",
             {{"path", path}});
  }
  if (is_network_file_system(fd.get())) {
    log.warn("storage", "the data folder is on a network file system, which may lose or damage it",
             {{"path", path}});
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return base::fail(ErrorKind::kUnavailable, "another process is using the data folder", path);
    }
    return fail_errno("the data folder can't be locked", path);
  }
  return DataFolder(path, std::move(fd));
}

Result<void> DataFolder::sync() const {
  if (::fsync(fd_.get()) != 0) return fail_errno("the data folder can't be synced", path_);
  return {};
}

std::unexpected<base::Error> fail_errno(std::string message, std::string_view what,
                                        std::source_location where) {
  const int error = errno;
  const ErrorKind kind = error == ENOSPC || error == EDQUOT ? ErrorKind::kUnavailable
                         : error == ENOENT                  ? ErrorKind::kNotFound
                                                            : ErrorKind::kInternal;
  return base::fail(kind, std::move(message),
                    std::string(what) + ": " + std::generic_category().message(error), where);
}

}  // namespace rekey::storage
