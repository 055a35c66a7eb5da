#include "base/locked_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <string>

namespace rekey::base {

Result<void> check_memory_can_be_locked(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool locked = memory != MAP_FAILED && mlock(memory, bytes) == 0;
  const int code = errno;
  if (memory != MAP_FAILED) munmap(memory, bytes);
  if (locked) return {};
  return fail(
      ErrorKind::kUnavailable,
      "memory can't be locked, so keys could reach the swap: " + std::string(strerror(code)),
      "allow at least " + std::to_string(bytes / 1024) +
          " KiB (LimitMEMLOCK= of the unit, `ulimit -l`); or switch swap off and set "
          "disable_mlock = true");
}

}  // namespace rekey::base
