// Old entries are taken out: what is left can be proven, what was taken out too, and a crash at any
// moment loses nothing.
#include "audit/retention.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "audit/entry_source.h"
#include "audit/log.h"
#include "audit/proof.h"
#include "audit/record.h"
#include "audit/testing/fault_disk.h"
#include "audit/tiles.h"
#include "audit/verify.h"

namespace rekey::audit {
namespace {

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);
constexpr base::WallTime kStart{std::chrono::seconds(1'790'000'000)};
constexpr uint64_t kEntries = 256 * 5 + 40;

std::string make_entry(uint64_t i) {
  RecordInput input;
  input.time = kStart + std::chrono::seconds(i);
  const std::string path = "secret/data/" + std::to_string(i);
  input.path = path;
  std::string entry;
  append_record(input, nullptr, entry);
  return entry;
}

class RetentionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "/rekey-retention-XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    log_ = open_log();
    for (uint64_t i = 0; i < kEntries; ++i) ASSERT_TRUE(log_->append(make_entry(i)));
    ASSERT_TRUE(log_->wait_durable(kEntries));
    ASSERT_TRUE(log_->checkpoint_now());
  }
  void TearDown() override {
    log_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::unique_ptr<Log> open_log() {
    Log::Options options;
    options.directory = folder_ + "/log";
    options.origin = "rekey.test/retention";
    auto log = Log::open(options, kClock, random_, kNoLog);
    EXPECT_TRUE(log) << log.error().describe();
    auto key =
        crypto::Ed25519PrivateKey::from_seed(base::SecretBytes::copy_of(std::string(32, 'b')));
    EXPECT_TRUE((*log)->set_signer(std::move(*key)));
    return std::move(*log);
  }
  VerifyReport verify(bool with_archive) {
    auto disk = open_posix_disk_for_reading(folder_ + "/log");
    auto archive = open_posix_disk_for_reading(folder_ + "/archive");
    VerifyOptions options;
    options.key = *VerifierKey::parse(log_->verifier_key());
    if (with_archive) options.archive = archive->get();
    return *verify_log(**disk, options);
  }

  base::SystemRandom random_;
  std::string folder_;
  std::unique_ptr<Log> log_;
};

TEST_F(RetentionTest, WhatIsLeftAndWhatWasMovedCanBeProven) {
  // Entry 700 is in the third bundle: two whole ones are older.
  const auto retired = log_->retire(kStart + std::chrono::seconds(700), folder_ + "/archive");
  ASSERT_TRUE(retired) << retired.error().describe();
  EXPECT_EQ(retired->entries, 512u);
  EXPECT_EQ(retired->first_kept, 512u);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/log/" + bundle_path(1)));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/archive/" + bundle_path(1)));
  EXPECT_EQ(log_->entry(5).error().kind(), base::ErrorKind::kNotFound);
  EXPECT_EQ(*log_->entry(512), make_entry(512));
  const auto proof = log_->prove(600);
  ASSERT_TRUE(proof);
  EXPECT_TRUE(verify_proof(*TlogProof::parse(*proof), make_entry(600),
                           *VerifierKey::parse(log_->verifier_key())));
  auto source = FolderSource::open(folder_ + "/log", folder_ + "/archive");
  ASSERT_TRUE(source);
  EXPECT_EQ(*(*source)->entry(5), make_entry(5));
  TileTree tree((*source)->disk(), (*source)->signed_size());
  EXPECT_TRUE(inclusion_path(tree, 5, (*source)->signed_size()));
  const VerifyReport with = verify(true), without = verify(false);
  EXPECT_TRUE(with.ok()) << with.findings[0].place << with.findings[0].problem;
  EXPECT_EQ(with.entries_checked, kEntries);
  EXPECT_EQ(with.entries_taken_out, 0u);
  EXPECT_TRUE(without.ok());
  EXPECT_EQ(without.entries_taken_out, 512u);
  // An archive that was altered, or isn't all there, shows.
  std::filesystem::resize_file(folder_ + "/archive/" + bundle_path(0), 1'000);
  EXPECT_FALSE(verify(true).ok());
  std::filesystem::remove(folder_ + "/archive/" + bundle_path(0));
  EXPECT_FALSE(verify(true).ok());
}

TEST_F(RetentionTest, TheLogGoesOnAfterARestart) {
  ASSERT_TRUE(log_->retire(kStart + std::chrono::hours(1), {}));  // older than all
  EXPECT_EQ(*first_kept_entry(**open_posix_disk_for_reading(folder_ + "/log")), 256u * 5);
  log_.reset();  // lets go of the lock
  log_ = open_log();
  EXPECT_FALSE(log_->health().damaged) << log_->health().reason;
  for (uint64_t i = kEntries; i < kEntries + 300; ++i) ASSERT_TRUE(log_->append(make_entry(i)));
  ASSERT_TRUE(log_->wait_durable(kEntries + 300));
  ASSERT_TRUE(log_->checkpoint_now());
  EXPECT_TRUE(log_->prove(kEntries + 299));
  EXPECT_TRUE(log_->consistency_proof(kEntries, kEntries + 300));
  EXPECT_TRUE(verify(false).ok());
  // The next turn takes what is old by then.
  EXPECT_EQ(log_->retire(kStart + std::chrono::hours(1), {})->first_kept, 256u * 6);
}

TEST_F(RetentionTest, AnAlteredBundleIsntMoved) {
  std::filesystem::resize_file(folder_ + "/log/" + bundle_path(1), 1'000);
  const auto retired = log_->retire(kStart + std::chrono::hours(1), folder_ + "/archive");
  ASSERT_FALSE(retired);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/log/" + bundle_path(0)));
}

TEST(Retention, ACrashAtAnyMomentLosesNothing) {
  base::SystemRandom random;
  auto machine = std::make_shared<FaultDisk>(1);
  Log::Options options;
  options.origin = "rekey.test/retention";
  options.group_bytes_max = 200 * 1024;
  options.wal_segment_bytes = 512 * 1024;
  {
    auto log = *Log::open_on(machine->handle(), options, kClock, random, kNoLog);
    auto key =
        crypto::Ed25519PrivateKey::from_seed(base::SecretBytes::copy_of(std::string(32, 'b')));
    ASSERT_TRUE(log->set_signer(std::move(*key)));
    for (uint64_t i = 0; i < kEntries; ++i) ASSERT_TRUE(log->append(make_entry(i)));
    ASSERT_TRUE(log->wait_durable(kEntries));
    ASSERT_TRUE(log->checkpoint_now());
  }
  const auto files = machine->files();
  for (uint64_t operation = 1; operation < 40; ++operation) {
    auto from = std::make_shared<FaultDisk>(operation), to = std::make_shared<FaultDisk>(operation);
    for (const auto& [path, bytes] : files) from->set_file(path, bytes);
    from->die_at(operation);
    (void)retire_entries(*from->handle(), to->handle().get(), kEntries, 256 * 4);
    from->restart();
    to->lose_power();
    const auto log = from->handle(), archive = to->handle();
    for (uint64_t bundle = 0; bundle < 5; ++bundle) {
      const std::string& was = files.at(bundle_path(bundle));
      const auto kept = log->read(bundle_path(bundle), kBundleBytesMax);
      const auto moved = archive->read(bundle_path(bundle), kBundleBytesMax);
      EXPECT_TRUE((kept && *kept == was) || (moved && *moved == was))
          << "operation " << operation << ", bundle " << bundle;
    }
    // Tried again, it is done.
    const auto retired = retire_entries(*log, archive.get(), kEntries, 256 * 4);
    ASSERT_TRUE(retired) << operation << " " << retired.error().describe();
    EXPECT_EQ(retired->first_kept, 256u * 4);
    EXPECT_FALSE(log->read(bundle_path(3), kBundleBytesMax));
    VerifyOptions verify_options;
    verify_options.archive = archive.get();
    const auto report = verify_log(*log, verify_options);
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->ok()) << operation;
    EXPECT_EQ(report->entries_taken_out, 0u);
  }
}

}  // namespace
}  // namespace rekey::audit
