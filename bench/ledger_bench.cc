// rooms: barrier base storage
// What the barrier's ledger costs: a row's check, a group of commits, and a start with all of it.
#include <benchmark/benchmark.h>

#include <map>

#include "barrier/keyring.h"
#include "barrier/ledger.h"
#include "base/random.h"

namespace rekey::barrier {
namespace {

std::string key_of(uint64_t number) {
  return "m/9179931c-b952-7cbb-2727-5c78e3a3f58e/v/app" + std::to_string(number) + "/1";
}

// The rows of the ring and nothing else.
class RingReader final : public storage::Reader {
 public:
  base::Result<void> refresh() override { return {}; }
  void release() override {}
  storage::Revision revision() const override { return revision_; }
  base::Result<std::optional<storage::Item>> get(std::string_view key) override {
    const auto row = rows_.find(key);
    if (row == rows_.end()) return std::nullopt;
    return storage::Item{row->second, revision_};
  }
  base::Result<std::vector<std::string>> list(std::string_view, std::string_view, size_t) override {
    return std::vector<std::string>();
  }
  base::Result<std::vector<std::string>> scan(std::string_view, std::string_view, size_t) override {
    return std::vector<std::string>{rows_.begin()->first};
  }
  base::Result<uint64_t> rows() override { return rows_.size(); }

  std::map<std::string, std::string, std::less<>> rows_;
  storage::Revision revision_ = 0;
};

struct Filled {
  base::SystemRandom random;
  std::shared_ptr<const Keyring> keyring = Keyring::generate(random, {});
  Ledger ledger{keyring->derive("ledger")};
  RingReader ring;

  explicit Filled(uint64_t rows) {
    for (uint64_t from = 0; from < rows; from += 30'000) {
      storage::Batch batch;
      for (uint64_t i = from; i < std::min(rows, from + 30'000); i++) batch.puts.push_back(row(i));
      commit({&batch});
    }
  }
  static storage::Put row(uint64_t number) {
    return {.key = key_of(number), .value = "\1" + std::to_string(number) + std::string(40, 'v')};
  }
  void commit(std::vector<const storage::Batch*> batches) {
    const storage::Revision after = ring.revision_ + batches.size();
    auto puts = ledger.begin({ring.revision_, after, std::move(batches)}, *keyring, random);
    if (!puts) std::abort();
    for (storage::Put& put : *puts) ring.rows_[put.key] = std::move(put.value);
    ring.revision_ = after;
    ledger.end(true);
  }
};

Filled& filled(uint64_t rows) {
  static std::map<uint64_t, std::unique_ptr<Filled>> made;
  auto& one = made[rows];
  if (one == nullptr) one = std::make_unique<Filled>(rows);
  return *one;
}

void check(benchmark::State& state) {
  const auto rows = static_cast<uint64_t>(state.range(0));
  Filled& with = filled(rows);
  std::vector<storage::Put> asked;
  for (uint64_t i = 0; i < 4'096; i++) {
    asked.push_back(Filled::row((i * 7'919'777) % rows));
  }
  size_t i = 0;
  for (auto _ : state) {
    const storage::Put& put = asked[i++ % asked.size()];
    if (!with.ledger.check(put.key, put.value, with.ring.revision_)) std::abort();
  }
  state.counters["bytes/row"] =
      static_cast<double>(with.ledger.status().bytes) / static_cast<double>(rows);
}
BENCHMARK(check)->Arg(10'000)->Arg(6'000'000);

// Thirty batches of two rows in one group.
void group(benchmark::State& state) {
  const auto rows = static_cast<uint64_t>(state.range(0));
  Filled& with = filled(rows);
  uint64_t next = 1;
  for (auto _ : state) {
    std::vector<storage::Batch> batches(30);
    std::vector<const storage::Batch*> group;
    for (storage::Batch& batch : batches) {
      next = (next + 7'919'777) % (rows - 1);
      batch.puts = {Filled::row(next), Filled::row(next + 1)};
      group.push_back(&batch);
    }
    with.commit(std::move(group));
  }
}
BENCHMARK(group)->Arg(10'000)->Arg(6'000'000)->Unit(benchmark::kMicrosecond);

void load(benchmark::State& state) {
  Filled& with = filled(static_cast<uint64_t>(state.range(0)));
  for (auto _ : state) {
    Ledger ledger(with.keyring->derive("ledger"));
    if (!ledger.load(with.ring, *with.keyring, 0)) std::abort();
  }
}
BENCHMARK(load)->Arg(10'000)->Arg(6'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace rekey::barrier
