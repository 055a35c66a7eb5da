// FaultDisk: a disk in memory that loses what wasn't synced, tears writes, fails and dies on
// demand.
//
// For tests of the audit room and for simulation. All of it follows from a seed. One FaultDisk is
// the machine's disk; handle() gives a Disk on it, for one process's life. Not for several threads
// that expect the same order of operations each time: what the n-th operation is may then vary.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "audit/disk.h"
#include "base/random.h"

namespace rekey::audit {

class FaultDisk : public std::enable_shared_from_this<FaultDisk> {
 public:
  explicit FaultDisk(uint64_t seed) : random_(seed) {}

  std::unique_ptr<Disk> handle();

  // The process dies in its n-th changing operation from now (1: the next one), which happens in
  // part; all later ones of its handles fail. 0: never.
  void die_at(uint64_t operation);
  // From now on, changing operations number `from` to `to` fail with ENOSPC or EIO, and may have
  // happened in part. 0, 0: none.
  void fail_between(uint64_t from, uint64_t to);
  // Writing whole files whose path begins so fails, until it is called with an empty text.
  void refuse_paths_with(std::string prefix);
  bool dead() const;
  uint64_t operations() const;  // changing operations since the last die_at or fail_between

  // The power goes: every file that wasn't synced is as it was, old and new in parts, or, if it was
  // never synced, gone, cut short or zeros.
  // Handles from before are useless; operations work again.
  void lose_power();
  // kill -9: everything written is still there.
  void restart();

  // For tests that alter what is on disk.
  std::map<std::string, std::string> files() const;
  void set_file(const std::string& path, std::optional<std::string> bytes);

 private:
  friend class FaultDiskHandle;
  friend class FaultBlockFile;
  struct File {
    std::string now;
    std::optional<std::string> durable;
  };
  enum class Outcome { kWorks, kFails, kDies };

  Outcome next_operation(uint64_t life);
  std::string torn(const std::string& before, std::string_view after);
  bool alive(uint64_t life) const { return life == life_ && !dead_; }

  mutable std::mutex mutex_;
  base::SeededRandom random_;
  std::map<std::string, File> files_;
  uint64_t life_ = 0;
  bool dead_ = false;
  uint64_t operations_ = 0;
  std::string refused_prefix_;
  uint64_t die_at_ = 0, fail_from_ = 0, fail_to_ = 0;
};

}  // namespace rekey::audit
