// FaultStore: a Store that passes everything on to another one and, when told to, fails as disks,
// power supplies and attackers do. For unit tests, tests/crash and tests/sim.
//
// Faults come from three sources: programmed ones (the next commit, or one key, until taken back),
// random ones (a chance for each kind, from one seed: the same calls give the same faults), and
// states (read-only, held). With none of them it passes the contract suite.
//
//   commits   kFails            kUnavailable; nothing is written
//             kConflicts        kConflict, though the conditions hold; nothing is written
//             kUnknownWritten   written, but the caller hears kTimeout
//             kUnknownLost      not written, and the caller hears kTimeout
//             read-only         kUnavailable for every commit, permanent in health()
//             held              commits wait (a slow disk) until release_commits();
//                               lose_power() drops them as a crash does: the first few, by seed,
//                               are written, the rest are not, and nobody is called
//   reads     kFails            kUnavailable
//             kAltered          one bit of the value is different
//             kTruncated        the value's end is missing (an empty value stays)
//             kExtended         the value has one byte more
//             kOlder            the value and revision that the key had before its last write
//             through
//                               this FaultStore (the present one if there was none)
//             kSwapped          the value of another key, with this key's revision
//             kMissing          the row is not there
//
// Any thread. Readers and Watches of it are gone before it, and it before the store below.
#pragma once

#include <deque>
#include <map>
#include <mutex>

#include "base/random.h"
#include "storage/store.h"

namespace rekey::storage {

enum class CommitFault { kNone, kFails, kConflicts, kUnknownWritten, kUnknownLost };
enum class ReadFault { kNone, kFails, kAltered, kTruncated, kExtended, kOlder, kSwapped, kMissing };

// Chances in a thousand, drawn anew for each commit or get.
struct FaultChances {
  uint32_t commit_fails = 0;
  uint32_t commit_conflicts = 0;
  uint32_t commit_unknown_written = 0;
  uint32_t commit_unknown_lost = 0;
  uint32_t read_fails = 0;
};

class FaultStore final : public Store {
 public:
  FaultStore(Store& below, uint64_t seed) : below_(below), random_(seed) {}

  // The next commits get these, one each, in this order; then the random ones apply again.
  void program_commits(std::vector<CommitFault> faults);
  void set_chances(const FaultChances& chances);
  // From now on gets of `key` come back so; kNone ends it. `other` is the key that kSwapped reads.
  void damage(std::string key, ReadFault fault, std::string other = {});
  void set_read_only(bool read_only);
  void hold_commits(bool hold);  // false releases too
  size_t held() const;
  void release_commits();
  // Returns how many of the held commits reached the disk. They, and no others, are there when this
  // returns; their callers are never called. Ends holding.
  size_t lose_power();
  uint64_t faults_made() const;

  const Limits& limits() const override { return below_.limits(); }
  Result<std::unique_ptr<Reader>> open_reader() override;
  void commit(Batch batch, Done done) override;
  std::unique_ptr<Watch> watch(std::string prefix, OnChange on_change) override {
    return below_.watch(std::move(prefix), std::move(on_change));
  }
  void set_witness(CommitWitness* witness) override { below_.set_witness(witness); }
  Health health() const override;

 private:
  class FaultReader;
  struct Held {
    Batch batch;
    Done done;
  };
  struct Damage {
    ReadFault fault = ReadFault::kNone;
    std::string other;
  };
  struct Old {
    std::string value;
    Revision revision = 0;
  };

  CommitFault draw_commit_fault();
  Damage draw_read_fault(std::string_view key);
  std::optional<Old> older(std::string_view key) const;
  void remember_old(const Batch& batch);
  void pass_down(Batch batch, Done done);

  Store& below_;
  mutable std::mutex mutex_;  // guards all below; not held while anything is called
  base::SeededRandom random_;
  FaultChances chances_;
  std::deque<CommitFault> programmed_;
  std::map<std::string, Damage, std::less<>> damages_;
  std::map<std::string, Old, std::less<>> old_;  // of every key overwritten or deleted here
  std::deque<Held> held_;
  bool holding_ = false;
  bool read_only_ = false;
  uint64_t faults_made_ = 0;
};

}  // namespace rekey::storage
