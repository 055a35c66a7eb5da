// Index: keeps a running log's index up by a thread of its own, off the request's path, and answers
// queries from it. Without it (its disk fails, its files are someone else's) queries read the log.
//
// query() and status() may be called on any thread, but block on the disk: not on an io thread.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "audit/clients.h"
#include "audit/index_store.h"
#include "audit/log.h"
#include "audit/query.h"
#include "base/log.h"

namespace rekey::audit {

inline constexpr std::chrono::milliseconds kIndexPollInterval{100};  // when it has caught up
// After each block, so that it comes in pieces of a fraction of a millisecond: where it shares a
// core with what answers, a longer one is felt. 256 entries each: still some 300,000 a second.
inline constexpr std::chrono::microseconds kIndexPause{500};
inline constexpr std::chrono::milliseconds kIndexRetryInterval{2000};

class Index {
 public:
  struct Options {
    std::string directory;  // its own; made 0700 if missing. Empty: in memory
    IndexStore::Options store;
    bool enabled = true;  // false: no thread and no files, queries read the log
  };
  // `log` and `operator_log` outlive it. Never fails: what is wrong is in status().problem.
  Index(const Log& log, Options options, const base::Log& operator_log);
  ~Index();  // stop()
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  IndexStatus status() const;
  base::Result<QueryResult> query(const Query& query) const;
  // count_clients() over the log.
  base::Result<ClientCount> clients(
      std::span<const int64_t> edges,
      const std::function<uint32_t(std::string_view)>& group_of) const;
  // Has everything made anew from the log; returns at once.
  void rebuild();
  // Writes what is in memory, ends the thread. Before the log is closed.
  void stop();

 private:
  void run();

  const LogSource source_;
  const base::Log& operator_log_;
  std::unique_ptr<IndexStore> store_;  // null: there is no index

  mutable std::mutex mutex_;  // over everything below
  std::condition_variable wake_;
  bool stop_ = false;
  bool rebuild_ = false;
  std::string problem_;
  std::thread thread_;
};

// Makes the index of a log in `directory` anew, while no server has it open: what `rekey audit
// index rebuild` does. Gives the number of entries indexed. `progress` may be empty.
base::Result<uint64_t> rebuild_index(const std::string& directory, const base::Log& operator_log,
                                     const std::function<void(const IndexStatus&)>& progress);

// The index beside a log's files, for queries; null if there is none or none that can be read.
std::unique_ptr<IndexStore> open_index_for_reading(const std::string& directory,
                                                   const EntrySource& source,
                                                   const base::Log& operator_log);

}  // namespace rekey::audit
