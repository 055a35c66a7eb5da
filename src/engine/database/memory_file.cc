#include "engine/database/memory_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rekey::engine::database {

base::Result<MemoryFile> MemoryFile::make(std::string_view content) {
  MemoryFile file(memfd_create("rekey", MFD_CLOEXEC));
  const bool written =
      file.fd_ >= 0 && fchmod(file.fd_, S_IRUSR | S_IWUSR) == 0 &&
      write(file.fd_, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  if (!written) return base::fail(base::ErrorKind::kInternal, "a file in memory can't be made");
  return file;
}

MemoryFile::~MemoryFile() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace rekey::engine::database
