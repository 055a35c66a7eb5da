// Writer: one device's thread and its bounded queue of finished lines.
//
// Whoever has a line puts it in and goes on; the thread writes. A sink that is hung, full or gone
// is cut off: after its patience the writer says so once (log, health), keeps what fits into the
// queue, drops what doesn't and counts that, and tries again until the sink works. Nothing here can
// hold up a request. Knows nothing of what a line says.
//
// put() and health(): any thread, never block on the sink. start_closing() and finish(): the owner.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "auditdev/sink.h"
#include "base/log.h"

namespace rekey::auditdev {

inline constexpr size_t kQueueBytesMax = 8 << 20;    // lines of one device that wait
inline constexpr size_t kBatchBytesMax = 256 << 10;  // written in one call, a longer line alone
inline constexpr std::chrono::milliseconds kRetryMin{200};    // first wait after a failure
inline constexpr std::chrono::milliseconds kRetryMax{5'000};  // it doubles up to this
// After closing began, lines that wait are still written for this long.
inline constexpr std::chrono::milliseconds kCloseMax{2'000};

struct WriterHealth {
  bool works = true;
  std::string reason;  // why not
  uint64_t lines_written = 0;
  uint64_t lines_dropped = 0;
  uint64_t failures = 0;
  uint64_t waiting_bytes = 0;
};

class Writer {
 public:
  // Starts the thread, which opens the sink when the first line comes. `log` and the clock outlive
  // the Writer.
  Writer(std::string name, const Options& options, SinkParts parts, const base::Log& log);
  ~Writer();  // closes and joins

  // Takes a line that ends in a line break. Dropped and counted when the queue is full.
  void put(std::string line);
  // Opens the file anew before the next line: after it was moved away.
  void rotate();

  // What waits is still written, but nothing is tried twice.
  void start_closing();
  // Waits until the thread has ended; after `patience` it is told to give up. False if it is stuck
  // all the same, in a disk that doesn't answer; the destructor then waits for that.
  bool finish(std::chrono::milliseconds patience);

  WriterHealth health() const;

 private:
  void run();
  bool next_batch();
  bool write_batch();
  void failed(const base::Error& error);
  void worked();
  void rewind_to_line_start();
  void wait_before_retry();

  const std::string name_;
  const base::Log& log_;
  std::unique_ptr<Sink> sink_;

  mutable std::mutex mutex_;
  std::condition_variable wake_, ended_;
  std::string queue_;  // whole lines
  uint64_t queued_lines_ = 0;
  bool rotate_ = false;
  bool ended_flag_ = false;
  bool full_ = false;  // lines are being dropped
  WriterHealth health_;
  std::atomic<bool> closing_{false};
  std::atomic<bool> abandoned_{false};

  // The thread's own.
  std::string batch_;
  uint64_t batch_lines_ = 0;
  size_t sent_ = 0;  // bytes of the batch that the sink took
  std::chrono::milliseconds retry_ = kRetryMin;
  std::thread thread_;
};

}  // namespace rekey::auditdev
