// Randomness as an argument. Only SystemRandom asks the operating system.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/secret_bytes.h"

namespace rekey::base {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<unsigned char> out) = 0;

  std::string bytes(size_t count);
  SecretBytes secret(size_t count);
  uint64_t number();
  std::string uuid();                 // RFC 9562 version 4, lower case
  std::string base62(size_t length);  // uniform over 0-9A-Za-z
};

// getrandom(2), through a small buffer for each thread that is wiped as it is used up.
// Any thread. A kernel that can't give randomness ends the process.
class SystemRandom final : public Random {
 public:
  void fill(std::span<unsigned char> out) override;
};

// The same numbers for the same seed: for simulation and tests only. Not thread-safe.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  void fill(std::span<unsigned char> out) override;

 private:
  uint64_t state_;
};

}  // namespace rekey::base
