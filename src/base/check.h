// The one macro of Rekey: a broken invariant of our own ends the process with its place.
// Never for anything that a client, a disk, a clock or a peer can cause: that is an Error.
#pragma once

#include <cstdio>
#include <cstdlib>

#define REKEY_CHECK(condition)                                                             \
  do {                                                                                     \
    if (!(condition)) [[unlikely]] {                                                       \
      std::fprintf(stderr, "internal error: %s is false at %s:%d\n", #condition, __FILE__, \
                   __LINE__);                                                              \
      std::abort();                                                                        \
    }                                                                                      \
  } while (false)
