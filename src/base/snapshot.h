// Snapshot: an immutable value that is swapped whole, and readers that take no lock.
//
// One owner publishes; each reading thread owns a SnapshotReader, which keeps a reference and looks
// at nothing but a generation counter until something new was published. A reader therefore keeps
// an old value alive until it is next asked or told to drop it: who has to be sure that a value is
// gone (keys after a seal) publishes nullptr and has every reader drop().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace rekey::base {

// Any thread may call anything.
template <class T>
class Snapshot {
 public:
  Snapshot() = default;
  explicit Snapshot(std::shared_ptr<const T> first) : value_(std::move(first)) {}
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // A reader that is asked after this returned gets `next`. nullptr is a value like any other.
  void publish(std::shared_ptr<const T> next) {
    {
      std::lock_guard lock(mutex_);
      value_.swap(next);
      generation_.fetch_add(1, std::memory_order_release);
    }
    // The old value, now in `next`, goes outside the lock: its destructor may be long.
  }

  // Takes the lock: for callers that have no reader of their own.
  std::shared_ptr<const T> get() const {
    std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  template <class U>
  friend class SnapshotReader;

  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
  std::atomic<uint64_t> generation_{1};
};

// Used by one thread; doesn't outlive the Snapshot.
template <class T>
class SnapshotReader {
 public:
  explicit SnapshotReader(const Snapshot<T>& snapshot) : snapshot_(snapshot) {}

  // The newest value, or null. The reference itself is good until the next get() or drop(): who
  // suspends in between copies the pointer.
  const std::shared_ptr<const T>& get() {
    if (snapshot_.generation_.load(std::memory_order_acquire) != seen_) refresh();
    return held_;
  }

  // Lets go of the value; the next get() fetches it again.
  void drop() {
    held_.reset();
    seen_ = 0;
  }

 private:
  void refresh() {
    std::shared_ptr<const T> next;
    {
      std::lock_guard lock(snapshot_.mutex_);
      next = snapshot_.value_;
      seen_ = snapshot_.generation_.load(std::memory_order_relaxed);
    }
    held_ = std::move(next);
  }

  const Snapshot<T>& snapshot_;
  std::shared_ptr<const T> held_;
  uint64_t seen_ = 0;  // no generation has this number
};

}  // namespace rekey::base
