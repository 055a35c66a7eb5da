// Every block that C++ code frees is zeroed first, so that a copy of a secret in an ordinary string
// doesn't outlive its use (freed request bodies, answers, parsed JSON). Measured cost: see
// docs/performance.md. SecretBytes is for what lives long; this is for what passes through.
// Left out under sanitizers, which bring an allocator of their own.
//
// A thread keeps some of what it frees, by size, and takes it again without asking the C library:
// that has such a list too, but of seven blocks of a size and none of more than a kilobyte, and an
// io thread makes the same things for each of the requests it has in flight.
#include <malloc.h>
#include <string.h>

#include <cstdint>
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

// What one thread keeps at most, of one size and in all.
constexpr size_t kKeptOfASizeMax = 64;
constexpr size_t kKeptBlockBytesMax = 8 << 10;
constexpr size_t kKeptBytesMax = 512 << 10;

// The C library's blocks have room for a multiple of 16 bytes and 8.
constexpr size_t kStep = 16;
constexpr size_t kRoomMin = 24;
constexpr size_t kClasses = kKeptBlockBytesMax / kStep;

// The smallest class whose blocks have room for `size`, and the largest one for which a block with
// this room will do: the same number for what malloc gave.
constexpr size_t class_for(size_t size) {
  return size <= kRoomMin ? 0 : (size - kRoomMin + kStep - 1) / kStep;
}
constexpr size_t class_of_room(size_t room) { return (room - kRoomMin) / kStep; }

struct Kept {
  uintptr_t
      next;  // changed by its own place, as the C library does: no pointer stands there as it is
  uintptr_t mark;  // says that the block is free; freeing it again stops the program
};
static_assert(sizeof(Kept) <= kRoomMin);

// Plain memory, so that it may be used until the thread's last breath.
struct Cache {
  Kept* first[kClasses];
  uint8_t count[kClasses];
  size_t bytes;
  bool watched;  // the thread's end has been seen to
  bool closed;
};
static_assert(kKeptOfASizeMax <= UINT8_MAX);
thread_local constinit Cache cache{};

uintptr_t changed(const Kept* place, uintptr_t next) {
  return next ^ (reinterpret_cast<uintptr_t>(place) >> 12);
}

uintptr_t mark_of(const Kept* place) {
  return reinterpret_cast<uintptr_t>(place) ^ reinterpret_cast<uintptr_t>(&cache) ^
         0x9E3779B97F4A7C15u;
}

void* take_kept(size_t size) {
  const size_t number = class_for(size);
  if (number >= kClasses) return nullptr;
  Kept* block = cache.first[number];
  if (block == nullptr) return nullptr;
  cache.first[number] = reinterpret_cast<Kept*>(changed(block, block->next));
  cache.count[number]--;
  cache.bytes -= kRoomMin + number * kStep;
  block->next = block->mark = 0;
  return block;
}

// Gives all of it back when the thread ends.
struct AtEnd {
  ~AtEnd() {
    cache.closed = true;
    for (size_t number = 0; number < kClasses; number++) {
      while (void* block = take_kept(kRoomMin + number * kStep)) std::free(block);
    }
  }
};

bool keep(void* wiped, size_t room) {
  const size_t number = class_of_room(room);
  if (number >= kClasses || cache.closed || cache.count[number] >= kKeptOfASizeMax ||
      cache.bytes + room > kKeptBytesMax) {
    return false;
  }
  if (!cache.watched) {
    cache.watched = true;
    static thread_local AtEnd at_end;
    (void)at_end;
  }
  auto* block = static_cast<Kept*>(wiped);
  block->next = changed(block, reinterpret_cast<uintptr_t>(cache.first[number]));
  block->mark = mark_of(block);
  cache.first[number] = block;
  cache.count[number]++;
  cache.bytes += kRoomMin + number * kStep;
  return true;
}

// An early return on exhaustion would let a half-done change go on: stop instead.
void* take(size_t size) {
  if (void* block = take_kept(size)) return block;
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
  const size_t room = malloc_usable_size(block);
  if (static_cast<Kept*>(block)->mark == mark_of(static_cast<Kept*>(block))) std::abort();
  explicit_bzero(block, room);
  if (!keep(block, room)) std::free(block);
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
