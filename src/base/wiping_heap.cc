// Every block that C++ code frees is zeroed first, so that a copy of a secret in an ordinary string
// doesn't outlive its use (freed request bodies, answers, parsed JSON). Measured cost: see
// docs/performance.md. SecretBytes is for what lives long; this is for what passes through.
// Left out under sanitizers, which bring an allocator of their own.
#include <malloc.h>
#include <string.h>

#include <cstdlib>
#include <new>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define REKEY_OWN_ALLOCATOR 0
#endif
#endif
#endif
#ifndef REKEY_OWN_ALLOCATOR
#define REKEY_OWN_ALLOCATOR 1
#endif

#if REKEY_OWN_ALLOCATOR

namespace {
// An early return on exhaustion would let a half-done change go on: stop instead.
void* take(size_t size) {
  void* block = std::malloc(size == 0 ? 1 : size);
  if (block == nullptr) std::abort();
  return block;
}

void* take_aligned(size_t size, std::align_val_t alignment) {
  void* block = nullptr;
  if (posix_memalign(&block, static_cast<size_t>(alignment), size == 0 ? 1 : size) != 0)
    std::abort();
  return block;
}

void give_back(void* block) {
  if (block == nullptr) return;
  explicit_bzero(block, malloc_usable_size(block));
  std::free(block);
}
}  // namespace

void* operator new(size_t size) { return take(size); }
void* operator new[](size_t size) { return take(size); }
void* operator new(size_t size, std::align_val_t alignment) {
  return take_aligned(size, alignment);
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return take_aligned(size, alignment);
}
void operator delete(void* block) noexcept { give_back(block); }
void operator delete[](void* block) noexcept { give_back(block); }
void operator delete(void* block, size_t) noexcept { give_back(block); }
void operator delete[](void* block, size_t) noexcept { give_back(block); }
void operator delete(void* block, std::align_val_t) noexcept { give_back(block); }
void operator delete[](void* block, std::align_val_t) noexcept { give_back(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { give_back(block); }
void operator delete[](void* block, size_t, std::align_val_t) noexcept { give_back(block); }

#endif
