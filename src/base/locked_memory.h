// Whether memory can be kept out of the swap: asked once at start, since SecretBytes goes on where
// the kernel refuses it. Any thread.
#pragma once

#include <cstddef>

#include "base/error.h"

namespace rekey::base {

// What the keys of a server take, several times over.
inline constexpr size_t kLockedMemoryBytesMin = 1024 * 1024;

// Locks so much for a moment. kUnavailable with what to do about it.
Result<void> check_memory_can_be_locked(size_t bytes);

}  // namespace rekey::base
