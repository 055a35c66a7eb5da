#include "base/secret_bytes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.h"

namespace rekey::base {
namespace {

constexpr size_t kArenaChunkBytes = 256 * 1024;
constexpr size_t kBlockBytesMin = 32;
constexpr size_t kSizeClasses = 8;  // 32 bytes to 4 KiB; larger blocks are mapped on their own

// Maps whole pages: guard pages on both sides, locked, not dumped, zeroed in a forked child.
// A failing mlock (a low RLIMIT_MEMLOCK) is not fatal here: the server asks at start
// (locked_memory.h).
unsigned char* map_locked(size_t size) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* whole = mmap(nullptr, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REKEY_CHECK(whole != MAP_FAILED);
  auto* data = static_cast<unsigned char*>(whole) + page;
  REKEY_CHECK(mprotect(data, size, PROT_READ | PROT_WRITE) == 0);
  (void)mlock(data, size);
  (void)madvise(data, size, MADV_DONTDUMP);
  (void)madvise(data, size, MADV_WIPEONFORK);
  return data;
}

void unmap_locked(unsigned char* data, size_t size) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  munmap(data - page, size + 2 * page);
}

size_t round_to_pages(size_t size) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (size + page - 1) / page * page;
}

// Power-of-two free lists over locked chunks. Chunks are never given back: the arena holds keys,
// of which there are few. Its mutex is never held on a read's path.
class Arena {
 public:
  unsigned char* take(size_t size) {
    const size_t size_class = class_of(size);
    if (size_class >= kSizeClasses) return map_locked(round_to_pages(size));
    std::lock_guard lock(mutex_);
    auto& free_list = free_[size_class];
    if (free_list.empty()) carve(size_class);
    unsigned char* block = free_list.back();
    free_list.pop_back();
    return block;
  }

  void give_back(unsigned char* block, size_t size) {
    wipe(block, size);
    const size_t size_class = class_of(size);
    if (size_class >= kSizeClasses) return unmap_locked(block, round_to_pages(size));
    std::lock_guard lock(mutex_);
    free_[size_class].push_back(block);
  }

 private:
  static size_t class_of(size_t size) {
    size_t size_class = 0;
    for (size_t block = kBlockBytesMin; block < size; block *= 2) size_class++;
    return size_class;
  }

  void carve(size_t size_class) {
    const size_t block = kBlockBytesMin << size_class;
    constexpr size_t kCarveBytes = 16 * 1024;
    if (chunk_left_ < kCarveBytes) {
      chunk_ = map_locked(kArenaChunkBytes);
      chunk_left_ = kArenaChunkBytes;
    }
    for (size_t at = 0; at + block <= kCarveBytes; at += block) {
      free_[size_class].push_back(chunk_ + at);
    }
    chunk_ += kCarveBytes;
    chunk_left_ -= kCarveBytes;
  }

  std::mutex mutex_;
  std::vector<unsigned char*> free_[kSizeClasses];
  unsigned char* chunk_ = nullptr;
  size_t chunk_left_ = 0;
};

// The one deliberate process-wide object: memory is process-wide. Never destroyed, so that secrets
// held by other static objects can still be released at exit.
Arena& arena() {
  static Arena* the_arena = new Arena;
  return *the_arena;
}

}  // namespace

SecretBytes::SecretBytes(size_t size) : size_(size) {
  if (size_ == 0) return;
  data_ = arena().take(size_);
  std::memset(data_, 0, size_);
}

SecretBytes SecretBytes::copy_of(std::string_view bytes) {
  SecretBytes copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data_, bytes.data(), bytes.size());
  return copy;
}

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

SecretBytes::~SecretBytes() { wipe(); }

SecretBytes SecretBytes::clone() const { return copy_of(reveal()); }

void SecretBytes::wipe() {
  if (data_ == nullptr) return;
  arena().give_back(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); i++) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  // The barrier keeps the compiler from leaving the loop early.
  asm volatile("" : "+r"(difference));
  return difference == 0;
}

void wipe(void* data, size_t size) { explicit_bzero(data, size); }

}  // namespace rekey::base
