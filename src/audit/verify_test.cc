// Someone who can write the disk rewrites, drops, swaps, adds and truncates: verify names the
// place.
#include "audit/verify.h"

#include <gtest/gtest.h>

#include "audit/log.h"
#include "audit/testing/fault_disk.h"
#include "audit/tiles.h"

namespace rekey::audit {
namespace {

constexpr uint64_t kEntries = 70'000;  // three levels of tiles
constexpr uint64_t kKept = 66'000;

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);

crypto::Ed25519PrivateKey key(char fill = 'k') {
  return *crypto::Ed25519PrivateKey::from_seed(base::SecretBytes::copy_of(std::string(32, fill)));
}

std::string entry_text(uint64_t index) { return "{\"n\":" + std::to_string(index) + "}"; }

struct Made {
  std::map<std::string, std::string> files;
  std::string kept_checkpoint;
};

Made make_log() {
  auto disk = std::make_shared<FaultDisk>(1);
  Log::Options options;
  options.origin = "rekey.test/verify";
  options.group_bytes_max = 200 * 1024;
  options.wal_segment_bytes = 8 << 20;  // one holds all: none of it is let go of
  options.stepped = true;               // the same files each time
  base::SystemRandom random;
  auto log = *Log::open_on(disk->handle(), options, kClock, random, kNoLog);
  EXPECT_TRUE(log->set_signer(key()));
  Made made;
  const auto fill_to = [&](uint64_t end) {
    for (uint64_t i = log->durable_size(); i < end; ++i) {
      EXPECT_TRUE(log->append(entry_text(i)));
      if (i % 1'000 == 999) EXPECT_TRUE(log->commit_step());
    }
    while (log->commit_step()) {
    }
    EXPECT_EQ(log->durable_size(), end);
    return log->checkpoint_now()->note;
  };
  made.kept_checkpoint = fill_to(kKept);
  fill_to(kEntries);
  log->close();
  made.files = disk->files();
  return made;
}

class VerifyTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { made_ = new Made(make_log()); }
  static void TearDownTestSuite() {
    delete made_;
    made_ = nullptr;
  }

  VerifyTest() {
    disk_ = std::make_shared<FaultDisk>(1);
    for (const auto& [path, bytes] : made_->files) disk_->set_file(path, bytes);
  }
  VerifyReport verify(VerifyOptions options = {}) {
    auto report = verify_log(*disk_->handle(), options);
    EXPECT_TRUE(report);
    return *report;
  }
  void only_public_part() { disk_->set_file("format", std::nullopt); }
  std::string file(const std::string& path) { return disk_->files().at(path); }
  // Expects that exactly these places are named, each with a problem that contains the text.
  void expect_findings(const VerifyReport& report,
                       const std::vector<std::pair<std::string, std::string>>& expected) {
    ASSERT_EQ(report.findings.size(), expected.size()) << all(report);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(report.findings[i].place, expected[i].first) << all(report);
      EXPECT_NE(report.findings[i].problem.find(expected[i].second), std::string::npos)
          << report.findings[i].problem;
    }
  }
  static std::string all(const VerifyReport& report) {
    std::string out;
    for (const auto& finding : report.findings) out += finding.place + " " + finding.problem + "\n";
    return out;
  }
  std::vector<std::string> entries_of(const std::string& bundle) {
    std::vector<std::string> out;
    EXPECT_TRUE(visit_bundle(bundle, kTileWidth, [&](std::string_view entry) {
      out.emplace_back(entry);
      return true;
    }));
    return out;
  }
  void put_entries(uint64_t bundle, const std::vector<std::string>& entries) {
    std::string bytes;
    for (const std::string& entry : entries) {
      bytes += static_cast<char>(entry.size() >> 8);
      bytes += static_cast<char>(entry.size());
      bytes += entry;
    }
    disk_->set_file(bundle_path(bundle), bytes);
  }

