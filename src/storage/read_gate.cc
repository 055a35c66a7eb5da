#include "storage/read_gate.h"

namespace rekey::storage {

void ReadGate::enter() {
  for (;;) {
    inside_ += 1;
    if (!closed_) return;
    leave();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !closed_; });
  }
}

void ReadGate::leave() {
  inside_ -= 1;
  if (!closed_) return;
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

bool ReadGate::close(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  closed_ = true;
  if (changed_.wait_for(lock, patience, [this] { return inside_ == 0; })) return true;
  closed_ = false;
  changed_.notify_all();
  return false;
}

void ReadGate::open() {
  const std::lock_guard lock(mutex_);
  closed_ = false;
  changed_.notify_all();
}

}  // namespace rekey::storage
