#include "pipeline/lane.h"

#include <cstring>

namespace rekey::pipeline {

base::Result<void> Lane::refresh() {
  auto refreshed = reader_->refresh();
  if (refreshed) revision_ = reader_->revision();
  return refreshed;
}

KnownToken& Lane::slot(std::string_view hash) {
  // The hash is keyed and uniform: any two of its bytes choose a slot.
  uint16_t number = 0;
  std::memcpy(&number, hash.data(), std::min(hash.size(), sizeof number));
  return known_[number % kKnownTokens];
}

void Lane::forget() {
  state_.drop();
  for (KnownToken& known : known_) known = KnownToken{};
  decoded_.clear();
}

void Lane::when_durable(uint64_t index, std::function<void(base::Result<void>)> done) {
  if (index < durable_size_) return done({});
  waiting_.push_back({index, std::move(done)});
}

void Lane::on_progress(const audit::Progress& progress) {
  durable_size_ = std::max(durable_size_, progress.durable_size);
  // Taken out first: a callback may append the next entry and wait for it.
  std::deque<Waiting> ready;
  while (!waiting_.empty() && (waiting_.front().index < durable_size_ ||
                               waiting_.front().index < progress.failed_size)) {
    ready.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  for (Waiting& one : ready) {
    if (one.index < durable_size_) {
      one.done({});
    } else {
      one.done(base::fail(base::ErrorKind::kUnavailable, "the record can't be written"));
    }
  }
}

}  // namespace rekey::pipeline
