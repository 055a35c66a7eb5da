// ReadGate: lets the LMDB writer have the map to itself for the moment in which it is made larger.
// Readers pass with one atomic addition and never wait otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace rekey::storage {

class ReadGate {
 public:
  // On any thread, around the life of a snapshot. enter() waits while the gate is closed.
  void enter();
  void leave();
  bool closed() const { return closed_.load(); }

  // On the writer thread. close() returns true when everyone is out; false after `patience`, with
  // the gate open again.
  bool close(std::chrono::milliseconds patience);
  void open();

 private:
  // Sequentially consistent: either the writer sees the reader inside, or the reader sees the gate
  // closed.
  std::atomic<size_t> inside_ = 0;
  std::atomic<bool> closed_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace rekey::storage
