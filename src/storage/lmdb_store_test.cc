#include "storage/lmdb_store.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <latch>

#include "base/codec.h"
#include "base/random.h"
#include "storage/lmdb_format.h"
#include "storage/testing/store_contract.h"
#include "storage/testing/temporary_folder.h"

namespace rekey::storage {
namespace {

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);

constexpr size_t kFlushEachTurn = 1;  // bytes of a full table

std::unique_ptr<LmdbStore> open_or_die(const std::string& folder,
                                       uint64_t map_bytes = kMapBytesFirst,
                                       size_t table_bytes = kTableBytesFull) {
  auto store = LmdbStore::open(
      {.folder = folder, .table_bytes_full = table_bytes, .map_bytes_first = map_bytes}, kClock,
      kNoLog);
  EXPECT_TRUE(store) << store.error().describe();
  return store ? std::move(*store) : nullptr;
}

std::string value_of(Store& store, std::string_view key) {
  auto reader = store.open_reader();
  if (!reader) return reader.error().describe();
  const auto item = (*reader)->get(key);
  if (!item) return item.error().describe();
  return *item ? std::string((*item)->value) : "absent";
}

class LmdbUnderTest final : public StoreUnderTest {
 public:
  explicit LmdbUnderTest(size_t table_bytes)
      : store_(open_or_die(folder_.path(), kMapBytesFirst, table_bytes)) {}
  Store& store() override { return *store_; }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<LmdbStore> store_;
};

StoreKind lmdb_kind(std::string name, size_t table_bytes) {
  return {std::move(name), [=] { return std::make_unique<LmdbUnderTest>(table_bytes); }};
}

// With all rows in memory, all in the file, and both, moving all the time.
INSTANTIATE_TEST_SUITE_P(Lmdb, StoreContract,
                         testing::Values(lmdb_kind("lmdb", kTableBytesFull),
                                         lmdb_kind("lmdb_flushing", kFlushEachTurn),
                                         lmdb_kind("lmdb_small_tables", 2'000)),
                         kind_name);

TEST(LmdbStore, EverythingIsThereAfterReopening) {
  const TemporaryFolder folder;
  {
    auto store = open_or_die(folder.path());
    ASSERT_EQ(store->commit_and_wait({.puts = {{"a", "1"}, {"b", "2"}}}).value(), 1u);
    ASSERT_EQ(store->commit_and_wait({.puts = {{"a", "3"}}, .deletes = {"b"}}).value(), 2u);
  }
  auto store = open_or_die(folder.path());
  EXPECT_EQ(value_of(*store, "a"), "3");
  EXPECT_EQ(value_of(*store, "b"), "absent");
  EXPECT_EQ(store->health().keys, 1u);
  EXPECT_EQ(store->commit_and_wait({.conditions = {{"a", 2}}, .puts = {{"a", "4"}}}).value(), 3u);
}

TEST(LmdbStore, FolderAndFilesAreTheOwnersAlone) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/deep/store";
  auto store = open_or_die(path);
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  for (const char* name : {"/data.mdb", "/lock.mdb", "/redo-0", "/redo-1"}) {
    ASSERT_EQ(::stat((path + name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
}

TEST(LmdbStore, FolderOthersCanWriteIsRefused) {
  const TemporaryFolder folder;
  ASSERT_EQ(::chmod(folder.path().c_str(), 0777), 0);
  const auto store = LmdbStore::open({.folder = folder.path()}, kClock, kNoLog);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind(), ErrorKind::kInvalid);
}

TEST(LmdbStore, SecondServerIsRefused) {
  const TemporaryFolder folder;
  auto store = open_or_die(folder.path());
  const auto second = LmdbStore::open({.folder = folder.path()}, kClock, kNoLog);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kUnavailable);
  store.reset();
  EXPECT_TRUE(open_or_die(folder.path()));
}

// Changes one meta row as another version of the program would have written it.
void set_meta(const std::string& folder, std::string key, std::string value) {
  MDB_env* created = nullptr;
  ASSERT_EQ(mdb_env_create(&created), 0);
  const EnvPtr env(created);
  mdb_env_set_maxdbs(env.get(), 2);
  ASSERT_EQ(mdb_env_open(env.get(), folder.c_str(), 0, 0600), 0);
  MDB_txn* txn = nullptr;
  MDB_dbi meta = 0;
  ASSERT_EQ(mdb_txn_begin(env.get(), nullptr, 0, &txn), 0);
  ASSERT_EQ(mdb_dbi_open(txn, kMetaName, MDB_CREATE, &meta), 0);
  MDB_val name = to_val(key), data = to_val(value);
  ASSERT_EQ(mdb_put(txn, meta, &name, &data, 0), 0);
  ASSERT_EQ(mdb_txn_commit(txn), 0);
}

ErrorKind open_error(const std::string& folder) {
  const auto store = LmdbStore::open({.folder = folder}, kClock, kNoLog);
  EXPECT_FALSE(store);
  return store ? ErrorKind::kInternal : store.error().kind();
}

TEST(LmdbStore, NewerFormatIsRefused) {
  const TemporaryFolder folder;
  open_or_die(folder.path());
  set_meta(folder.path(), "format", std::string("\0\0\0\5", 4));
  EXPECT_EQ(open_error(folder.path()), ErrorKind::kUnsupported);
  set_meta(folder.path(), "format", std::string("\0\0\0\0", 4));
  EXPECT_EQ(open_error(folder.path()), ErrorKind::kCorrupt);
  set_meta(folder.path(), "format", "1");
  EXPECT_EQ(open_error(folder.path()), ErrorKind::kCorrupt);
  set_meta(folder.path(), "format", std::string("\0\0\0\3", 4));
  EXPECT_TRUE(open_or_die(folder.path()));
}

TEST(LmdbStore, OlderFormatIsMigrated) {
  const TemporaryFolder folder;
  ASSERT_TRUE(open_or_die(folder.path())->commit_and_wait({.puts = {{"a", "1"}}}));
  set_meta(folder.path(), "format", std::string("\0\0\0\2", 4));
  auto store = open_or_die(folder.path());
  EXPECT_EQ(value_of(*store, "a"), "1");
  EXPECT_EQ(store->commit_and_wait({.puts = {{"a", "2"}}}).value(), 2u);
  store.reset();
  EXPECT_EQ(value_of(*open_or_die(folder.path()), "a"), "2");
}

TEST(LmdbStore, SomethingElsesFileIsRefused) {
  const TemporaryFolder folder, cut, text;
  set_meta(folder.path(), "other", "program");
  EXPECT_EQ(open_error(folder.path()), ErrorKind::kCorrupt);  // no rows

  {
    auto store = open_or_die(cut.path());
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(store->commit_and_wait({.puts = {{std::to_string(i), std::string(9'000, 'x')}}}));
    }
  }
  ASSERT_EQ(::truncate((cut.path() + "/data.mdb").c_str(), 40'000), 0);
  EXPECT_EQ(open_error(cut.path()), ErrorKind::kCorrupt);

  const UniqueFd fd(::open((text.path() + "/data.mdb").c_str(), O_WRONLY | O_CREAT, 0600));
  const std::string garbage(8'192, 'g');
  ASSERT_EQ(::write(fd.get(), garbage.data(), garbage.size()), 8'192);
  EXPECT_EQ(open_error(text.path()), ErrorKind::kCorrupt);
}

TEST(LmdbStore, QueuedBatchesShareOneSync) {
  const TemporaryFolder folder;
  auto store = open_or_die(folder.path());
  constexpr int kBatches = 100;
  std::latch all(kBatches + 1), go(1);
  // While this callback holds the writer, the others queue up behind it.
  store->commit({.puts = {{"first", "x"}}}, [&](Result<Revision>) {
    go.wait();
    all.count_down();
  });
  std::atomic<int> conflicts = 0;
  for (int i = 0; i < kBatches; ++i) {
    // Every fourth fails its condition; that must not touch the ones beside it.
    const Revision condition = i % 4 == 0 ? 99 : 0;
    store->commit(
        {.conditions = {{std::to_string(i), condition}}, .puts = {{std::to_string(i), "v"}}},
        [&](Result<Revision> outcome) {
          if (!outcome) conflicts += 1;
          all.count_down();
        });
  }
  go.count_down();
  all.wait();
  EXPECT_EQ(conflicts, 25);
  const Health health = store->health();
  EXPECT_EQ(health.commits, 76u);
  EXPECT_EQ(health.conflicts, 25u);
  EXPECT_EQ(store->open_reader().value()->rows().value(), 76u);
  EXPECT_LE(health.batches_per_sync.count, 3u);
  EXPECT_EQ(health.batches_per_sync.sum, 76u);
  EXPECT_EQ(health.sync_ns.count, health.batches_per_sync.count);
}

TEST(LmdbStore, BatchesOfOneTurnSeeOneAnother) {
  const TemporaryFolder folder;
  auto store = open_or_die(folder.path());
  std::latch all(3), go(1);
  std::vector<std::string> outcomes;
  auto note = [&](Result<Revision> outcome) {
    outcomes.push_back(outcome ? std::to_string(*outcome) : std::string(outcome.error().message()));
    all.count_down();
  };
  store->commit({.puts = {{"a", "1"}}}, [&](Result<Revision>) { go.wait(); });
  store->commit({.conditions = {{"a", 1}}, .puts = {{"a", "2"}}}, note);
  store->commit({.conditions = {{"a", 1}}, .puts = {{"a", "lost"}}}, note);
  store->commit({.conditions = {{"a", 2}}, .puts = {{"a", "3"}}}, note);
  go.count_down();
  all.wait();
  EXPECT_EQ(outcomes,
            (std::vector<std::string>{"2", "the stored data has changed meanwhile", "3"}));
  EXPECT_EQ(value_of(*store, "a"), "3");
}

TEST(LmdbStore, MapGrowsUnderReadersAndWriters) {
  const TemporaryFolder folder;
  auto store = open_or_die(folder.path(), 1 << 20);
  const uint64_t before = store->health().bytes_max;
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> readers;
  ASSERT_TRUE(store->commit_and_wait({.puts = {{"0", std::string(20'000, '0')}}}));
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      auto reader = store->open_reader();
      while (!stop) {
        if (!(*reader)->refresh()) wrong += 1;
        const auto item = (*reader)->get("0");
        if (!item || !*item || (*item)->value != std::string(20'000, '0')) wrong += 1;
      }
    });
  }
  auto idle = store->open_reader();
  ASSERT_TRUE(idle);
  (*idle)->release();
  for (int i = 1; i < 500; ++i) {
    const auto outcome =
        store->commit_and_wait({.puts = {{std::to_string(i), std::string(20'000, 'v')}}});
    ASSERT_TRUE(outcome) << outcome.error().describe();
  }
  stop = true;
  readers.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(store->health().bytes_max, before * 8);
  ASSERT_TRUE((*idle)->refresh());
  EXPECT_EQ((*idle)->get("499").value()->value.size(), 20'000u);
}

TEST(LmdbStore, AReleasedReaderLetsPagesBeUsedAgain) {
  const TemporaryFolder folder;
  auto store = open_or_die(folder.path());
  store.reset();
  store = open_or_die(folder.path(), kMapBytesFirst, kFlushEachTurn);
  auto reader = store->open_reader();
  ASSERT_TRUE(reader);
  auto overwrite = [&] {
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(store->commit_and_wait({.puts = {{"a", std::string(50'000, 'x')}}}));
    }
  };
  (*reader)->release();
  overwrite();
  EXPECT_LT(store->health().bytes_used, 1u << 20);
  ASSERT_TRUE((*reader)->refresh());
  overwrite();
  EXPECT_GT(store->health().bytes_used, 3u << 20);  // held: nothing could be reused
}

// A full disk, by a limit on file size: LMDB gets a short write or EFBIG as it would ENOSPC.
TEST(LmdbStore, FullDiskFailsCommitsAndRecovers) {
  const TemporaryFolder folder;
  auto store = open_or_die(folder.path());
  ASSERT_TRUE(store->commit_and_wait({.puts = {{"before", "1"}}}));
  const auto old_action = ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit unlimited{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &unlimited), 0);
  rlimit limited = unlimited;
  limited.rlim_cur = (2u << 20) + 1'000;  // not on a page: a write ends up short
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limited), 0);
  int taken = 0;
  Result<Revision> outcome = Revision{0};
  for (; taken < 200; ++taken) {
    outcome = store->commit_and_wait({.puts = {{std::to_string(taken), std::string(30'000, 'x')}}});
    if (!outcome) break;
  }
  EXPECT_EQ(outcome.error().kind(), ErrorKind::kUnavailable);
  EXPECT_FALSE(store->health().writable);
  EXPECT_FALSE(store->health().permanent) << store->health().reason;
  EXPECT_EQ(store->health().reason, "the disk is full");
  EXPECT_EQ(value_of(*store, "before"), "1");
  EXPECT_EQ(value_of(*store, std::to_string(taken)), "absent");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &unlimited), 0);
  ::signal(SIGXFSZ, old_action);

  EXPECT_EQ(store->commit_and_wait({.puts = {{"after", "2"}}}).value(),
            static_cast<Revision>(taken + 2));
  EXPECT_TRUE(store->health().writable);
  EXPECT_EQ(store->health().reason, "");
  store.reset();
  store = open_or_die(folder.path());
  EXPECT_EQ(store->health().keys, static_cast<uint64_t>(taken + 2));
}

// Makes writes through one descriptor of the store fail: of a redo file, or of the data file the
// one that commits a transaction's pages, or the other, synchronous one that writes the header.
enum class Broken { kRedo, kPages, kHeader };

void break_writes(const std::string& folder, Broken what) {
  const UniqueFd read_only(::open((folder + "/lock.mdb").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(read_only.valid());
  int broken = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
    const int fd = std::stoi(entry.path().filename().string());
    if (what == Broken::kRedo) {
      if (!target.starts_with(folder + "/redo-")) continue;
    } else if (target != folder + "/data.mdb" ||
               ((::fcntl(fd, F_GETFL) & O_DSYNC) != 0) != (what == Broken::kHeader)) {
      continue;
    }
    ASSERT_EQ(::dup2(read_only.get(), fd), fd);
    broken += 1;
  }
  ASSERT_EQ(broken, what == Broken::kRedo ? 2 : 1);
}

TEST(LmdbStore, ABrokenRedoFileLeavesItReadOnlyForGood) {
  const TemporaryFolder folder;
  {
    auto store = open_or_die(folder.path());
    auto reader = store->open_reader();
    ASSERT_TRUE(reader);
    ASSERT_TRUE(store->commit_and_wait({.puts = {{"before", "1"}}}));
    ASSERT_TRUE((*reader)->refresh());
    break_writes(folder.path(), Broken::kRedo);
    const auto first = store->commit_and_wait({.puts = {{"during", "1"}}});
    ASSERT_FALSE(first);
    EXPECT_TRUE(outcome_unknown(first.error())) << first.error().describe();
    const auto second = store->commit_and_wait({.puts = {{"later", "1"}}});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), ErrorKind::kUnavailable);
    const Health health = store->health();
    EXPECT_FALSE(health.writable);
    EXPECT_TRUE(health.permanent);
    EXPECT_NE(health.reason, "");
    EXPECT_EQ(health.failures, 2u);
    EXPECT_FALSE(store->backup_to(-1, nullptr));
    // What was there can still be read, and what failed can't be seen.
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE((*reader)->refresh());
      EXPECT_EQ((*reader)->get("before").value()->value, "1");
      EXPECT_FALSE((*reader)->get("during").value());
      (*reader)->release();
    }
    EXPECT_EQ(value_of(*store, "during"), "absent");
  }
  auto store = open_or_die(folder.path());
  EXPECT_EQ(value_of(*store, "before"), "1");
  EXPECT_EQ(value_of(*store, "later"), "absent");
  EXPECT_TRUE(store->commit_and_wait({.puts = {{"after", "1"}}}));
}

class BrokenDisk : public testing::TestWithParam<Broken> {};

INSTANTIATE_TEST_SUITE_P(Lmdb, BrokenDisk, testing::Values(Broken::kPages, Broken::kHeader));

// What was acknowledged is in the redo files; the file that it should go to can't be written.
TEST_P(BrokenDisk, LeavesTheStoreReadOnlyForGood) {
  const TemporaryFolder folder;
  int taken = 0;
  {
    auto store = open_or_die(folder.path(), kMapBytesFirst, kFlushEachTurn);
    auto reader = store->open_reader();
    ASSERT_TRUE(reader);
    ASSERT_TRUE(store->commit_and_wait({.puts = {{"before", "1"}}}));
    break_writes(folder.path(), GetParam());
    Result<Revision> outcome = Revision{0};
    for (; taken < 10; ++taken) {
      outcome = store->commit_and_wait({.puts = {{"during" + std::to_string(taken), "1"}}});
      if (!outcome) break;
    }
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::kUnavailable) << outcome.error().describe();
    const Health health = store->health();
    EXPECT_FALSE(health.writable);
    EXPECT_TRUE(health.permanent);
    EXPECT_NE(health.reason, "");
    EXPECT_FALSE(store->backup_to(-1, nullptr));
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE((*reader)->refresh());
      EXPECT_EQ((*reader)->get("before").value()->value, "1");
      for (int n = 0; n < 10; ++n) {
        const auto item = (*reader)->get("during" + std::to_string(n));
        ASSERT_TRUE(item);
        EXPECT_EQ(item->has_value(), n < taken) << n;
      }
      (*reader)->release();
    }
    EXPECT_EQ(value_of(*store, "before"), "1");
  }
  auto store = open_or_die(folder.path());
  EXPECT_EQ(store->health().keys, static_cast<uint64_t>(taken + 1));
  for (int n = 0; n < taken; ++n) EXPECT_EQ(value_of(*store, "during" + std::to_string(n)), "1");
  EXPECT_EQ(value_of(*store, "during" + std::to_string(taken)), "absent");
  EXPECT_TRUE(store->commit_and_wait({.puts = {{"after", "1"}}}));
}

// The child: writes key i = i for ever, and reports i through the pipe once it is acknowledged.
[[noreturn]] void write_until_killed(const std::string& folder, int pipe, uint64_t first,
                                     size_t table_bytes) {
  auto store = LmdbStore::open({.folder = folder, .table_bytes_full = table_bytes}, kClock, kNoLog);
  if (!store) ::_exit(1);
  for (uint64_t i = first;; ++i) {
    std::string number;
    base::append_u64(number, i);
    if (!(*store)->commit_and_wait({.puts = {{"k" + number, number}, {"newest", number}}}))
      ::_exit(1);
    if (::write(pipe, number.data(), number.size()) != 8) ::_exit(1);
  }
}

TEST(LmdbStore, NothingAcknowledgedIsLostByKill9) {
  const TemporaryFolder folder;
  base::SeededRandom random(9);
  uint64_t next = 0;
  for (int round = 0; round < 10; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    // Some end with everything in the redo files, some in the middle of moving it.
    if (child == 0)
      write_until_killed(folder.path(), ends[1], next, round % 2 == 0 ? 1 << 20 : 999);
    ::close(ends[1]);
    std::array<char, 8> number{};
    ASSERT_EQ(::read(ends[0], number.data(), 8), 8);  // it runs
    ::usleep(random.number() % 30'000);
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    do {
      EXPECT_EQ(base::read_u64(number.data()), next);
      next += 1;
    } while (::read(ends[0], number.data(), 8) == 8);
    ::close(ends[0]);

    auto store = open_or_die(folder.path());
    ASSERT_TRUE(store);
    auto reader = store->open_reader();
    ASSERT_TRUE(reader);
    for (uint64_t i = 0; i < next; ++i) {
      std::string key;
      base::append_u64(key, i);
      const auto item = (*reader)->get("k" + key);
      ASSERT_TRUE(item && *item) << i << " of " << next << " is lost in round " << round;
    }
    // One more may have been committed without the word of it getting out; the next round goes on
    // behind it.
    const auto newest = (*reader)->get("newest");
    ASSERT_TRUE(newest && *newest);
    const uint64_t last = base::read_u64((*newest)->value.data());
    EXPECT_TRUE(last + 1 == next || last == next) << last << " " << next;
    next = last + 1;
  }
}

void copy_files(const std::string& from, const std::string& to) {
  for (const char* name : {"data.mdb", "redo-0", "redo-1"}) {
    std::filesystem::copy_file(from + "/" + name, to + "/" + name,
                               std::filesystem::copy_options::overwrite_existing);
  }
}

TEST(LmdbStore, RedoFilesOfAnotherAgeOrAnotherStoreAreRefused) {
  const TemporaryFolder folder, crashed, other;
  auto store = open_or_die(folder.path());
  ASSERT_TRUE(store->commit_and_wait({.puts = {{"a", "1"}}}));
  store.reset();
  std::filesystem::copy_file(folder.path() + "/data.mdb", crashed.path() + "/old.mdb");
  store = open_or_die(folder.path());
  ASSERT_TRUE(store->commit_and_wait({.puts = {{"a", "2"}}}));
  ASSERT_TRUE(store->commit_and_wait({.puts = {{"a", "3"}, {"b", "4"}}}));
  copy_files(folder.path(), crashed.path());  // as a crash would leave it
  store.reset();
  EXPECT_EQ(std::filesystem::file_size(folder.path() + "/redo-0"), 0u);

  copy_files(crashed.path(), other.path());
  store = open_or_die(other.path());
  EXPECT_EQ(value_of(*store, "a"), "3");
  EXPECT_EQ(store->health().keys, 2u);
  ASSERT_EQ(store->commit_and_wait({.puts = {{"a", "5"}}}).value(), 4u);
  store.reset();
  // A younger data file has it all; one of another store has nothing to do with them.
  std::filesystem::copy_file(crashed.path() + "/redo-0", other.path() + "/redo-0",
                             std::filesystem::copy_options::overwrite_existing);
  store = open_or_die(other.path());
  EXPECT_EQ(value_of(*store, "a"), "5");
  store.reset();

  const TemporaryFolder foreign;
  open_or_die(foreign.path()).reset();
  std::filesystem::copy_file(crashed.path() + "/redo-0", foreign.path() + "/redo-0",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(open_error(foreign.path()), ErrorKind::kCorrupt);
  // A group in the middle is gone: what follows it is not applied to something else.
  std::string redo;
  {
    std::ifstream in(crashed.path() + "/redo-0", std::ios::binary);
    redo.assign(std::istreambuf_iterator<char>(in), {});
  }
  redo[60] ^= 1;
  std::ofstream(crashed.path() + "/redo-0", std::ios::binary) << redo;
  EXPECT_EQ(open_error(crashed.path()), ErrorKind::kCorrupt);
}

TEST(LmdbStore, WhatACrashLeftIsKeptWhenItsFormatIsMigrated) {
  const TemporaryFolder folder, crashed;
  auto store = open_or_die(folder.path());
  ASSERT_TRUE(store->commit_and_wait({.puts = {{"a", "1"}}}));
  copy_files(folder.path(), crashed.path());
  set_meta(crashed.path(), "format", std::string("\0\0\0\3", 4));
  EXPECT_EQ(value_of(*open_or_die(crashed.path()), "a"), "1");
}

}  // namespace
}  // namespace rekey::storage
