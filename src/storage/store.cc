#include "storage/store.h"

#include <algorithm>
#include <bit>
#include <future>

namespace rekey::storage {
namespace {

// Keys beside one another after sorting: pairwise comparing would be quadratic for large batches.
bool has_duplicate(const Batch& batch) {
  if (batch.puts.size() + batch.deletes.size() < 2) return false;
  std::vector<std::string_view> keys;
  keys.reserve(batch.puts.size() + batch.deletes.size());
  for (const Put& put : batch.puts) keys.push_back(put.key);
  for (const std::string& key : batch.deletes) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

Result<void> check_key(std::string_view key, const Limits& limits) {
  if (key.empty()) return base::fail(ErrorKind::kInvalid, "a storage key is empty");
  if (key.size() > limits.key_bytes_max) {
    return base::fail(ErrorKind::kTooLarge, "a storage key has " + std::to_string(key.size()) +
                                                " bytes; the limit is " +
                                                std::to_string(limits.key_bytes_max));
  }
  return {};
}

}  // namespace

void Histogram::add(uint64_t sample) {
  const size_t bucket = sample <= 1 ? 0 : static_cast<size_t>(std::bit_width(sample - 1));
  counts[std::min(bucket, kBuckets - 1)] += 1;
  count += 1;
  sum += sample;
}

Result<Revision> Store::commit_and_wait(Batch batch) {
  // Shared with the callback: the waiter may be gone before set_value has returned.
  auto promise = std::make_shared<std::promise<Result<Revision>>>();
  auto outcome = promise->get_future();
  commit(std::move(batch),
         [promise](Result<Revision> result) { promise->set_value(std::move(result)); });
  return outcome.get();
}

Result<void> check_batch(const Batch& batch, const Limits& limits) {
  const size_t ops = batch.conditions.size() + batch.puts.size() + batch.deletes.size();
  if (ops > limits.batch_ops_max) {
    return base::fail(ErrorKind::kTooLarge, "a commit has " + std::to_string(ops) +
                                                " operations; the limit is " +
                                                std::to_string(limits.batch_ops_max));
  }
  size_t bytes = 0;
  for (const Condition& condition : batch.conditions) {
    if (auto checked = check_key(condition.key, limits); !checked) return checked;
    bytes += condition.key.size();
  }
  for (const Put& put : batch.puts) {
    if (auto checked = check_key(put.key, limits); !checked) return checked;
    if (put.value.size() > limits.value_bytes_max) {
      return base::fail(ErrorKind::kTooLarge,
                        "a stored value has " + std::to_string(put.value.size()) +
                            " bytes; the limit is " + std::to_string(limits.value_bytes_max));
    }
    bytes += put.key.size() + put.value.size();
  }
  for (const std::string& key : batch.deletes) {
    if (auto checked = check_key(key, limits); !checked) return checked;
    bytes += key.size();
  }
  if (bytes > limits.batch_bytes_max) {
    return base::fail(ErrorKind::kTooLarge, "a commit has " + std::to_string(bytes) +
                                                " bytes; the limit is " +
                                                std::to_string(limits.batch_bytes_max));
  }
  if (has_duplicate(batch)) {
    return base::fail(ErrorKind::kInvalid, "a commit writes the same key twice");
  }
  return {};
}

}  // namespace rekey::storage
