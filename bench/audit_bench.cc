// rooms: base crypto audit
// What the record costs: an append, a group commit with 64 requests in flight, making a record,
// verifying a log. The folder is under TMPDIR: its disk is what is measured. Pin it to one core
// (taskset -c 0) to see what a server on one core would.
#include <benchmark/benchmark.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>

#include "audit/disk.h"
#include "audit/log.h"
#include "audit/record.h"
#include "audit/verify.h"

namespace rekey::audit {
namespace {

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);
constexpr size_t kTypicalEntryBytes = 650;

struct Folder {
  Folder() {
    const char* parent = ::getenv("TMPDIR");
    path = std::string(parent == nullptr ? "/tmp" : parent) + "/rekey-audit-bench-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) std::abort();
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

std::unique_ptr<Log> open_log(const std::string& directory) {
  base::SystemRandom random;
  Log::Options options;
  options.directory = directory;
  options.origin = "bench.test/log";
  auto log = Log::open(options, kClock, random, kNoLog);
  if (!log) std::abort();
  auto key = crypto::Ed25519PrivateKey::from_seed(
      base::SecretBytes::copy_of(std::string(crypto::kEd25519SeedBytes, 'b')));
  if (!key || !(*log)->set_signer(std::move(*key))) std::abort();
  return std::move(*log);
}

double process_cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& t) {
    return 1e6 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

// One loop with `range(0)` requests in flight: each is appended, waits for its commit, and is at
// once followed by another, as 64 busy connections of one io thread would do.
void group_commit(benchmark::State& state) {
  const Folder folder;
  std::unique_ptr<Log> log = open_log(folder.path);
  const size_t in_flight_max = static_cast<size_t>(state.range(0));
  log->set_group_target(static_cast<uint32_t>(std::max<size_t>(1, in_flight_max / 3)));
  std::mutex mutex;
  std::condition_variable progress;
  uint64_t durable = 0;
  log->add_listener([&](const Progress& now) {
    {
      std::lock_guard lock(mutex);
      durable = now.durable_size;
    }
    progress.notify_one();
  });
  const std::string entry(kTypicalEntryBytes, 'e');
  std::deque<base::Duration> waiting;  // when each was appended
  std::vector<double> latencies_us;
  uint64_t released = 0;
  const double cpu_before = process_cpu_us();
  for (auto _ : state) {
    while (waiting.size() < in_flight_max) {
      if (!log->append(entry)) state.SkipWithError("append refused");
      waiting.push_back(kClock.monotonic());
    }
    log->flush();  // the loop runs dry
    std::unique_lock lock(mutex);
    progress.wait(lock, [&] { return durable > released; });
    const uint64_t now_durable = durable;
    lock.unlock();
    const base::Duration now = kClock.monotonic();
    for (; released < now_durable; ++released) {
      latencies_us.push_back(static_cast<double>((now - waiting.front()).count()) / 1e3);
      waiting.pop_front();
    }
  }
  const double cpu = process_cpu_us() - cpu_before;
  const Health health = log->health();
  std::ranges::sort(latencies_us);
  const auto quantile = [&](double q) {
    return latencies_us[static_cast<size_t>(q * static_cast<double>(latencies_us.size() - 1))];
  };
  const double groups = static_cast<double>(health.groups);
  state.counters["appends/s"] =
      benchmark::Counter(static_cast<double>(released), benchmark::Counter::kIsRate);
  state.counters["p50_us"] = quantile(.5);
  state.counters["p99_us"] = quantile(.99);
  state.counters["p999_us"] = quantile(.999);
  state.counters["per_group"] = static_cast<double>(released) / groups;
  state.counters["cpu_us/group"] = cpu / groups;
  state.counters["cpu_us/append"] = cpu / static_cast<double>(released);
  state.counters["wal_MB"] = static_cast<double>(health.wal_bytes) / 1e6;
}
BENCHMARK(group_commit)->Arg(1)->Arg(16)->Arg(64)->Arg(256)->UseRealTime()->MinTime(3);

void make_record(benchmark::State& state) {
  const Hasher hasher(base::SecretBytes::copy_of(std::string(kHasherKeyBytes, 'k')));
  const std::vector<std::string> policies = {"default", "application-readers"};
  const std::string value(256, 'v');
  std::vector<RecordData::Field> fields(static_cast<size_t>(state.range(0)),
                                        {"data.password", value});
  RecordInput input;
  input.time = kClock.wall();
  input.request_id = "0b2f1c5e-6a34-4f5e-9c8b-1d2e3f405162";
  input.operation = "read";
  input.mount_path = "secret/";
  input.mount_type = "kv";
  input.mount_accessor = "kv_1a2b3c4d";
  input.path = "secret/data/team/service/key-0001";
  input.version = 1;
  input.entity_id = "8d0a5a9c-0000-4000-8000-000000000001";
  input.token = "hvs.0123456789abcdefghijklmn";
  input.token_accessor = "0123456789abcdefghijklmn";
  input.display_name = "approle-service";
  input.auth_mount = "auth/approle/";
  input.token_type = "service";
  input.policies = policies;
  input.deciding_rule = "application-readers: secret/data/team/*";
  input.remote_address = "10.1.2.3";
  input.remote_port = 40'000;
  input.user_agent = "hvac/1.0";
  input.response.fields = fields;
  input.response_bytes = 600;
  input.status = 200;
  input.store_revision = 123'456;
  input.duration_us = 50;
  std::string out;
  for (auto _ : state) {
    out.clear();
    append_record(input, &hasher, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK(make_record)->Arg(0)->Arg(1)->Arg(4);

// The same with the answer's own JSON: what a read of a secret pays.
void make_record_of_answer(benchmark::State& state) {
  const Hasher hasher(base::SecretBytes::copy_of(std::string(kHasherKeyBytes, 'k')));
  const std::string answer =
      R"({"data":{"password":")" + std::string(256, 'v') +
      R"("},"metadata":{"created_time":"2026-11-24T01:31:01.123456789Z","custom_metadata":null,)"
      R"("deletion_time":"","destroyed":false,"version":1}})";
  RecordInput input;
  input.path = "secret/data/team/service/key-0001";
  input.response.json_text = answer;
  std::string out;
  for (auto _ : state) {
    out.clear();
    append_record(input, &hasher, out);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(make_record_of_answer);

void verify(benchmark::State& state) {
  constexpr uint64_t kEntries = 500'000;
  const Folder folder;
  {
    std::unique_ptr<Log> log = open_log(folder.path);
    std::string entry(kTypicalEntryBytes, 'e');
    for (uint64_t i = 0; i < kEntries;) {
      entry.replace(0, 8, std::to_string(10'000'000 + i));
      if (log->append(entry))
        ++i;
      else
        log->flush();
    }
  }
  auto disk = open_posix_disk_for_reading(folder.path);
  for (auto _ : state) {
    VerifyOptions options;
    options.threads = static_cast<unsigned>(state.range(0));
    const auto report = verify_log(**disk, options);
    if (!report || !report->ok() || report->entries_checked != kEntries) {
      state.SkipWithError("the log doesn't verify");
    }
  }
  state.counters["entries/s"] =
      benchmark::Counter(static_cast<double>(kEntries) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(verify)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace rekey::audit
