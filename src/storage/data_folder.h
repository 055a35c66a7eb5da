// DataFolder: the folder in which one server keeps its store, locked against every other process.
// Knows nothing of what the files mean. Made and destroyed at start-up and by offline tools.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace rekey::storage {

// Owns a file descriptor.
class UniqueFd {
 public:
  explicit UniqueFd(int fd = -1) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void reset() { *this = UniqueFd(); }

 private:
  int fd_;
};

class DataFolder {
 public:
  // Makes the folder (0700) and its parents where they are missing, and takes the lock, which the
  // kernel drops when the process ends in whatever way. Fails with kUnavailable if another process
  // has it, kInvalid if others could write into it or it is no folder. Warns about a folder that
  // others can read and about network file systems, on which LMDB must not be used.
  static base::Result<DataFolder> open(const std::string& path, const base::Log& log);

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Makes new and renamed files in the folder survive a power loss.
  base::Result<void> sync() const;

 private:
  DataFolder(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;  // of the folder itself, with an exclusive flock on it
};

// An Error for a failed system call: `message` for everyone, `what` and errno's text for the
// operator.
std::unexpected<base::Error> fail_errno(
    std::string message, std::string_view what,
    std::source_location where = std::source_location::current());

}  // namespace rekey::storage
