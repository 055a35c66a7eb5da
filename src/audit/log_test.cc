#include "audit/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "audit/merkle.h"
#include "audit/note.h"
#include "audit/proof.h"

namespace rekey::audit {
namespace {

using base::ErrorKind;

class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    std::string pattern = ::testing::TempDir() + "rekey-audit-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~LogTest() override { std::filesystem::remove_all(directory_); }

  Log::Options options() {
    Log::Options options;
    options.directory = directory_ + "/audit";
    options.origin = "rekey.test/log";
    options.wal_segment_bytes = 64 * 1024;
    options.group_bytes_max = 32 * 1024 + 65'535;
    options.wal_segment_bytes = 256 * 1024;
    options.retry_interval = std::chrono::milliseconds(5);
    return options;
  }
  std::unique_ptr<Log> open() { return open(options()); }
  std::unique_ptr<Log> open(Log::Options options) {
    auto log = Log::open(options, clock_, random_, operator_log_);
    EXPECT_TRUE(log) << log.error().describe();
    return std::move(*log);
  }
  crypto::Ed25519PrivateKey key(char fill = 'k') {
    return *crypto::Ed25519PrivateKey::from_seed(base::SecretBytes::copy_of(std::string(32, fill)));
  }
  static std::string entry_text(uint64_t index) {
    return "{\"entry\":" + std::to_string(index) + std::string(index % 700, 'x') + "}";
  }
  // Appends entries up to index `end` and waits for them.
  void fill(Log& log, uint64_t from, uint64_t end) {
    for (uint64_t i = from; i < end; ++i) {
      auto index = log.append(entry_text(i), i);
      while (!index && index.error().kind() == ErrorKind::kLimited) {
        std::this_thread::yield();
        index = log.append(entry_text(i), i);
      }
      ASSERT_TRUE(index) << index.error().describe();
      ASSERT_EQ(*index, i);
    }
    auto durable = log.wait_durable(end);
    ASSERT_TRUE(durable) << durable.error().describe();
    EXPECT_GE(log.durable_size(), end);
  }
  void expect_entries(const Log& log, uint64_t end) {
    ASSERT_GE(log.durable_size(), end) << "they were never written";
    while (log.readable_size() < end) std::this_thread::yield();
    uint64_t seen = 0;
    auto next = log.read(0, end + 10, [&](uint64_t index, std::string_view entry) {
      EXPECT_EQ(index, seen);
      EXPECT_EQ(entry, entry_text(index));
      ++seen;
      return true;
    });
    ASSERT_TRUE(next) << next.error().describe();
    EXPECT_EQ(*next, end);
  }

