// What stands behind Log: opening a log (log_open.cc), and the thread that commits groups of
// entries (log_commit.cc). Log itself (log.cc) forwards, and reads the tree. For no other file.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "audit/disk.h"
#include "audit/log.h"
#include "audit/publisher.h"
#include "audit/wal.h"

namespace rekey::audit {

class Log::Impl {
 public:
  Impl(std::unique_ptr<Disk> disk, Options options, const base::Clock& clock,
       const base::Log& operator_log);
  ~Impl() { close(); }

  base::Result<void> open(base::Random& random);
  base::Result<uint64_t> append(std::string_view entry, uint64_t store_revision);
  void flush();
  void add_listener(std::function<void(const Progress&)> listener);
  base::Result<void> wait_durable(uint64_t size);
  Health health() const;
  void close();
  base::Result<void> readable() const;  // an error if there is no tree to read
  base::Result<void> accepts() const;
  bool commit_step();

  std::atomic<uint64_t> durable_{0};
  std::atomic<uint32_t> target_{1};
  std::atomic<bool> refuses_{false};     // whether there is a refusal_
  std::atomic<bool> committing_{false};  // a group is on its way
  std::unique_ptr<Disk> disk_;
  Options options_;
  std::string id_;
  std::unique_ptr<Wal> wal_;
  std::unique_ptr<Publisher> publisher_;

 private:
  struct Format {
    std::string log_id;
    std::string origin;
  };

  static base::Result<Format> parse_format(std::string_view text);
  base::Result<Format> read_or_make_format(base::Random& random);
  base::Result<bool> has_remains() const;
  void set_damaged(const base::Error& error);
  void run();
  bool wait_for_group(std::unique_lock<std::mutex>& lock);
  std::unique_ptr<Group> take_group();  // with mutex_ held
  bool commit(std::unique_ptr<Group> group);
  base::Result<void> try_commit(std::unique_ptr<Group>& group);
  bool stop_after_failure(const base::Error& error);
  void refuse(const base::Error& error);
  void accept_again();
  void tell_listeners();

  const base::Clock& clock_;
  const base::Log& operator_log_;

  mutable std::mutex mutex_;  // over everything below
  std::condition_variable work_;
  std::condition_variable progress_;
  std::unique_ptr<Group> forming_;
  uint64_t next_index_ = 0;
  uint64_t failed_size_ = 0;
  std::optional<base::Error> refusal_;  // why append refuses now
  bool damaged_ = false;
  bool flush_wanted_ = false;
  bool waiting_ = false;  // the commit thread sleeps
  bool stop_ = false;
  std::vector<std::function<void(const Progress&)>> listeners_;
  Health counters_;
  std::unique_ptr<Group> retried_;  // stepped only: could not be written yet
  std::thread thread_;

  std::atomic<uint32_t> forming_count_{0};  // so that a flush of nothing takes no lock
};

}  // namespace rekey::audit
