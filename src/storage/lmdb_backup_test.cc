#include "storage/lmdb_backup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "storage/lmdb_store.h"
#include "storage/testing/temporary_folder.h"

namespace rekey::storage {
namespace {

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);

class BackupTest : public testing::Test {
 protected:
  std::unique_ptr<LmdbStore> open(const std::string& name) {
    auto store = LmdbStore::open({.folder = folder_.path() + "/" + name}, kClock, kNoLog);
    EXPECT_TRUE(store) << store.error().describe();
    return store ? std::move(*store) : nullptr;
  }
  std::string file(const std::string& name) const { return folder_.path() + "/" + name; }

  void fill(Store& store, int rows, const std::string& value) {
    Batch batch;
    for (int i = 0; i < rows; ++i) batch.puts.push_back({"k" + std::to_string(i), value});
    ASSERT_TRUE(store.commit_and_wait(std::move(batch)));
  }
  void back_up(LmdbStore& store, const std::string& name) {
    const UniqueFd fd(::open(file(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    const auto written = store.backup_to(fd.get(), nullptr);
    ASSERT_TRUE(written) << written.error().describe();
  }
  std::string value(Store& store, std::string_view key) {
    auto reader = store.open_reader();
    const auto item = (*reader)->get(key);
    if (!item) return item.error().describe();
    return *item ? std::string((*item)->value) : "absent";
  }
  std::string contents(const std::string& name) {
    std::ifstream in(file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(file(name), std::ios::binary | std::ios::trunc) << bytes;
  }

  TemporaryFolder folder_;
};

TEST_F(BackupTest, RestoredStoreIsTheOneBackedUp) {
  auto store = open("store");
  fill(*store, 5'000, std::string(100, 'v'));
  fill(*store, 10, "newer");
  back_up(*store, "backup");
  fill(*store, 5'000, "after the backup");
  store.reset();

  const auto report = verify_backup(file("backup"));
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(report->revision, 2u);
  EXPECT_EQ(report->rows, 5'000u);
  EXPECT_EQ(report->format, 4u);
  EXPECT_EQ(report->bytes, std::filesystem::file_size(file("backup")));

  const auto restored = restore_backup(file("backup"), file("store"), kNoLog);
  ASSERT_TRUE(restored) << restored.error().describe();
  store = open("store");
  EXPECT_EQ(value(*store, "k9"), "newer");
  EXPECT_EQ(value(*store, "k10"), std::string(100, 'v'));
  EXPECT_EQ(store->health().keys, 5'000u);
  EXPECT_EQ(store->commit_and_wait({.conditions = {{"k9", 2}}, .puts = {{"k9", "x"}}}).value(), 3u);

  // The old one is still there, and a second restore doesn't overwrite it.
  EXPECT_EQ(restored->kept_path, file("store/data.mdb.before-restore-1"));
  store.reset();
  EXPECT_EQ(restore_backup(file("backup"), file("store"), kNoLog)->kept_path,
            file("store/data.mdb.before-restore-2"));
  std::filesystem::create_directory(file("old"));
  std::filesystem::permissions(file("old"), std::filesystem::perms::owner_all);
  std::filesystem::rename(restored->kept_path, file("old/data.mdb"));
  EXPECT_EQ(value(*open("old"), "k10"), "after the backup");
}

TEST_F(BackupTest, IntoAnEmptyFolder) {
  auto store = open("store");
  back_up(*store, "empty-backup");
  fill(*store, 3, "v");
  back_up(*store, "backup");
  const auto restored = restore_backup(file("backup"), file("new"), kNoLog);
  ASSERT_TRUE(restored) << restored.error().describe();
  EXPECT_EQ(restored->kept_path, "");
  EXPECT_EQ(value(*open("new"), "k2"), "v");
  ASSERT_TRUE(restore_backup(file("empty-backup"), file("new"), kNoLog));
  EXPECT_EQ(value(*open("new"), "k2"), "absent");
}

TEST_F(BackupTest, AServedStoreIsNotReplaced) {
  auto store = open("store");
  fill(*store, 3, "v");
  back_up(*store, "backup");
  const auto restored = restore_backup(file("backup"), file("store"), kNoLog);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().kind(), ErrorKind::kUnavailable);
}

TEST_F(BackupTest, DamagedBackupsAreRefusedAndNothingIsReplaced) {
  auto store = open("store");
  fill(*store, 500, "present");
  back_up(*store, "backup");
  store.reset();
  const std::string good = contents("backup");
  base::SeededRandom random(3);
  std::vector<std::string> bad = {"",
                                  "x",
                                  good.substr(0, good.size() - 1),
                                  good.substr(0, 10'000),
                                  good + "x",
                                  good.substr(4'096),
                                  std::string(good.size(), '\0')};
  for (int i = 0; i < 50; ++i) {
    std::string flipped = good;
    flipped[random.number() % flipped.size()] ^= static_cast<char>(1 << (random.number() % 8));
    bad.push_back(flipped);
  }
  const std::string before = contents("store/data.mdb");
  for (size_t i = 0; i < bad.size(); ++i) {
    write("bad", bad[i]);
    const auto verified = verify_backup(file("bad"));
    ASSERT_FALSE(verified) << i;
    EXPECT_EQ(verified.error().kind(), ErrorKind::kCorrupt) << i << verified.error().describe();
    EXPECT_FALSE(restore_backup(file("bad"), file("store"), kNoLog));
  }
  EXPECT_TRUE(contents("store/data.mdb") == before);
  EXPECT_FALSE(std::filesystem::exists(file("store/data.mdb.before-restore-1")));
  EXPECT_EQ(verify_backup(file("none")).error().kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(verify_backup(file("backup")));
}

TEST_F(BackupTest, CommitsGoOnMeanwhileAndTheCopyIsOneSnapshot) {
  auto store = open("store");
  fill(*store, 8'000, std::string(500, 'a'));
  uint64_t during = 0, seen = 0;
  const UniqueFd fd(::open(file("backup").c_str(), O_WRONLY | O_CREAT, 0600));
  const auto written = store->backup_to(fd.get(), [&](BackupProgress progress) {
    seen += 1;
    EXPECT_LE(progress.bytes_done, progress.bytes_expected);
    if (store->commit_and_wait({.puts = {{"k0", "x"}, {"k7999", "x"}}})) during += 1;
  });
  ASSERT_TRUE(written) << written.error().describe();
  EXPECT_GT(seen, 10u);
  EXPECT_EQ(during, seen);
  store.reset();
  ASSERT_EQ(verify_backup(file("backup"))->rows, 8'000u);
  ASSERT_TRUE(restore_backup(file("backup"), file("store"), kNoLog));
  store = open("store");
  EXPECT_EQ(value(*store, "k0"), value(*store, "k7999"));
}

TEST_F(BackupTest, FailingSinkEndsTheBackupAndNotTheServer) {
  auto store = open("store");
  fill(*store, 8'000, std::string(500, 'a'));
  int chunks = 0;
  const auto written = store->backup(
      [&](std::string_view) -> Result<void> {
        if (++chunks == 3) return base::fail(ErrorKind::kUpstream, "the client went away");
        return {};
      },
      nullptr);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::kUpstream);
  EXPECT_EQ(chunks, 3);
  fill(*store, 10, "still writable");
  back_up(*store, "backup");
  EXPECT_TRUE(verify_backup(file("backup")));
}

// The present store ended in a crash: what is in its redo files is kept with it, and isn't applied
// to what takes its place.
TEST_F(BackupTest, OverACrashedStore) {
  auto store = open("store");
  fill(*store, 3, "backed up");
  back_up(*store, "backup");
  fill(*store, 3, "newer");
  std::filesystem::create_directory(file("crashed"));
  std::filesystem::permissions(file("crashed"), std::filesystem::perms::owner_all);
  for (const char* name : {"data.mdb", "redo-0", "redo-1"}) {
    write("crashed/" + std::string(name), contents("store/" + std::string(name)));
  }
  const auto restored = restore_backup(file("backup"), file("crashed"), kNoLog);
  ASSERT_TRUE(restored) << restored.error().describe();
  EXPECT_EQ(value(*open("crashed"), "k2"), "backed up");
  std::filesystem::create_directory(file("old"));
  std::filesystem::permissions(file("old"), std::filesystem::perms::owner_all);
  std::filesystem::rename(restored->kept_path, file("old/data.mdb"));
  EXPECT_EQ(value(*open("old"), "k2"), "newer");

  // One that can't be opened any more: the redo files are put aside.
  std::filesystem::create_directory(file("broken"));
  std::filesystem::permissions(file("broken"), std::filesystem::perms::owner_all);
  write("broken/data.mdb", std::string(8'192, 'x'));
  write("broken/redo-0", contents("store/redo-0"));
  ASSERT_TRUE(restore_backup(file("backup"), file("broken"), kNoLog));
  EXPECT_EQ(value(*open("broken"), "k2"), "backed up");
  EXPECT_EQ(contents("broken/redo-0.before-restore-1"), contents("store/redo-0"));
}

}  // namespace
}  // namespace rekey::storage