  static inline Made* made_ = nullptr;
  std::shared_ptr<FaultDisk> disk_;
};

TEST_F(VerifyTest, AGoodLogIsGood) {
  VerifyOptions options;
  options.key = *VerifierKey::make("rekey.test/verify", key().public_key());
  options.kept_checkpoints = {made_->kept_checkpoint};
  const VerifyReport report = verify(options);
  expect_findings(report, {});
  EXPECT_EQ(report.entries_checked, kEntries);
  EXPECT_EQ(report.size, kEntries);
  EXPECT_EQ(report.kept_checkpoints_checked, 1u);
  EXPECT_FALSE(report.own_key);
  EXPECT_TRUE(verify().own_key);
}

TEST_F(VerifyTest, RewrittenEntry) {
  auto entries = entries_of(file(bundle_path(7)));
  entries[3] = "{\"n\":0}";
  put_entries(7, entries);
  expect_findings(verify(), {{"entry 1795", "rewritten"}});
}

TEST_F(VerifyTest, DroppedEntry) {
  auto entries = entries_of(file(bundle_path(100)));
  entries.erase(entries.begin() + 10);
  put_entries(100, entries);
  const VerifyReport report = verify();
  ASSERT_EQ(report.findings.size(), 2u) << all(report);
  EXPECT_EQ(report.findings[0].place, "entry 25610");
  EXPECT_EQ(report.findings[0].problem, "was dropped");
  EXPECT_EQ(report.findings[1].place, bundle_path(100));
}

TEST_F(VerifyTest, AddedEntry) {
  auto entries = entries_of(file(bundle_path(100)));
  entries.insert(entries.begin() + 10, "{\"forged\":1}");
  put_entries(100, entries);
  const VerifyReport report = verify();
  ASSERT_GE(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].place, "entry 25610") << all(report);
  EXPECT_NE(report.findings[0].problem.find("put in"), std::string::npos);
}

TEST_F(VerifyTest, SwappedEntries) {
  auto entries = entries_of(file(bundle_path(0)));
  std::swap(entries[5], entries[200]);
  put_entries(0, entries);
  expect_findings(verify(),
                  {{"entry 5", "replaced by entry 200"}, {"entry 200", "replaced by entry 5"}});
}

TEST_F(VerifyTest, SwappedBundles) {
  const std::string a = file(bundle_path(3)), b = file(bundle_path(4));
  disk_->set_file(bundle_path(3), b);
  disk_->set_file(bundle_path(4), a);
  const VerifyReport report = verify();
  ASSERT_EQ(report.findings.size(), 512u);
  EXPECT_EQ(report.findings[0].place, "entry 768");
  EXPECT_EQ(report.findings[511].place, "entry 1279");
}

// The entry and its tile are made to fit each other: the tile above says that they don't belong.
TEST_F(VerifyTest, RewrittenEntryWithItsTile) {
  only_public_part();
  auto entries = entries_of(file(bundle_path(7)));
  entries[3] = "{\"n\":0}";
  put_entries(7, entries);
  std::string tile = file(tile_path(0, 7));
  const Hash forged = leaf_hash(entries[3]);
  tile.replace(3 * 32, 32, std::string(crypto::as_bytes(forged)));
  disk_->set_file(tile_path(0, 7), tile);
  const VerifyReport report = verify();
  ASSERT_EQ(report.findings.size(), 2u) << all(report);
  EXPECT_EQ(report.findings[0].place, tile_path(0, 7)) << all(report);
  EXPECT_EQ(report.findings[1].place, bundle_path(7));
  // As long as the write-ahead log still has the entry it says which one it was.
  disk_->set_file("format", made_->files.at("format"));
  const VerifyReport with_wal = verify();
  ASSERT_EQ(with_wal.findings.size(), 3u) << all(with_wal);
  EXPECT_EQ(with_wal.findings.back().place, "entry 1795") << all(with_wal);
}

