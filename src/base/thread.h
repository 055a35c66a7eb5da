// What a thread says of itself to the operating system: a name, seen in top, perf and core files,
// and how urgent its work is.
#pragma once

namespace rekey::base {

enum class Urgency {
  kAnswers,  // requests wait for it
  kSoon,  // has to keep up with the requests, but none waits for it: nice 10. Its threads inherit
          // that. Less would let a lock that it holds stand for long on a busy machine.
};

// For the calling thread, first thing. `name` has at most 15 characters. That the system refuses
// is no failure: it then runs like any other thread.
void begin_thread(const char* name, Urgency urgency = Urgency::kAnswers);

}  // namespace rekey::base
