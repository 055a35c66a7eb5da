// rooms: base crypto audit
// What the record's index and its verification cost: makes a log of synthetic reads (10,000
// secrets, 1,000 identities, a thousand reads a second of made-up time), then measures the rebuild
// of the index, verification and queries. usage: audit_query_bench [--entries N] [--folder DIR]
// [--threads N]
//   A folder that holds such a log already is taken as it is. 650 MB a million entries.
#include <stdlib.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <numeric>

#include "audit/index.h"
#include "audit/record.h"
#include "audit/verify.h"

namespace rekey::audit {
namespace {

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);
constexpr base::WallTime kStart{std::chrono::seconds(1'790'000'000)};
constexpr uint64_t kPaths = 10'000, kIdentities = 1'000;

struct Arguments {
  uint64_t entries = 1'000'000;
  std::string folder;
  unsigned threads = 2;
};

double seconds_since(base::Duration start) {
  return std::chrono::duration<double>(kClock.monotonic() - start).count();
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto s = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return s(usage.ru_utime) + s(usage.ru_stime);
}

std::string path_of(uint64_t n) {
  return "secret/data/team-" + std::to_string(n % 50) + "/key-" + std::to_string(n);
}

// Entry i, as a read of a KV secret leaves it.
void make_entry(uint64_t i, base::Random& random, const Hasher& hasher, std::string& out) {
  static const std::vector<std::string> kPolicies = {"default", "application-readers"};
  const uint64_t n = random.number() % kPaths, who = random.number() % kIdentities;
  const std::string path = path_of(n), password = "password-" + std::to_string(n);
  const std::string entity = "8d0a5a9c-0000-4000-8000-" + std::to_string(100'000'000'000 + who);
  const std::string accessor = "accessor0123456789" + std::to_string(100'000 + who);
  const std::string address = "10.1." + std::to_string(who / 250) + "." + std::to_string(who % 250);
  const std::string created = "2026-11-24T01:31:01." + std::to_string(100'000 + n) + "Z";
  const RecordData::Field fields[] = {{"data.password", password},
                                      {"metadata.created_time", created},
                                      {"metadata.deletion_time", ""},
                                      {"metadata.destroyed", "false"},
                                      {"metadata.version", "1"}};
  RecordInput input;
  input.time = kStart + std::chrono::milliseconds(i);
  input.request_id = "0b2f1c5e-6a34-4f5e-9c8b-1d2e3f405162";
  input.operation = "read";
  input.mount_path = "secret/";
  input.mount_type = "kv";
  input.path = path;
  input.entity_id = entity;
  input.token = accessor;
  input.token_accessor = accessor;
  input.display_name = "approle-service";
  input.auth_mount = "auth/approle/login";
  input.token_type = "service";
  input.policies = kPolicies;
  input.deciding_rule = "application-readers secret/data/*";
  input.remote_address = address;
  input.user_agent = "hvac/1.0";
  input.response.fields = fields;
  input.status = i % 10'000 == 17 ? 403 : 200;
  out.clear();
  append_record(input, &hasher, out);
}

bool make_log(const Arguments& arguments, const Hasher& hasher) {
  base::SystemRandom system_random;
  base::SeededRandom random(1);
  Log::Options options;
  options.directory = arguments.folder;
  options.origin = "bench.test/log";
  auto log = Log::open(options, kClock, system_random, kNoLog);
  if (!log) return false;
  auto key = crypto::Ed25519PrivateKey::from_seed(
      base::SecretBytes::copy_of(std::string(crypto::kEd25519SeedBytes, 'b')));
  if (!key || !(*log)->set_signer(std::move(*key))) return false;
  const base::Duration start = kClock.monotonic();
  std::string entry;
  for (uint64_t i = (*log)->durable_size(); i < arguments.entries;) {
    make_entry(i, random, hasher, entry);
    while (!(*log)->append(entry)) (*log)->flush();
    ++i;
  }
  if (!(*log)->wait_durable(arguments.entries) || !(*log)->checkpoint_now()) return false;
  (*log)->close();
  std::printf("made %llu entries in %.1f s\n", static_cast<unsigned long long>(arguments.entries),
              seconds_since(start));
  return true;
}

void report_rate(const char* what, uint64_t entries, base::Duration start, double cpu_start) {
  const double wall = seconds_since(start), cpu = cpu_seconds() - cpu_start;
  std::printf("%-26s %9.0f entries/s, %5.2f us of CPU an entry (%.2f s)\n", what,
              static_cast<double>(entries) / wall, 1e6 * cpu / static_cast<double>(entries), wall);
}

// Asks 30 different questions; prints the median and the slowest, and what they read.
void measure(const char* what, const EntrySource& source, IndexStore& index,
             const std::function<Query(uint64_t n)>& make) {
  std::vector<double> times_ms;
  uint64_t found = 0, blocks = 0;
  const double cpu_start = cpu_seconds();
  for (uint64_t n = 0; n < 30; ++n) {
    const Query query = make(n);
    const base::Duration start = kClock.monotonic();
    const auto result = run_query(query, source, &index);
    times_ms.push_back(1e3 * seconds_since(start));
    if (!result || !result->problems.empty()) std::printf("%s: failed\n", what);
    if (result) found += result->matches.size(), blocks += result->blocks_read;
  }
  std::ranges::sort(times_ms);
  std::printf("%-38s %7.2f ms, slowest %7.2f ms, %6.2f ms of CPU (%llu entries, %llu blocks)\n",
              what, times_ms[times_ms.size() / 2], times_ms.back(),
              1e3 * (cpu_seconds() - cpu_start) / 30, static_cast<unsigned long long>(found / 30),
              static_cast<unsigned long long>(blocks / 30));
}

void measure_queries(const Arguments& arguments, const Hasher& hasher) {
  auto source = FolderSource::open(arguments.folder);
  auto index = open_index_for_reading(arguments.folder, **source, kNoLog);
  const auto window = [&](Query& query, uint64_t n) {
    const auto length = std::chrono::milliseconds(arguments.entries);
    query.from = kStart + length * (n % 10) / 12;
    query.to = *query.from + std::min<base::Duration>(std::chrono::hours(1), length / 6);
  };
  measure("a path in a window, newest 100", **source, *index, [&](uint64_t n) {
    Query query;
    query.path = path_of(n * 331 % kPaths);
    window(query, n);
    return query;
  });
  measure("an identity in a window, newest 100", **source, *index, [&](uint64_t n) {
    Query query;
    query.identity =
        "8d0a5a9c-0000-4000-8000-" + std::to_string(100'000'000'000 + n * 31 % kIdentities);
    window(query, n);
    return query;
  });
  measure("an identity and a path, all times", **source, *index, [&](uint64_t n) {
    Query query;
    query.path = path_of(n * 331 % kPaths);
    query.identity =
        "8d0a5a9c-0000-4000-8000-" + std::to_string(100'000'000'000 + n * 31 % kIdentities);
    return query;
  });
  measure("a value, newest 100", **source, *index, [&](uint64_t n) {
    Query query;
    (void)set_value_hash(query, hasher.hash("password-" + std::to_string(n * 331 % kPaths)));
    return query;
  });
  measure("a value that was never read", **source, *index, [&](uint64_t n) {
    Query query;
    (void)set_value_hash(query, hasher.hash("never-" + std::to_string(n)));
    return query;
  });
  measure("denied, newest 100", **source, *index, [&](uint64_t) {
    Query query;
    query.denied = true;
    return query;
  });
  measure("paths that begin so, in a window", **source, *index, [&](uint64_t n) {
    Query query;
    set_path(query, "secret/data/team-" + std::to_string(n) + "/*");
    window(query, n);
    return query;
  });
}

int run(Arguments arguments) {
  const Hasher hasher(base::SecretBytes::copy_of(std::string(kHasherKeyBytes, 'k')));
  std::string made;
  if (arguments.folder.empty()) {
    const char* parent = ::getenv("TMPDIR");
    made = std::string(parent == nullptr ? "/tmp" : parent) + "/rekey-audit-query-XXXXXX";
    if (::mkdtemp(made.data()) == nullptr) return 1;
    arguments.folder = made;
  }
  if (!make_log(arguments, hasher)) {
    std::printf("the log can't be made in %s\n", arguments.folder.c_str());
    return 1;
  }
  base::Duration start = kClock.monotonic();
  double cpu = cpu_seconds();
  const auto indexed = rebuild_index(arguments.folder, kNoLog, {});
  if (!indexed) std::printf("%s\n", indexed.error().describe().c_str());
  report_rate("rebuild of the index", indexed.value_or(1), start, cpu);
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(arguments.folder + "/index")) {
    bytes += file.file_size();
  }
  std::printf("%-26s %9.1f bytes an entry\n", "index",
              static_cast<double>(bytes) / static_cast<double>(indexed.value_or(1)));
  measure_queries(arguments, hasher);
  auto disk = open_posix_disk_for_reading(arguments.folder);
  start = kClock.monotonic();
  cpu = cpu_seconds();
  VerifyOptions options;
  options.threads = arguments.threads;
  const auto report = verify_log(**disk, options);
  if (!report || !report->ok()) std::printf("the log doesn't verify\n");
  report_rate("verify", arguments.entries, start, cpu);
  if (!made.empty()) std::filesystem::remove_all(made);
  return 0;
}

}  // namespace
}  // namespace rekey::audit

int main(int count, char** words) {
  rekey::audit::Arguments arguments;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view name = words[i], value = words[i + 1];
    uint64_t number = 0;
    std::from_chars(value.data(), value.data() + value.size(), number);
    if (name == "--entries") arguments.entries = number;
    if (name == "--threads") arguments.threads = static_cast<unsigned>(number);
    if (name == "--folder") arguments.folder = value;
  }
  return rekey::audit::run(arguments);
}
