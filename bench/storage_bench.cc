// rooms: base storage
// What the embedded store costs: commits a second alone and with company, reads a second in small
// and large stores, a page of a folder. The folder is under TMPDIR: its disk is what is measured.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/random.h"
#include "storage/lmdb_store.h"
#include "storage/testing/temporary_folder.h"

namespace rekey::storage {
namespace {

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);
constexpr size_t kValueBytes = 400;  // a secret of 256 bytes as the barrier stores it

std::string key_of(uint64_t number) {
  // Spread as the barrier's paths are: a mount, then folders of 1,000.
  return "logical/0123456789abcdef/" + std::to_string(number / 1'000) + "/" +
         std::to_string(number);
}

struct Filled {
  TemporaryFolder folder;
  std::unique_ptr<LmdbStore> store;
};

std::unique_ptr<Filled> filled_store(uint64_t keys) {
  auto filled = std::make_unique<Filled>();
  auto opened = LmdbStore::open({.folder = filled->folder.path()}, kClock, kNoLog);
  if (!opened) return nullptr;
  filled->store = std::move(*opened);
  for (uint64_t from = 0; from < keys;) {
    Batch batch;
    for (int i = 0; i < 10'000 && from < keys; ++i, ++from) {
      batch.puts.push_back({key_of(from), std::string(kValueBytes, 'v')});
    }
    if (!filled->store->commit_and_wait(std::move(batch))) return nullptr;
  }
  return filled;
}

// `range(0)` batches are in flight all the time, each of one condition and two puts.
void commits(benchmark::State& state) {
  const auto filled = filled_store(10'000);
  base::SeededRandom random(1);
  const auto in_flight = static_cast<int>(state.range(0));
  std::mutex mutex;
  std::condition_variable changed;
  int free = in_flight;
  uint64_t failed = 0;
  for (auto _ : state) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return free > 0; });
    free -= 1;
    lock.unlock();
    const uint64_t number = random.number() % 10'000;
    filled->store->commit({.conditions = {{"never/there", 0}},
                           .puts = {{key_of(number), std::string(kValueBytes, 'w')},
                                    {key_of(number) + "/metadata", std::string(kValueBytes, 'm')}}},
                          [&](Result<Revision> outcome) {
                            const std::lock_guard guard(mutex);
                            free += 1;
                            failed += outcome ? 0 : 1;
                            changed.notify_one();
                          });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return free == in_flight; });
  const Health health = filled->store->health();
  state.SetItemsProcessed(state.iterations());
  state.counters["failed"] = static_cast<double>(failed);
  state.counters["batches_per_sync"] =
      static_cast<double>(health.batches_per_sync.sum) / health.batches_per_sync.count;
  state.counters["sync_us"] = health.sync_ns.sum / 1e3 / health.sync_ns.count;
}
BENCHMARK(commits)->Arg(1)->Arg(64)->UseRealTime();

// The disk alone, for comparison: overwrite 4 KiB and fdatasync.
void fdatasync_alone(benchmark::State& state) {
  const TemporaryFolder folder;
  const UniqueFd fd(::open((folder.path() + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const std::string page(4'096, 'x');
  bool well = true;
  for (auto _ : state) {
    well = well && ::pwrite(fd.get(), page.data(), page.size(), 0) == 4'096 &&
           ::fdatasync(fd.get()) == 0;
  }
  if (!well) state.SkipWithError("writing failed");
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(fdatasync_alone)->UseRealTime();

// Reads in one snapshot of `range(0)` keys.
void gets(benchmark::State& state) {
  const auto filled = filled_store(state.range(0));
  auto reader = filled->store->open_reader();
  base::SeededRandom random(2);
  uint64_t missing = 0;
  for (auto _ : state) {
    const auto item = (*reader)->get(key_of(random.number() % state.range(0)));
    if (!item || !*item) missing += 1;
    benchmark::DoNotOptimize(item);
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["missing"] = static_cast<double>(missing);
}
BENCHMARK(gets)->Arg(1'000)->Arg(10'000)->Arg(1'000'000);

// Going on to a new snapshot (release makes refresh renew it) and one read there.
void refresh_and_get(benchmark::State& state) {
  const auto filled = filled_store(10'000);
  auto reader = filled->store->open_reader();
  base::SeededRandom random(3);
  for (auto _ : state) {
    (*reader)->release();
    if (!(*reader)->refresh()) state.SkipWithError("refresh failed");
    benchmark::DoNotOptimize((*reader)->get(key_of(random.number() % 10'000)));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(refresh_and_get);

// A page of 100 names in a folder of 1,000.
void lists(benchmark::State& state) {
  const auto filled = filled_store(state.range(0));
  auto reader = filled->store->open_reader();
  base::SeededRandom random(4);
  for (auto _ : state) {
    const uint64_t folder = random.number() % (state.range(0) / 1'000);
    benchmark::DoNotOptimize(
        (*reader)->list("logical/0123456789abcdef/" + std::to_string(folder) + "/",
                        std::to_string(folder * 1'000 + 500), 100));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(lists)->Arg(10'000)->Arg(1'000'000);

}  // namespace
}  // namespace rekey::storage
