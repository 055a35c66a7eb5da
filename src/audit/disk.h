// Disk: the few file operations that the log and its readers need, under one root folder.
//
// Exists because there are three of it: PosixDisk, MemoryDisk (for a store in memory) and the fault
// disk of tests and simulation. Knows nothing of logs. Paths are relative to the root, with '/',
// and made by us: never from outside. Any thread; two writers of one path at a time are a mistake
// of the caller.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace rekey::audit {

inline constexpr size_t kBlockBytes = 4096;

// A file of fixed size that is read and written in whole blocks. Offsets and sizes are multiples of
// kBlockBytes, memory is aligned to it.
class BlockFile {
 public:
  virtual ~BlockFile() = default;
  virtual uint64_t size() const = 0;
  // When it returns success the bytes are durable. After a failure they may be there or not, whole
  // or torn.
  virtual base::Result<void> write(uint64_t offset, std::span<const char> bytes) = 0;
  virtual base::Result<void> read(uint64_t offset, std::span<char> out) = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;

  // Makes a block file of `size` zero bytes, durable with its name; replaces one that is there.
  virtual base::Result<std::unique_ptr<BlockFile>> create_blocks(const std::string& path,
                                                                 uint64_t size) = 0;
  virtual base::Result<std::unique_ptr<BlockFile>> open_blocks(const std::string& path) = 0;

  // kNotFound if there is no such file; kTooLarge if it has more than `bytes_max`.
  virtual base::Result<std::string> read(const std::string& path, size_t bytes_max) const = 0;
  // Writes a whole file with the folders above it. Neither atomic nor durable before sync(), but a
  // file that has these bytes already, and durably, keeps them through any crash: the tiles under a
  // signed checkpoint are written again at the next one.
  virtual base::Result<void> write(const std::string& path, std::string_view bytes) = 0;
  // Files written before, and the folders above them, are durable when it returns.
  virtual base::Result<void> sync(std::span<const std::string> paths) = 0;
  // Atomic and durable: a crash leaves the old or the new file.
  virtual base::Result<void> replace(const std::string& path, std::string_view bytes) = 0;
  // A file, or a folder with the files in it (no folders below). Nothing there is fine.
  virtual base::Result<void> remove(const std::string& path) = 0;
  // Names in a folder, unsorted; empty if there is none.
  virtual base::Result<std::vector<std::string>> list(const std::string& path) const = 0;
};

// Opens or makes the folder and locks it against other processes; kUnavailable if it is in use.
base::Result<std::unique_ptr<Disk>> open_posix_disk(const std::string& directory);
// For reading a log that another process may be writing, or a copy: no lock, nothing is made, and
// every writing call fails. kNotFound if there is no such folder.
base::Result<std::unique_ptr<Disk>> open_posix_disk_for_reading(const std::string& directory);

// Keeps everything in memory. When the entry bundles hold more than `entry_bytes_max` the oldest
// are dropped; tree hashes stay.
std::unique_ptr<Disk> make_memory_disk(size_t entry_bytes_max);

// Memory for block files. Zero-filled.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size);  // rounded up to whole blocks
  char* data() { return data_.get(); }
  const char* data() const { return data_.get(); }
  size_t size() const { return size_; }
  void grow(size_t size, size_t keep);  // keeps the first `keep` bytes, as far as they are there

 private:
  struct Free {
    void operator()(char* data) const;
  };
  std::unique_ptr<char, Free> data_;
  size_t size_ = 0;
};

inline size_t round_up_to_block(size_t size) {
  return (size + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

}  // namespace rekey::audit
