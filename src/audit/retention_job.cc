#include "audit/retention_job.h"

#include "audit/retention.h"
#include "base/thread.h"

namespace rekey::audit {

RetentionJob::RetentionJob(Log& log, Options options, const base::Clock& clock,
                           const base::Log& operator_log)
    : log_(log), options_(std::move(options)), clock_(clock), operator_log_(operator_log) {
  thread_ = std::thread([this] { run(); });
}

RetentionJob::~RetentionJob() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void RetentionJob::run() {
  base::begin_thread("retention", base::Urgency::kSoon);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    turn();
    lock.lock();
    wake_.wait_for(lock, options_.interval, [&] { return stop_; });
  }
}

void RetentionJob::turn() {
  const base::Result<Retired> retired =
      log_.retire(clock_.wall() - options_.keep, options_.archive);
  if (!retired) {
    // Before the first checkpoint there is nothing that could go.
    if (retired.error().kind() == base::ErrorKind::kNotFound) return;
    operator_log_.warn("audit", "old entries couldn't be taken out of the record",
                       {{"reason", retired.error().message() + ": " + retired.error().detail()}});
  } else if (retired->entries > 0) {
    operator_log_.info("audit", "old entries were taken out of the record",
                       {{"entries", std::to_string(retired->entries)},
                        {"first_kept", std::to_string(retired->first_kept)},
                        {"archive", options_.archive}});
  }
}

}  // namespace rekey::audit
