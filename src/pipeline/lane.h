// A lane: what one thread needs to serve requests without sharing anything that another thread
// writes: its own reader of the store, its own reference to the state, its own cache of tokens.
//
// There is one for each io thread and one for each pool thread; only that thread touches it, but
// for post(), which any thread may call.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "audit/log.h"
#include "base/snapshot.h"
#include "identity/standing.h"
#include "identity/token.h"
#include "logical/decoded_rows.h"
#include "pipeline/counters.h"
#include "pipeline/state.h"
#include "policy/policy.h"
#include "storage/store.h"

namespace rekey::pipeline {

// What a token may do: by its own policies and those of its entity and its entity's groups.
struct Rights {
  std::vector<std::string> policies;  // all of them, sorted
  std::vector<std::string> identity_policies;
  std::shared_ptr<const identity::Standing> standing;  // null without an entity
  std::shared_ptr<const policy::Acl> acl;
};

// A token that was read, checked against the revision of its row whenever the store has changed,
// and what it may do, good as long as no policy changed and the rows of its entity and groups are
// as they were.
struct KnownToken {
  std::string hash;
  storage::Revision revision = 0;
  std::shared_ptr<const identity::Token> token;
  uint64_t policy_generation = 0;
  std::shared_ptr<const Rights> rights;
  std::vector<std::pair<std::string, storage::Revision>> rows;  // 0: there was none
  // Of the store, when all of that was last found to be so. In a snapshot of the same revision
  // every row is as it was, so nothing is looked up.
  storage::Revision checked = 0;
};

class Lane {
 public:
  using Post = std::function<void(std::function<void()>)>;

  Lane(std::unique_ptr<storage::Reader> reader, const base::Snapshot<State>& state, Post post)
      : reader_(std::move(reader)), state_(state), post_(std::move(post)) {
    release();
  }

  // Sees every commit and every published state from before this call. Once for a turn of the loop,
  // after the requests it is for were received whole.
  base::Result<void> refresh();

  storage::Reader& reader() { return *reader_; }
  // Of the snapshot that was last read from; also while none is held.
  storage::Revision revision() const { return revision_; }
  // Lets go of the snapshot, so that the store can use old pages again; refresh() takes a new one.
  void release() { reader_->release(); }
  std::shared_ptr<const State> state() { return state_.get(); }  // null while sealed
  void post(std::function<void()> work) const { post_(std::move(work)); }

  // The slot where a token with this hash is kept, or would be.
  KnownToken& slot(std::string_view hash);
  // What engines have decoded.
  logical::DecodedRows& decoded() { return decoded_; }
  // Forgets whatever came from behind the barrier. Part of sealing.
  void forget();

  // `done` is called on this thread as soon as entries up to and including `index` are durable.
  void when_durable(uint64_t index, std::function<void(base::Result<void>)> done);
  void on_progress(const audit::Progress& progress);
  size_t waiting() const { return waiting_.size(); }

  RequestCounters& counters() { return counters_; }
  const RequestCounters& counters() const { return counters_; }

  // An empty string with room in it, for what is made and used up within one step.
  std::string& scratch() {
    scratch_.clear();
    return scratch_;
  }

 private:
  struct Waiting {
    uint64_t index;
    std::function<void(base::Result<void>)> done;
  };
  static constexpr size_t kKnownTokens = 1024;  // for each lane

  std::unique_ptr<storage::Reader> reader_;
  storage::Revision revision_ = 0;
  base::SnapshotReader<State> state_;
  Post post_;
  std::array<KnownToken, kKnownTokens> known_;
  logical::DecodedRows decoded_;
  std::deque<Waiting> waiting_;
  uint64_t durable_size_ = 0;
  std::string scratch_;
  RequestCounters counters_;
};

}  // namespace rekey::pipeline