  std::string directory_;
  base::SystemClock clock_;
  base::SystemRandom random_;
  base::Log operator_log_{clock_, -1};
};

TEST_F(LogTest, AppendsAreDurableReadableAndThereAfterReopening) {
  {
    auto log = open();
    fill(*log, 0, 1000);
    expect_entries(*log, 1000);
  }
  auto log = open();
  EXPECT_EQ(log->durable_size(), 1000u);
  expect_entries(*log, 1000);
  EXPECT_EQ(log->store_revision_floor(), 999u);
  fill(*log, 1000, 1300);
  expect_entries(*log, 1300);
  EXPECT_EQ(*log->entry(1299), entry_text(1299));
  EXPECT_EQ(log->entry(1300).error().kind(), ErrorKind::kNotFound);
}

TEST_F(LogTest, CheckpointsAreSignedAndProofsVerify) {
  auto log = open();
  EXPECT_EQ(log->checkpoint_now().error().kind(), ErrorKind::kSealed);
  ASSERT_TRUE(log->set_signer(key()));
  fill(*log, 0, 700);
  const Checkpoint first = *log->checkpoint_now();
  fill(*log, 700, 1500);
  const Checkpoint second = *log->checkpoint_now();
  EXPECT_EQ(first.size, 700u);
  EXPECT_EQ(second.size, 1500u);
  const VerifierKey verifier = *VerifierKey::parse(log->verifier_key());
  EXPECT_TRUE(verify_note(*parse_note(second.note), verifier));
  EXPECT_TRUE(
      verify_consistency(700, 1500, *log->consistency_proof(700, 1500), first.root, second.root));
  for (uint64_t index : {0u, 255u, 256u, 699u, 1499u}) {
    const TlogProof proof = *TlogProof::parse(*log->prove(index));
    auto proven = verify_proof(proof, entry_text(index), verifier);
    ASSERT_TRUE(proven) << proven.error().describe();
    EXPECT_EQ(proven->head.size, 1500u);
    EXPECT_FALSE(verify_proof(proof, entry_text(index + 1), verifier));
  }
}

TEST_F(LogTest, AnotherKeyIsRefused) {
  {
    auto log = open();
    ASSERT_TRUE(log->set_signer(key('a')));
  }
  auto log = open();
  EXPECT_EQ(log->set_signer(key('b')).error().kind(), ErrorKind::kPrecondition);
  EXPECT_TRUE(log->set_signer(key('a')));
}

TEST_F(LogTest, ManySegmentsAreRecycled) {
  auto log = open();
  ASSERT_TRUE(log->set_signer(key()));
  fill(*log, 0, 20'000);
  expect_entries(*log, 20'000);
  // 7 MB went through; the segments that hold it are far fewer.
  EXPECT_LE(log->health().wal_bytes, 16u * 256 * 1024);
  log.reset();
  log = open();
  expect_entries(*log, 20'000);
  EXPECT_FALSE(log->health().damaged);
  EXPECT_EQ(log->last_checkpoint()->size, 20'000u);
}

TEST_F(LogTest, ListenersSeeEveryGroup) {
  auto log = open();
  std::atomic<uint64_t> seen{0};
  log->add_listener([&](const Progress& progress) {
    EXPECT_GE(progress.durable_size, seen.load());
    seen = progress.durable_size;
  });
  log->set_group_target(50);
  fill(*log, 0, 500);
  log->close();
  EXPECT_EQ(seen, 500u);
  EXPECT_EQ(log->append("late").error().kind(), ErrorKind::kUnavailable);
}

TEST_F(LogTest, AGroupIsCommittedAtItsTargetOrByAFlush) {
  auto log = open();
  log->set_group_target(3);
  ASSERT_TRUE(log->append("{\"n\":0}"));
  ASSERT_TRUE(log->append("{\"n\":1}"));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(log->durable_size(), 0u);
  EXPECT_FALSE(log->committing());
  ASSERT_TRUE(log->append("{\"n\":2}"));
  while (log->durable_size() < 3) std::this_thread::yield();
  ASSERT_TRUE(log->append("{\"n\":3}"));
  log->flush();
  while (log->durable_size() < 4) std::this_thread::yield();
  while (log->committing()) std::this_thread::yield();
}

TEST_F(LogTest, InMemory) {
  Log::Options options = this->options();
  options.in_memory = true;
  options.directory = "/nonexistent";
  auto log = open(options);
  ASSERT_TRUE(log->set_signer(key()));
  fill(*log, 0, 5'000);
  expect_entries(*log, 5'000);
  EXPECT_EQ(log->checkpoint_now()->size, 5'000u);
  EXPECT_TRUE(log->health().in_memory);
}

TEST_F(LogTest, ConcurrentAppendersGetTheirOwnPlaces) {
  auto log = open();
  log->set_group_target(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string text =
            "{\"t\":" + std::to_string(t) + ",\"i\":" + std::to_string(i) + "}";
        const auto index = log->append(text);
        ASSERT_TRUE(index);
        ASSERT_TRUE(log->wait_durable(*index + 1));
        while (log->readable_size() <= *index) std::this_thread::yield();
        EXPECT_EQ(*log->entry(*index), text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(log->durable_size(), 200u);
}

TEST_F(LogTest, BadEntriesAndOptionsAreRefused) {
  auto log = open();
  EXPECT_EQ(log->append("").error().kind(), ErrorKind::kTooLarge);
  EXPECT_EQ(log->append(std::string(kEntryBytesMax + 1, 'x')).error().kind(), ErrorKind::kTooLarge);
  const std::string longest(kEntryBytesMax, 'x');
  ASSERT_TRUE(log->append(longest));
  ASSERT_TRUE(log->wait_durable(1));
  while (log->readable_size() < 1) std::this_thread::yield();
  EXPECT_EQ(*log->entry(0), longest);
  // Locked by the one that is open.
  EXPECT_EQ(Log::open(options(), clock_, random_, operator_log_).error().kind(),
            ErrorKind::kUnavailable);
  log.reset();
  Log::Options renamed = options();
  renamed.origin = "rekey.test/other";
  EXPECT_EQ(Log::open(renamed, clock_, random_, operator_log_).error().kind(),
            ErrorKind::kPrecondition);
}

}  // namespace
}  // namespace rekey::audit
