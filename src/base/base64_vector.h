// The bulk of base64 with wide registers, after W. Mula and D. Lemire, "Faster Base64 Encoding and
// Decoding Using AVX2 Instructions" (2018) and "Base64 encoding and decoding at almost the speed of
// a memory copy" (2019). base/codec.h is what the rest of the program uses: it does the ends and
// says what is wrong with a text. No table in memory is looked up by what is encoded, so that the
// time doesn't depend on it. Knows nothing of padding. Any thread.
#pragma once

#include <cstddef>

namespace rekey::base {

enum class Base64Alphabet { kStandard, kUrl };

// Both take as much from the front as suits them, none of it where it doesn't, and read and write
// nothing outside of what they are given.
struct Base64Kernel {
  // How many of `size` bytes were encoded: a multiple of 3; `to` takes 4 characters for each 3.
  size_t (*encode)(const unsigned char* from, size_t size, char* to, Base64Alphabet alphabet);
  // How many of `size` characters were decoded: a multiple of 4, and all of them are digits; stops
  // before what isn't. `to` takes 3 bytes for each 4.
  size_t (*decode)(const unsigned char* from, size_t size, char* to, Base64Alphabet alphabet);
};

// Null where this machine doesn't have the instructions.
const Base64Kernel* base64_avx2();
const Base64Kernel* base64_avx512();
// The best one of this machine, or null.
const Base64Kernel* base64_kernel();

}  // namespace rekey::base
