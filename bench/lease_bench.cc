// rooms: lease
// What a thousand and a million leases cost: registering one, revoking a prefix, moving what is
// due, opening a store that holds them. The figures of the two sizes stand side by side; what
// matters is their ratio.
#include <benchmark/benchmark.h>

#include <memory>

#include "barrier/keyring.h"
#include "base/check.h"
#include "base/log.h"
#include "lease/lease_store.h"
#include "storage/lmdb_store.h"
#include "storage/testing/temporary_folder.h"

namespace {

using rekey::lease::Lease;
using rekey::lease::LeaseStore;
namespace base = rekey::base;
namespace barrier = rekey::barrier;
namespace storage = rekey::storage;

constexpr size_t kAtOnce = 1000;  // leases written in one commit while filling

// A store on disk with so many leases of a hundred roles; made once for each size.
struct Filled {
  explicit Filled(size_t count) {
    keyring->extend_reserve(1'000'000'000);
    open();
    for (size_t from = 0; from < count; from += kAtOnce) {
      write([&](barrier::Txn& txn) {
        LeaseStore leases(txn);
        for (size_t i = from; i < std::min(count, from + kAtOnce); i++) {
          REKEY_CHECK(leases.add(make("db/creds/r" + std::to_string(i % 100))).has_value());
        }
      });
    }
  }
  void open() {
    auto opened = storage::LmdbStore::open({.folder = folder.path()}, clock, log);
    REKEY_CHECK(opened.has_value());
    store = std::move(*opened);
  }
  Lease make(const std::string& path, int64_t ttl_s = 3600) {
    Lease lease;
    lease.path = path;
    lease.id = path + "/" + random.base62(rekey::lease::kIdChars);
    lease.mount_uuid = "8d4a9f2c-0000-4000-8000-000000000000";
    lease.mount_accessor = "database_1a2b3c4d";
    lease.role = "app";
    lease.target = "db";
    lease.data = R"({"username":"v-token-app-0123456789-1790000000","config":"db"})";
    lease.holder.id = random.base62(32);
    lease.holder.hash = random.bytes(32);
    lease.issued_s = rekey::lease::seconds_of(clock.wall());
    lease.expires_s = lease.issued_s + ttl_s;
    lease.issued_at = 1;
    return lease;
  }
  template <class Work>
  void write(Work work) {
    auto reader = store->open_reader();
    REKEY_CHECK(reader.has_value());
    barrier::Txn txn(**reader, *keyring, random);
    work(txn);
    REKEY_CHECK(store->commit_and_wait(*txn.take_batch()).has_value());
  }

  storage::TemporaryFolder folder;
  base::SystemClock clock;
  base::SystemRandom random;
  base::Log log{clock, -1};
  std::shared_ptr<const barrier::Keyring> keyring =
      barrier::Keyring::generate(random, clock.wall());
  std::unique_ptr<storage::Store> store;
};

Filled& filled(int64_t count) {
  static std::map<int64_t, std::unique_ptr<Filled>> made;
  auto& one = made[count];
  if (one == nullptr) one = std::make_unique<Filled>(static_cast<size_t>(count));
  return *one;
}

void open_store(benchmark::State& state) {
  Filled& with = filled(state.range(0));
  for (auto _ : state) {
    with.store.reset();
    with.open();
  }
}

void register_one(benchmark::State& state) {
  Filled& with = filled(state.range(0));
  for (auto _ : state) {
    with.write([&](barrier::Txn& txn) {
      REKEY_CHECK(LeaseStore(txn).add(with.make("db/creds/new")).has_value());
    });
  }
}

// Until it is in force.
void revoke_prefix(benchmark::State& state) {
  Filled& with = filled(state.range(0));
  for (auto _ : state) {
    with.write([&](barrier::Txn& txn) { LeaseStore(txn).cut_prefix("db/creds/r7/"); });
    auto reader = with.store->open_reader();
    barrier::Txn txn(**reader, *with.keyring, with.random);
    auto cutoffs = rekey::identity::CutoffTable::load(**reader, txn);
    REKEY_CHECK(cutoffs.has_value());
    benchmark::DoNotOptimize(cutoffs->empty());
  }
}

// A hundred leases that end while the others go on.
void expire_hundred(benchmark::State& state) {
  Filled& with = filled(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    with.write([&](barrier::Txn& txn) {
      for (int i = 0; i < 100; i++) {
        REKEY_CHECK(LeaseStore(txn).add(with.make("db/creds/short", 0)).has_value());
      }
    });
    state.ResumeTiming();
    auto reader = with.store->open_reader();
    barrier::Txn txn(**reader, *with.keyring, with.random);
    REKEY_CHECK(rekey::lease::sweep_due({**reader, txn, with.clock.wall(), 250}).has_value());
    REKEY_CHECK(with.store->commit_and_wait(*txn.take_batch()).has_value());
  }
}

BENCHMARK(open_store)->Arg(1000)->Arg(1'000'000)->Unit(benchmark::kMicrosecond)->Iterations(20);
BENCHMARK(register_one)->Arg(1000)->Arg(1'000'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(revoke_prefix)->Arg(1000)->Arg(1'000'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(expire_hundred)->Arg(1000)->Arg(1'000'000)->Unit(benchmark::kMicrosecond)->Iterations(20);

}  // namespace
