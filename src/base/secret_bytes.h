// SecretBytes: memory for keys and other long-lived secrets.
//
// Move-only. The memory is locked (never swapped), left out of core dumps, not inherited by a
// child, and wiped when it is released. There is no formatter, no conversion to string or JSON and
// no operator==; the only way to read it is reveal(), so that `grep reveal` lists every use.
// Short-lived copies of secrets in ordinary strings are wiped too, when the heap frees them: see
// wiping_heap.cc. Safe to make and destroy on any thread; one object is used by one thread at a
// time.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace rekey::base {

class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(size_t size);  // zero-filled
  static SecretBytes copy_of(std::string_view bytes);
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  SecretBytes clone() const;  // an explicit second copy
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void wipe();  // zeroes and releases; the object is empty afterwards

  // The bytes themselves; valid while this object lives and is not moved from.
  std::string_view reveal() const { return {reinterpret_cast<const char*>(data_), size_}; }
  std::span<unsigned char> reveal_for_writing() { return {data_, size_}; }

 private:
  unsigned char* data_ = nullptr;
  size_t size_ = 0;
};

// Compares in time that depends on the lengths only.
bool equal_constant_time(std::string_view a, std::string_view b);

// Zeroes memory in a way that the compiler doesn't remove.
void wipe(void* data, size_t size);

}  // namespace rekey::base