TEST_F(VerifyTest, AlteredTileAlone) {
  only_public_part();
  std::string tile = file(tile_path(0, 9));
  tile[77] ^= 1;
  disk_->set_file(tile_path(0, 9), tile);
  expect_findings(verify(), {{tile_path(0, 9), "altered"}});
}

TEST_F(VerifyTest, AlteredUpperTile) {
  std::string tile = file(tile_path(1, 0));
  tile[32 * 20] ^= 1;
  disk_->set_file(tile_path(1, 0), tile);
  const VerifyReport report = verify();
  ASSERT_GE(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].place, tile_path(1, 0)) << all(report);
}

TEST_F(VerifyTest, MissingBundleAndTile) {
  disk_->set_file(bundle_path(11), std::nullopt);
  disk_->set_file(tile_path(0, 30), std::nullopt);
  const VerifyReport report = verify();
  ASSERT_GE(report.findings.size(), 2u) << all(report);
  EXPECT_EQ(report.findings[0].place, bundle_path(11));
  EXPECT_NE(report.findings[0].problem.find("entry 2816 to 3071"), std::string::npos);
  EXPECT_EQ(report.findings[1].place, tile_path(0, 30));
}

TEST_F(VerifyTest, PartialTileAtTheEdge) {
  std::string tile = file(tile_path(0, 273, 112));
  tile[0] ^= 1;
  disk_->set_file(tile_path(0, 273, 112), tile);
  const VerifyReport report = verify();
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.findings[0].place, "entry 69888") << all(report);
}

TEST_F(VerifyTest, CheckpointForgedOrOfAnotherKey) {
  const TreeHead head{"rekey.test/verify", 10, leaf_hash("x")};
  const auto other = *VerifierKey::make("rekey.test/verify", key('o').public_key());
  disk_->set_file(kCheckpointPath, sign_note(head.text(), other, key('o')));
  const VerifyReport report = verify();
  expect_findings(report, {{kCheckpointPath, "not signed by the log's key"}});
  EXPECT_EQ(report.size, kEntries);  // by the private copy
  // With everything the thief can write re-signed, only a key kept elsewhere tells.
  disk_->set_file("key", other.text() + "\n");
  disk_->set_file("signed", std::nullopt);
  VerifyOptions options;
  options.key = *VerifierKey::make("rekey.test/verify", key().public_key());
  EXPECT_FALSE(verify(options).ok());
}

TEST_F(VerifyTest, TruncatedToAnOlderCheckpoint) {
  // The public part is put back to what it was at an older, truly signed checkpoint.
  disk_->set_file(kCheckpointPath, made_->kept_checkpoint);
  disk_->set_file("signed", made_->kept_checkpoint);
  VerifyOptions options;
  options.kept_checkpoints = {file("log/checkpoint")};
  disk_->set_file("signed", std::nullopt);
  EXPECT_TRUE(verify(options).ok()) << all(verify(options));
  options.kept_checkpoints = {made_->files.at(kCheckpointPath)};
  const VerifyReport report = verify(options);
  expect_findings(report, {{"kept checkpoint of size 70000", "entries 66000 to 69999 are gone"}});
}

TEST_F(VerifyTest, AnotherHistoryThanAKeptCheckpoint) {
  const auto verifier = *VerifierKey::make("rekey.test/verify", key().public_key());
  VerifyOptions options;
  options.kept_checkpoints = {sign_note(
      TreeHead{"rekey.test/verify", 500, leaf_hash("another past")}.text(), verifier, key())};
  expect_findings(verify(options), {{"kept checkpoint of size 500", "another one"}});
}

TEST_F(VerifyTest, WriteAheadLogGoneOrDamaged) {
  for (const auto& [path, bytes] : made_->files) {
    if (path.starts_with("wal/")) disk_->set_file(path, std::nullopt);
  }
  const VerifyReport report = verify();
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.findings[0].place, "wal");
}

}  // namespace
}  // namespace rekey::audit
