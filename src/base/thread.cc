#include "base/thread.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace rekey::base {

namespace {
constexpr int kSoonNice = 10;
}  // namespace

void begin_thread(const char* name, Urgency urgency) {
  ::pthread_setname_np(::pthread_self(), name);
  if (urgency == Urgency::kSoon) {
    // On Linux this is the thread's own (setpriority(2), "C library/kernel differences").
    (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kSoonNice);
  }
}

}  // namespace rekey::base
