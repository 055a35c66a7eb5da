#include "auditdev/writer.h"

#include <algorithm>

#include "base/thread.h"

namespace rekey::auditdev {

using base::ErrorKind;
using std::chrono::milliseconds;

namespace {

// How long an abandoned thread may take to notice: it looks ten times a second.
constexpr milliseconds kNoticeTime{500};

}  // namespace

Writer::Writer(std::string name, const Options& options, SinkParts parts, const base::Log& log)
    : name_(std::move(name)), log_(log) {
  parts.give_up = [this] { return abandoned_.load(std::memory_order_relaxed); };
  sink_ = make_sink(options, std::move(parts));
  thread_ = std::thread([this] { run(); });
}

Writer::~Writer() {
  start_closing();
  (void)finish(kCloseMax);
  thread_.join();
}

void Writer::put(std::string line) {
  bool first_dropped = false;
  {
    std::lock_guard lock(mutex_);
    if (closing_) return;
    if (queue_.size() + line.size() > kQueueBytesMax) {
      health_.lines_dropped++;
      first_dropped = !full_;
      full_ = true;
    } else {
      queue_ += line;
      queued_lines_++;
    }
  }
  if (first_dropped) {
    log_.error("auditdev", "an audit device's queue is full; its lines are dropped and counted",
               {{"device", name_}});
    return;
  }
  wake_.notify_one();
}

void Writer::rotate() {
  {
    std::lock_guard lock(mutex_);
    rotate_ = true;
  }
  wake_.notify_one();
}

void Writer::start_closing() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_one();
}

bool Writer::finish(milliseconds patience) {
  std::unique_lock lock(mutex_);
  if (ended_.wait_for(lock, patience, [&] { return ended_flag_; })) return true;
  abandoned_ = true;
  return ended_.wait_for(lock, kNoticeTime, [&] { return ended_flag_; });
}

WriterHealth Writer::health() const {
  std::lock_guard lock(mutex_);
  WriterHealth health = health_;
  health.waiting_bytes = queue_.size();
  return health;
}

void Writer::run() {
  base::begin_thread("audit-device");
  while (next_batch()) {
    while (!write_batch()) {
      if (closing_) break;
      wait_before_retry();
    }
    if (sent_ < batch_.size()) break;  // closing, and the sink doesn't work
  }
  std::lock_guard lock(mutex_);
  health_.lines_dropped += queued_lines_;
  queue_ = {};
  queued_lines_ = 0;
  ended_flag_ = true;
  ended_.notify_all();
}

// Waits for lines. False when there are none and there will be none.
bool Writer::next_batch() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return !queue_.empty() || closing_ || rotate_; });
  if (rotate_) {
    rotate_ = false;
    sink_->rotate();
  }
  sent_ = 0;
  batch_lines_ = 0;
  batch_.clear();
  if (batch_.capacity() > 2 * kBatchBytesMax) batch_.shrink_to_fit();  // after a burst
  if (queue_.empty()) return !closing_;
  size_t size = queue_.size();
  if (size > kBatchBytesMax) {
    // Whole lines: up to the last one that ends within the batch, or the first one alone.
    const size_t last = queue_.rfind('\n', kBatchBytesMax - 1);
    size = (last == std::string::npos ? queue_.find('\n') : last) + 1;
  }
  if (size == queue_.size()) {
    batch_.swap(queue_);
    batch_lines_ = std::exchange(queued_lines_, 0);
  } else {
    batch_.assign(queue_, 0, size);
    queue_.erase(0, size);
    batch_lines_ = static_cast<uint64_t>(std::ranges::count(batch_, '\n'));
    queued_lines_ -= batch_lines_;
  }
  full_ = false;
  return true;
}

// One go at what is left of the batch. False when it has to be tried again later.
bool Writer::write_batch() {
  uint64_t skipped = 0;
  while (sent_ < batch_.size()) {
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(rotate_, false)) sink_->rotate();
    }
    if (!sink_->is_open()) {
      auto opened = sink_->open();
      if (!opened) return failed(opened.error()), false;
      rewind_to_line_start();
    }
    auto taken = sink_->write(std::string_view(batch_).substr(sent_));
    if (!taken && taken.error().kind() == ErrorKind::kTooLarge) {
      skipped++;
      sent_ = batch_.find('\n', sent_) + 1;
      continue;
    }
    if (!taken) return failed(taken.error()), false;
    if (*taken == 0) {
      return failed(base::Error(ErrorKind::kTimeout, "it took nothing within its patience")), false;
    }
    sent_ += *taken;
  }
  {
    std::lock_guard lock(mutex_);
    health_.lines_written += batch_lines_ - std::min(skipped, batch_lines_);
    health_.lines_dropped += skipped;
  }
  if (skipped > 0) {
    log_.warn("auditdev", "lines that are too long for an audit device were dropped",
              {{"device", name_}, {"lines", std::to_string(skipped)}});
  }
  if (!batch_.empty()) worked();
  return true;
}

// Whoever reads a stream or file that was opened anew finds whole lines there.
void Writer::rewind_to_line_start() {
  if (sent_ == 0) return;
  const size_t before = batch_.rfind('\n', sent_ - 1);
  sent_ = before == std::string::npos ? 0 : before + 1;
}

void Writer::failed(const base::Error& error) {
  bool news = false;
  {
    std::lock_guard lock(mutex_);
    news = health_.works;
    health_.works = false;
    health_.failures++;
    health_.reason = error.message();
  }
  if (news && !abandoned_) {
    log_.error("auditdev",
               "an audit device doesn't take its lines; they wait or are dropped, requests go on",
               {{"device", name_}, {"error", error.message()}});
  }
}

void Writer::worked() {
  retry_ = kRetryMin;
  uint64_t dropped = 0;
  {
    std::lock_guard lock(mutex_);
    if (health_.works) return;
    health_.works = true;
    health_.reason.clear();
    dropped = health_.lines_dropped;
  }
  log_.warn("auditdev", "an audit device works again",
            {{"device", name_}, {"dropped_since_start", std::to_string(dropped)}});
}

void Writer::wait_before_retry() {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, retry_, [&] { return closing_.load() || rotate_; });
  retry_ = std::min(retry_ * 2, kRetryMax);
}

}  // namespace rekey::auditdev
