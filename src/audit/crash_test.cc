// What the log keeps when the process, the power or the disk goes: invariants 1 and 5 of the
// design.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "audit/log.h"
#include "audit/testing/fault_disk.h"
#include "audit/tiles.h"
#include "audit/verify.h"
#include "audit/wal.h"
#include "base/codec.h"

namespace rekey::audit {
namespace {

using base::ErrorKind;

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);

std::string entry_text(uint64_t index) {
  return "{\"entry\":" + std::to_string(index) + std::string(index * 37 % 900, 'x') + "}";
}

crypto::Ed25519PrivateKey test_key() {
  return *crypto::Ed25519PrivateKey::from_seed(base::SecretBytes::copy_of(std::string(32, 'k')));
}

Log::Options small_options() {
  Log::Options options;
  options.origin = "rekey.test/crash";
  options.group_bytes_max = 80 * 1024;
  options.wal_segment_bytes = 128 * 1024;
  options.retry_interval = std::chrono::milliseconds(1);
  return options;
}

std::unique_ptr<Log> open_on(FaultDisk& disk) {
  base::SystemRandom random;
  auto log = Log::open_on(disk.handle(), small_options(), kClock, random, kNoLog);
  return log ? std::move(*log) : nullptr;
}

// What the outside world was told: to be held against the log after a fault.
struct Acknowledged {
  std::vector<std::string> entries;      // by index, as far as they are durable
  std::vector<std::string> checkpoints;  // signed notes
  std::vector<std::string> sent;         // by index, acknowledged or not
};

// Appends in groups and takes checkpoints until `entries` are durable or the disk gives up for
// good.
void use_log(Log& log, uint64_t entries, Acknowledged& told) {
  (void)log.set_signer(test_key());
  log.set_group_target(5);
  std::vector<std::string>& sent = told.sent;
  while (told.entries.size() < entries) {
    for (int i = 0; i < 7; ++i) {
      const std::string text = entry_text(sent.size());
      const auto index = log.append(text, sent.size());
      if (!index) break;
      sent.resize(*index + 1);
      sent[*index] = text;
    }
    const auto durable = log.wait_durable(sent.size());
    for (uint64_t i = told.entries.size(); i < log.durable_size() && i < sent.size(); ++i) {
      told.entries.push_back(sent[i]);
    }
    if (!durable) return;
    if (sent.size() % 3 == 0) {
      const auto checkpoint = log.checkpoint_now();
      if (checkpoint) told.checkpoints.push_back(checkpoint->note);
    }
  }
}

// As the fault left it, before anybody repairs anything: what was signed can be proven.
void expect_verifies(FaultDisk& disk, const Acknowledged& told, const std::string& when) {
  VerifyOptions options;
  options.kept_checkpoints = told.checkpoints;
  options.threads = 1;
  const auto report = verify_log(*disk.handle(), options);
  ASSERT_TRUE(report) << when;
  for (const VerifyFinding& finding : report->findings) {
    // Before the first one was signed there is none: the next unsealing makes it.
    if (finding.place == kCheckpointPath && told.checkpoints.empty()) continue;
    ADD_FAILURE() << when << ", as it was left: " << finding.place << " " << finding.problem;
  }
  const uint64_t size = report->size + report->entries_behind_checkpoint;
  EXPECT_GE(size, told.entries.size()) << when;
}

// Everything that was told is there, and the log is a good one that can be used.
void expect_kept(FaultDisk& disk, const Acknowledged& told, const std::string& when) {
  auto log = open_on(disk);
  ASSERT_TRUE(log) << when;
  const Health health = log->health();
  ASSERT_FALSE(health.damaged) << when << ": " << health.reason;
  ASSERT_GE(log->durable_size(), told.entries.size()) << when;
  const auto read = log->read(0, told.entries.size(), [&](uint64_t index, std::string_view entry) {
    EXPECT_EQ(entry, told.entries[index]) << when << ", entry " << index;
    return true;
  });
  ASSERT_TRUE(read) << when << ": " << read.error().describe();
  ASSERT_EQ(*read, told.entries.size()) << when;
  ASSERT_TRUE(log->set_signer(test_key())) << when;
  const auto index = log->append("{\"after\":true}");
  ASSERT_TRUE(index) << when;
  ASSERT_TRUE(log->wait_durable(*index + 1)) << when;
  ASSERT_TRUE(log->checkpoint_now()) << when;
  log->close();
  VerifyOptions options;
  options.kept_checkpoints = told.checkpoints;
  options.threads = 1;
  const auto report = verify_log(*disk.handle(), options);
  ASSERT_TRUE(report) << when;
  for (const VerifyFinding& finding : report->findings) {
    ADD_FAILURE() << when << ": " << finding.place << " " << finding.problem;
  }
  EXPECT_EQ(report->entries_checked, *index + 1) << when;
}

uint64_t operations_of_a_run() {
  auto disk = std::make_shared<FaultDisk>(1);
  disk->die_at(0);
  auto log = open_on(*disk);
  Acknowledged told;
  use_log(*log, 600, told);
  log->close();
  return disk->operations();
}

TEST(Crash, PowerLossAtEveryOperation) {
  const uint64_t operations = operations_of_a_run();
  ASSERT_GT(operations, 100u);
  for (uint64_t at = 1; at <= operations; ++at) {
    auto disk = std::make_shared<FaultDisk>(1000 + at);
    disk->die_at(at);
    Acknowledged told;
    {
      auto log = open_on(*disk);
      if (log) use_log(*log, 600, told);
    }
    disk->lose_power();
    expect_verifies(*disk, told, "power lost at operation " + std::to_string(at));
    expect_kept(*disk, told, "power lost at operation " + std::to_string(at));
    if (HasFailure()) return;
  }
}

// Again at each operation of the recovery and the first checkpoint after it, which write tiles that
// an earlier checkpoint was signed over.
TEST(Crash, PowerLossAtEveryOperationOfARecovery) {
  auto first = std::make_shared<FaultDisk>(77);
  Acknowledged before;
  {
    auto log = open_on(*first);
    use_log(*log, 560, before);
    first->die_at(1);  // the next to write ends it: nothing is tidied up
  }
  first->restart();
  const auto files = first->files();
  uint64_t operations = UINT64_MAX;
  for (uint64_t at = 1; at <= operations; ++at) {
    auto disk = std::make_shared<FaultDisk>(2000 + at);
    for (const auto& [path, bytes] : files) disk->set_file(path, bytes);
    disk->die_at(at);
    Acknowledged told = before;
    {
      auto log = open_on(*disk);
      if (log) use_log(*log, told.entries.size() + 8, told);
    }
    if (!disk->dead()) operations = at;
    disk->lose_power();
    expect_verifies(*disk, told, "power lost again at operation " + std::to_string(at));
    expect_kept(*disk, told, "power lost again at operation " + std::to_string(at));
    if (HasFailure()) return;
  }
  EXPECT_GT(operations, 10u);
}

TEST(Crash, ProcessKilledAtEveryOperation) {
  const uint64_t operations = operations_of_a_run();
  for (uint64_t at = 1; at <= operations; ++at) {
    auto disk = std::make_shared<FaultDisk>(5000 + at);
    disk->die_at(at);
    Acknowledged told;
    {
      auto log = open_on(*disk);
      if (log) use_log(*log, 600, told);
    }
    disk->restart();
    expect_verifies(*disk, told, "killed at operation " + std::to_string(at));
    expect_kept(*disk, told, "killed at operation " + std::to_string(at));
    if (HasFailure()) return;
  }
}

// The disk fails for a while: requests are refused, the log goes on when it works again.
TEST(Crash, DiskFailsAtEveryOperationForAWhile) {
  const uint64_t operations = operations_of_a_run();
  for (uint64_t at = 4; at <= operations; ++at) {
    auto disk = std::make_shared<FaultDisk>(9000 + at);
    auto log = open_on(*disk);
    ASSERT_TRUE(log);
    disk->fail_between(at, at + 4);
    Acknowledged told;
    // A sync that failed leaves the publisher stuck until a restart, which is a part of the
    // contract.
    for (int attempt = 0; attempt < 50 && told.entries.size() < 300; ++attempt) {
      use_log(*log, 300, told);
      if (told.entries.size() < 300) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_GE(told.entries.size(), 300u) << "failing at " << at << ": " << log->health().reason;
    log->close();
    disk->lose_power();
    expect_kept(*disk, told, "disk failed at operation " + std::to_string(at));
    if (HasFatalFailure()) return;
  }
}

TEST(Crash, UnwritableRefusesAndSaysWhy) {
  auto disk = std::make_shared<FaultDisk>(3);
  auto log = open_on(*disk);
  ASSERT_TRUE(log->append("{}"));
  ASSERT_TRUE(log->wait_durable(1));
  std::atomic<uint64_t> failed{0}, durable{0};
  log->add_listener([&](const Progress& progress) {
    failed = progress.failed_size;
    durable = progress.durable_size;
  });
  disk->fail_between(1, 1'000'000);
  ASSERT_TRUE(log->append("{\"lost\":1}"));
  EXPECT_EQ(log->wait_durable(2).error().kind(), ErrorKind::kUnavailable);
  while (failed == 0) std::this_thread::yield();
  EXPECT_EQ(failed, 2u);
  EXPECT_EQ(durable, 1u);
  const auto refused = log->append("{\"refused\":1}");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
  EXPECT_FALSE(log->health().writable);
  EXPECT_NE(log->health().reason.find("injected fault"), std::string::npos);
  disk->fail_between(0, 0);
  while (!log->health().writable) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ASSERT_EQ(*log->append("{\"again\":1}"), 2u);
  ASSERT_TRUE(log->wait_durable(3));
  while (log->readable_size() < 3) std::this_thread::yield();
  EXPECT_EQ(*log->entry(1), "{\"lost\":1}");  // refused then, but its place was given away
  EXPECT_EQ(*log->entry(2), "{\"again\":1}");
}

// --- the write-ahead log's tail, byte by byte ---

struct TailFixture {
  std::map<std::string, std::string> files;  // after the last group
  size_t last_group_at = 0;                  // in wal/0
  size_t last_group_bytes = 0;
};

TailFixture two_groups() {
  auto disk = std::make_shared<FaultDisk>(1);
  Log::Options options = small_options();
  base::SystemRandom random;
  auto log = *Log::open_on(disk->handle(), options, kClock, random, kNoLog);
  log->set_group_target(10);
  for (uint64_t i = 0; i < 10; ++i) EXPECT_TRUE(log->append(entry_text(i)));
  EXPECT_TRUE(log->wait_durable(10));
  const std::string before = disk->files().at("wal/0");
  log->set_group_target(4);
  for (uint64_t i = 10; i < 14; ++i) EXPECT_TRUE(log->append(entry_text(i)));
  EXPECT_TRUE(log->wait_durable(14));
  log->close();
  TailFixture out{.files = disk->files()};
  const std::string& after = out.files.at("wal/0");
  while (before[out.last_group_at] == after[out.last_group_at]) ++out.last_group_at;
  EXPECT_EQ(out.last_group_at % kBlockBytes, 0u);
  size_t end = after.size();
  while (before[end - 1] == after[end - 1]) --end;
  out.last_group_bytes = end - out.last_group_at;
  return out;
}

// Opens a copy in which wal/0 is `wal`; gives the number of entries kept, or -1 if it is damaged.
int64_t entries_with_wal(const TailFixture& fixture, const std::string& wal) {
  auto disk = std::make_shared<FaultDisk>(2);
  for (const auto& [path, bytes] : fixture.files) disk->set_file(path, bytes);
  disk->set_file("wal/0", wal);
  Log::Options options = small_options();
  options.stepped = true;  // opened some thousand times: without threads
  base::SeededRandom random(3);
  auto opened = Log::open_on(disk->handle(), options, kClock, random, kNoLog);
  if (!opened) return -2;
  const std::unique_ptr<Log> log = std::move(*opened);
  if (log->health().damaged) return -1;
  const uint64_t kept = log->durable_size();
  for (uint64_t i = 0; i < kept; ++i) EXPECT_EQ(*log->entry(i), entry_text(i));
  EXPECT_TRUE(log->append("{\"more\":1}"));
  EXPECT_TRUE(log->wait_durable(kept + 1));
  return static_cast<int64_t>(kept);
}

TEST(Crash, TornTailIsCutAtEveryByte) {
  const TailFixture fixture = two_groups();
  const std::string& wal = fixture.files.at("wal/0");
  ASSERT_GT(fixture.last_group_bytes, kGroupHeaderBytes);
  EXPECT_EQ(entries_with_wal(fixture, wal), 14);
  for (size_t i = 0; i < fixture.last_group_bytes; ++i) {
    std::string cut = wal;
    std::fill(cut.begin() + static_cast<ptrdiff_t>(fixture.last_group_at + i), cut.end(), '\0');
    EXPECT_EQ(entries_with_wal(fixture, cut), 10) << "cut at byte " << i;
    std::string flipped = wal;
    flipped[fixture.last_group_at + i] =
        static_cast<char>(flipped[fixture.last_group_at + i] ^ 0x20);
    // With another sequence number it looks like a later group, which no torn write does: damage.
    const bool in_sequence = i >= 8 && i < 16;
    EXPECT_EQ(entries_with_wal(fixture, flipped), in_sequence ? -1 : 10) << "flipped byte " << i;
  }
}

TEST(Crash, DamageBeforeTheTailIsNotCut) {
  const TailFixture fixture = two_groups();
  for (size_t at = kBlockBytes; at < kBlockBytes + kGroupHeaderBytes + 60; ++at) {
    std::string flipped = fixture.files.at("wal/0");
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_EQ(entries_with_wal(fixture, flipped), -1) << "flipped byte " << at;
  }
  std::string header = fixture.files.at("wal/0");
  header[20] = static_cast<char>(header[20] ^ 1);
  EXPECT_EQ(entries_with_wal(fixture, header), -1);
}

// --- what was signed ---

TEST(Crash, TruncationBelowACheckpointIsShown) {
  auto disk = std::make_shared<FaultDisk>(1);
  Acknowledged told;
  {
    auto log = open_on(*disk);
    use_log(*log, 40, told);
  }
  const auto older = disk->files();
  {
    auto log = open_on(*disk);
    use_log(*log, 90, told);
  }
  const auto newer = disk->files();
  // The whole folder but the signed state is put back.
  for (const auto& [path, bytes] : newer) disk->set_file(path, std::nullopt);
  for (const auto& [path, bytes] : older) disk->set_file(path, bytes);
  disk->set_file("signed", newer.at("signed"));
  auto log = open_on(*disk);
  ASSERT_TRUE(log);
  const Health health = log->health();
  EXPECT_TRUE(health.damaged);
  EXPECT_NE(health.reason.find("truncated"), std::string::npos) << health.reason;
  EXPECT_EQ(log->append("{}").error().kind(), ErrorKind::kCorrupt);
  EXPECT_FALSE(log->checkpoint_now());
  log->close();
  EXPECT_EQ(disk->files().at("signed"), newer.at("signed"));
}

// --- a real process on a real disk ---

struct Shared {
  std::atomic<uint64_t> acknowledged;
};

[[noreturn]] void append_forever(const std::string& directory, Shared& shared) {
  base::SystemRandom random;
  Log::Options options = small_options();
  options.directory = directory;
  options.checkpoint_interval = std::chrono::milliseconds(3);
  auto log = Log::open(options, kClock, random, kNoLog);
  if (!log || !(*log)->set_signer(test_key())) ::_exit(3);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (true) {
        // The text says nothing of its place: the place is what append gives.
        const auto index = (*log)->append("{\"crash\":\"" + std::string(300, 'y') + "\"}");
        if (!index || !(*log)->wait_durable(*index + 1)) ::_exit(4);
        uint64_t seen = shared.acknowledged;
        while (seen < *index + 1 && !shared.acknowledged.compare_exchange_weak(seen, *index + 1)) {
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ::_exit(5);
}

TEST(Crash, KilledProcessLosesNothingAcknowledged) {
  std::string pattern = ::testing::TempDir() + "rekey-audit-XXXXXX";
  const std::string directory = ::mkdtemp(pattern.data());
  auto* shared = static_cast<Shared*>(
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (int round = 0; round < 10; ++round) {
    const pid_t child = ::fork();
    if (child == 0) append_forever(directory, *shared);
    const uint64_t before = shared->acknowledged;
    while (shared->acknowledged < before + 100) {
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, WNOHANG), 0) << "status " << status;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    base::SystemRandom random;
    Log::Options options = small_options();
    options.directory = directory;
    auto log = Log::open(options, kClock, random, kNoLog);
    ASSERT_TRUE(log);
    ASSERT_FALSE((*log)->health().damaged) << (*log)->health().reason;
    ASSERT_GE((*log)->durable_size(), shared->acknowledged.load());
    ASSERT_TRUE((*log)->set_signer(test_key()));
    ASSERT_TRUE((*log)->checkpoint_now());
    shared->acknowledged = (*log)->durable_size();
    log->reset();
    auto disk = open_posix_disk_for_reading(directory);
    const auto report = verify_log(**disk, {});
    ASSERT_TRUE(report);
    for (const VerifyFinding& finding : report->findings) {
      ADD_FAILURE() << finding.place << " " << finding.problem;
    }
    EXPECT_EQ(report->size, shared->acknowledged.load());
  }
  std::filesystem::remove_all(directory);
}

// A process that may not write files any further: what a full disk looks like, for all users.
void limit_file_size(rlim_t bytes) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST(Crash, FullDiskRefusesAndRecovers) {
  ::signal(SIGXFSZ, SIG_IGN);
  std::string pattern = ::testing::TempDir() + "rekey-audit-XXXXXX";
  const std::string directory = ::mkdtemp(pattern.data());
  base::SystemRandom random;
  Log::Options options = small_options();
  options.directory = directory;
  auto log = Log::open(options, kClock, random, kNoLog);
  ASSERT_TRUE(log);
  ASSERT_TRUE((*log)->append("{\"first\":1}"));
  ASSERT_TRUE((*log)->wait_durable(1));
  limit_file_size(1);
  ASSERT_TRUE((*log)->append("{\"second\":1}"));
  EXPECT_EQ((*log)->wait_durable(2).error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ((*log)->append("{}").error().kind(), ErrorKind::kUnavailable);
  EXPECT_NE((*log)->health().reason.find("File too large"), std::string::npos)
      << (*log)->health().reason;
  limit_file_size(RLIM_INFINITY);
  while (!(*log)->health().writable) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE((*log)->wait_durable(2));
  EXPECT_EQ(*(*log)->append("{\"third\":1}"), 2u);
  EXPECT_TRUE((*log)->wait_durable(3));
  log->reset();
  std::filesystem::remove_all(directory);
}

// Tiles can't be written while the write-ahead log can: in time the log must refuse too, bounded in
// memory, and go on when there is room.
TEST(Crash, FailingPublisherRefusesInTimeAndRecovers) {
  auto disk = std::make_shared<FaultDisk>(11);
  Log::Options options = small_options();
  options.publish_queue_bytes_max = 300 * 1024;
  base::SystemRandom random;
  auto log = Log::open_on(disk->handle(), options, kClock, random, kNoLog);
  ASSERT_TRUE(log);
  disk->refuse_paths_with("log/");
  uint64_t accepted = 0;
  while (true) {
    const auto index = (*log)->append(std::string(2'000, 'z'));
    if (!index && index.error().kind() == ErrorKind::kUnavailable) break;
    if (index) ++accepted;
    ASSERT_LT(accepted, 10'000u) << "nothing stops it";
    if (!index) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_NE((*log)->health().reason.find("publish"), std::string::npos) << (*log)->health().reason;
  disk->refuse_paths_with("");
  while (!(*log)->health().writable) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  // What was refused is written all the same.
  while ((*log)->readable_size() < accepted) std::this_thread::yield();
  EXPECT_EQ((*log)->entry(accepted - 1)->size(), 2'000u);
}

}  // namespace
}  // namespace rekey::audit
