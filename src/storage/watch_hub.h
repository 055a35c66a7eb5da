// The watches of one store, and the handing out of changes to them. Shared by the embedded drivers.
// add() on any thread; notify() on the one thread that commits.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "storage/store.h"

namespace rekey::storage {

class WatchHub {
 public:
  std::unique_ptr<Watch> add(std::string prefix, Store::OnChange on_change);

  // Tells every watch with a touched key, in the order in which the watches were made.
  void notify(Revision revision, const Batch& batch);

 private:
  struct Entry {
    std::string prefix;
    Store::OnChange on_change;
  };
  class Registered;

  std::mutex mutex_;  // held while callbacks run: that is how a Watch's destructor waits for them
  std::list<Entry> entries_;
  std::atomic<size_t> count_ = 0;  // so that a store nobody watches pays one load
};

}  // namespace rekey::storage
