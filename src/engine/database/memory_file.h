// MemoryFile: a certificate or key as a file for libraries that want a path, without a disk.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace rekey::engine::database {

class MemoryFile {
 public:
  static base::Result<MemoryFile> make(std::string_view content);
  MemoryFile(MemoryFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  MemoryFile& operator=(MemoryFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~MemoryFile();
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  explicit MemoryFile(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace rekey::engine::database
