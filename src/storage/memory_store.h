// MemoryStore: the Store contract in memory, for `server -dev`, tests and simulation. Nothing is
// durable. Values stay in ordinary memory for as long as any Reader can see them.
//
// The map is an immutable tree; a commit copies the path to what it changes and swaps the root, so
// a snapshot is a pointer to a root. The only lock that a Reader meets guards the copying of that
// pointer. With one thread everything happens inside commit(), in order: simulations replay
// exactly.
#pragma once

#include <deque>
#include <memory>
#include <mutex>

#include "storage/store.h"
#include "storage/watch_hub.h"

namespace rekey::storage {

class MemoryStore final : public Store {
 public:
  // Tests pass smaller limits to stand for a store that takes less.
  explicit MemoryStore(Limits limits = kEmbeddedLimits);
  ~MemoryStore() override;

  const Limits& limits() const override { return limits_; }
  Result<std::unique_ptr<Reader>> open_reader() override;
  // Whichever thread finds nobody committing does so for all, until the queue is empty.
  void commit(Batch batch, Done done) override;
  std::unique_ptr<Watch> watch(std::string prefix, OnChange on_change) override;
  void set_witness(CommitWitness* witness) override;
  Health health() const override;

  // What somebody does who has the disk in hand: the row has this value, as of a batch of the past
  // (0: of the row as it is), or is gone, and nobody is told.
  void tamper(const std::string& key, std::optional<std::string> value, Revision revision = 0);

 private:
  struct Row;
  struct Node;
  struct Snapshot;
  struct Tree;
  struct Cursor;
  class MemoryReader;
  using SnapshotPtr = std::shared_ptr<const Snapshot>;
  struct Queued {
    Batch batch;
    Done done;
  };

  SnapshotPtr newest() const;
  Result<Revision> apply(Batch& batch);
  // What the witness puts beside `batch`, if there is one.
  Result<std::vector<Put>> ask_witness(const Batch& batch, Revision before);
  static bool forget_row(Snapshot& next, std::string_view key);
  static void put_row(Snapshot& next, const std::string& key, std::string value);

  const Limits limits_;
  WatchHub hub_;
  std::mutex witness_mutex_;  // held while a batch is applied
  CommitWitness* witness_ = nullptr;
  mutable std::mutex mutex_;  // guards all below; never held while a callback runs
  SnapshotPtr newest_;
  std::deque<Queued> queue_;
  bool committing_ = false;
  Health health_;
};

}  // namespace rekey::storage
