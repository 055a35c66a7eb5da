// Looking for a secret in this process's memory, to prove that it was wiped. For tests only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rekey::crypto::testing {

// False under sanitizers: their heap keeps what was freed, unwiped, and their shadow takes
// terabytes.
bool memory_scan_works();

// A secret that is kept in a form that a scan doesn't find: every byte inverted.
class Needle {
 public:
  explicit Needle(std::string_view secret);
  size_t size() const { return inverted_.size(); }
  // How often the secret lies in writable memory.
  size_t count_in_memory() const;

 private:
  std::string inverted_;
};

}  // namespace rekey::crypto::testing
