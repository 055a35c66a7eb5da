#include "barrier/barrier.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "crypto/testing/memory_scan.h"
#include "storage/memory_store.h"
#include "storage/testing/fault_store.h"

namespace rekey::barrier {
namespace {

using base::ErrorKind;
using base::SecretBytes;

class BarrierTest : public ::testing::Test {
 protected:
  std::unique_ptr<storage::Reader> reader() { return std::move(*store_.open_reader()); }
  Initialized initialize() {
    auto made = barrier_.initialize(seal_, {.shares = 5, .threshold = 3});
    EXPECT_TRUE(made.has_value());
    return std::move(*made);
  }
  SecretBytes unlock(const std::vector<SecretBytes>& shares) {
    const auto key = combine_shares(std::span(shares).first(3), 3);
    auto root_key = seal_.unwrap(*barrier_.seal_config(*reader()), *key);
    EXPECT_TRUE(root_key.has_value());
    return std::move(*root_key);
  }
  SecretBytes unlock_one(const SecretBytes& unseal_key) {
    auto root_key = seal_.unwrap(*barrier_.seal_config(*reader()), unseal_key);
    EXPECT_TRUE(root_key.has_value());
    return std::move(*root_key);
  }
  std::string stored(std::string_view key) {
    const auto from = reader();
    return std::string((*from->get(key))->value);
  }
  void overwrite(std::string_view key, std::string value) {
    store_.tamper(std::string(key), std::move(value));
  }

  base::SystemRandom random_;
  base::FakeClock clock_;
  storage::MemoryStore store_;
  ShamirSeal seal_;
  Barrier barrier_{store_, random_, clock_};
};

TEST_F(BarrierTest, StartsUninitializedAndSealed) {
  EXPECT_FALSE(*barrier_.initialized(*reader()));
  EXPECT_EQ(barrier_.seal_config(*reader()).error().kind(), ErrorKind::kUninitialized);
  EXPECT_TRUE(barrier_.sealed());
  EXPECT_EQ(barrier_.key_status().error().kind(), ErrorKind::kSealed);
  EXPECT_EQ(barrier_.rotate().error().kind(), ErrorKind::kSealed);
  EXPECT_EQ(barrier_.tend().error().kind(), ErrorKind::kSealed);
  EXPECT_EQ(barrier_.unseal(random_.secret(32)).error().kind(), ErrorKind::kUninitialized);
}

TEST_F(BarrierTest, InitializesOnce) {
  const Initialized made = initialize();
  EXPECT_TRUE(*barrier_.initialized(*reader()));
  EXPECT_TRUE(barrier_.sealed());
  EXPECT_EQ(made.shares.size(), 5u);
  EXPECT_TRUE(made.recovery_shares.empty());
  const auto again = barrier_.initialize(seal_, {.shares = 5, .threshold = 3});
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().kind(), ErrorKind::kPrecondition);
  EXPECT_EQ(again.error().message(), "Vault is already initialized");
  EXPECT_EQ(unlock(made.shares).reveal(), made.root_key.reveal());  // and harmed nothing
}

TEST_F(BarrierTest, RefusesBadCounts) {
  const auto made = barrier_.initialize(seal_, {.shares = 3, .threshold = 4});
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().message(),
            "invalid seal configuration: threshold cannot be larger than shares");
  EXPECT_FALSE(*barrier_.initialized(*reader()));
}

TEST_F(BarrierTest, UnsealsWithTheRootKeyOnly) {
  const Initialized made = initialize();
  EXPECT_EQ(barrier_.unseal(random_.secret(32)).error().kind(), ErrorKind::kCorrupt);
  EXPECT_TRUE(barrier_.sealed());
  ASSERT_TRUE(barrier_.unseal(unlock(made.shares)).has_value());
  EXPECT_FALSE(barrier_.sealed());
  EXPECT_EQ(barrier_.key_status()->term, 1u);
  EXPECT_EQ(barrier_.key_status()->install_time, clock_.wall());
  EXPECT_TRUE(barrier_.unseal(made.root_key).has_value());  // twice does nothing
}

TEST_F(BarrierTest, RefusesAnAlteredKeyringRow) {
  const Initialized made = initialize();
  const std::string good = stored(kKeyringRow);
  for (size_t at = 0; at < good.size(); at++) {
    std::string changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    overwrite(kKeyringRow, changed);
    EXPECT_EQ(barrier_.unseal(made.root_key).error().kind(), ErrorKind::kCorrupt) << at;
  }
  overwrite(kKeyringRow, good.substr(0, good.size() - 1));
  EXPECT_FALSE(barrier_.unseal(made.root_key).has_value());
  overwrite(kKeyringRow, good);
  EXPECT_TRUE(barrier_.unseal(made.root_key).has_value());
}

TEST_F(BarrierTest, RotatesWhileOthersRead) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> rounds{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; t++) {
    threads.emplace_back([&] {
      base::SystemRandom random;
      base::SnapshotReader<Keyring> keyrings(barrier_.keyrings());
      const std::string first = *keyrings.get()->encrypt("row", "first", random);
      std::string last = first;
      while (!stop) {
        const Keyring& keyring = *keyrings.get();
        const auto old_value = keyring.decrypt("row", first);
        const auto value = keyring.decrypt("row", last);
        if (!old_value || *old_value != "first" || !value) wrong++;
        const auto next = keyring.encrypt("row", "next", random);
        if (!next) wrong++;
        if (next) last = *next;
        rounds++;
      }
    });
  }
  for (uint32_t term = 2; term <= 30; term++) {
    clock_.advance(std::chrono::seconds(1));
    const auto rotated = barrier_.rotate();
    ASSERT_TRUE(rotated.has_value());
    EXPECT_EQ(*rotated, term);
    const int before = rounds;
    while (rounds == before) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(barrier_.key_status()->term, 30u);
  EXPECT_EQ(barrier_.key_status()->install_time, clock_.wall());
}

TEST_F(BarrierTest, ARotatedKeyringIsThereAfterARestart) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  const std::string old_value = *barrier_.keyring()->encrypt("a", "old", random_);
  ASSERT_TRUE(barrier_.rotate().has_value());
  const std::string new_value = *barrier_.keyring()->encrypt("a", "new", random_);
  const SecretBytes derived = barrier_.keyring()->derive("x");
  Barrier restarted(store_, random_, clock_);
  ASSERT_TRUE(restarted.unseal(made.root_key).has_value());
  EXPECT_EQ(*restarted.keyring()->decrypt("a", old_value), "old");
  EXPECT_EQ(*restarted.keyring()->decrypt("a", new_value), "new");
  EXPECT_EQ(restarted.keyring()->derive("x").reveal(), derived.reveal());
  EXPECT_TRUE(restarted.keyring()->encrypt("a", "b", random_).has_value());
}

TEST_F(BarrierTest, TendingPaysForEncryptionsInAdvance) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  const std::shared_ptr<const Keyring> keyring = barrier_.keyring();
  const std::string row = stored(kKeyringRow);
  const uint64_t reserved = keyring->encryptions_reserved();
  ASSERT_TRUE(barrier_.tend().has_value());
  EXPECT_EQ(stored(kKeyringRow), row);  // nothing to do
  for (uint64_t i = 0; i < kEncryptionReserve / 2; i++) {
    ASSERT_TRUE(keyring->encrypt("a", "", random_).has_value());
  }
  ASSERT_TRUE(barrier_.tend().has_value());
  EXPECT_NE(stored(kKeyringRow), row);
  EXPECT_GT(keyring->encryptions_reserved(), reserved);
  const uint64_t used = keyring->encryptions();
  Barrier restarted(store_, random_, clock_);
  ASSERT_TRUE(restarted.unseal(made.root_key).has_value());
  EXPECT_GE(restarted.key_status()->encryptions, used);
  EXPECT_LE(restarted.key_status()->encryptions, used + 2 * kEncryptionReserve);
}

TEST_F(BarrierTest, TendingRotatesByAgeAndNumberAsToldTo) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  barrier_.set_rotation_policy({.interval = std::chrono::hours(24)});
  ASSERT_TRUE(barrier_.tend().has_value());
  EXPECT_EQ(barrier_.key_status()->term, 1u);
  clock_.advance(std::chrono::hours(24));
  ASSERT_TRUE(barrier_.tend().has_value());
  EXPECT_EQ(barrier_.key_status()->term, 2u);
  ASSERT_TRUE(barrier_.tend().has_value());
  EXPECT_EQ(barrier_.key_status()->term, 2u) << "the new key is young";
  ASSERT_TRUE(barrier_.keyring()->encrypt("a", "b", random_).has_value());
  barrier_.set_rotation_policy({.enabled = false, .encryptions_max = 1});
  ASSERT_TRUE(barrier_.tend().has_value());
  EXPECT_EQ(barrier_.key_status()->term, 2u) << "switched off";
  barrier_.set_rotation_policy({.encryptions_max = 1});
  ASSERT_TRUE(barrier_.tend().has_value());
  EXPECT_EQ(barrier_.key_status()->term, 3u);
}

// A store that was unsealed again and again, each time losing one reserve, until a term is due.
TEST_F(BarrierTest, TendingRotatesBeforeTheBound) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  const uint64_t restarts = kTermEncryptionsDue / kEncryptionReserve;
  for (uint64_t i = 0; i <= restarts; i++) {
    Barrier restarted(store_, random_, clock_);
    ASSERT_TRUE(restarted.unseal(made.root_key).has_value());
    if (restarted.key_status()->encryptions < kTermEncryptionsDue) continue;
    EXPECT_EQ(restarted.key_status()->term, 1u);
    ASSERT_TRUE(restarted.tend().has_value());
    EXPECT_EQ(restarted.key_status()->term, 2u);
    EXPECT_EQ(restarted.key_status()->encryptions, 0u);
    EXPECT_TRUE(restarted.keyring()->encrypt("a", "b", random_).has_value());
    return;
  }
  FAIL() << "a term was never due";
}

TEST_F(BarrierTest, SealingLetsGoOfTheKeysWhenEveryReaderDid) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  base::SnapshotReader<Keyring> lane(barrier_.keyrings());
  lane.get();
  ASSERT_TRUE(barrier_.rotate().has_value());
  EXPECT_FALSE(barrier_.wiped());
  barrier_.seal();
  EXPECT_TRUE(barrier_.sealed());
  EXPECT_FALSE(barrier_.wiped());  // the lane still has the keyring from before the rotation
  lane.drop();
  EXPECT_TRUE(barrier_.wiped());
  EXPECT_EQ(lane.get(), nullptr);
  EXPECT_EQ(barrier_.raise_epoch().error().kind(), ErrorKind::kSealed);
}

TEST_F(BarrierTest, AfterSealingNoKeyIsInMemory) {
  if (!crypto::testing::memory_scan_works()) GTEST_SKIP() << "sanitized";
  std::optional<Initialized> made = initialize();
  const crypto::testing::Needle root_key(made->root_key.reveal());
  ASSERT_TRUE(barrier_.unseal(made->root_key).has_value());
  std::optional<SecretBytes> row = barrier_.keyring()->serialize(0);
  const crypto::testing::Needle term_key(row->reveal().substr(1 + 32 + 4 + 4 + 8 + 8, 32));
  row.reset();
  ASSERT_TRUE(barrier_.keyring()->encrypt("a", "b", random_).has_value());
  made.reset();
  EXPECT_GE(root_key.count_in_memory(), 1u);
  EXPECT_GE(term_key.count_in_memory(), 1u);
  barrier_.seal();
  EXPECT_TRUE(barrier_.wiped());
  EXPECT_EQ(root_key.count_in_memory(), 0u);
  EXPECT_EQ(term_key.count_in_memory(), 0u);
}

TEST_F(BarrierTest, ANewSealReplacesTheOldOneAtOnce) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  const std::string value = *barrier_.keyring()->encrypt("a", "value", random_);
  const auto next = barrier_.prepare_seal(seal_, {.shares = 3, .threshold = 2});
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(barrier_.seal_config(*reader())->counts.shares, 5);  // not in force yet
  ASSERT_TRUE(barrier_.apply(*next).has_value());
  EXPECT_EQ(barrier_.seal_config(*reader())->counts, (ShareCounts{.shares = 3, .threshold = 2}));
  ASSERT_TRUE(barrier_.rotate().has_value());  // under the new root key
  barrier_.seal();
  EXPECT_FALSE(barrier_.unseal(made.root_key).has_value());
  const auto key = combine_shares(std::span(next->shares).first(2), 2);
  EXPECT_TRUE(barrier_.verify_unseal_key(*reader(), seal_, *key).has_value());
  EXPECT_FALSE(barrier_.verify_unseal_key(*reader(), seal_, random_.secret(32)).has_value());
  const auto root_key = seal_.unwrap(*barrier_.seal_config(*reader()), *key);
  ASSERT_TRUE(barrier_.unseal(*root_key).has_value());
  EXPECT_EQ(*barrier_.keyring()->decrypt("a", value), "value");
}

TEST_F(BarrierTest, ASealWithoutSharesGetsRecoveryShares) {
  const auto seal = StaticKeySeal::create(::testing::TempDir() + "/" + random_.uuid(), random_);
  ASSERT_TRUE(seal.has_value());
  const auto made = barrier_.initialize(**seal, {}, {.shares = 3, .threshold = 2});
  ASSERT_TRUE(made.has_value());
  EXPECT_TRUE(made->shares.empty());
  ASSERT_EQ(made->recovery_shares.size(), 3u);
  const auto root_key = (*seal)->unwrap(*barrier_.seal_config(*reader()), SecretBytes());
  ASSERT_TRUE(barrier_.unseal(*root_key).has_value());
  EXPECT_EQ(*barrier_.recovery_counts(*reader()), (ShareCounts{.shares = 3, .threshold = 2}));
  const auto key = combine_shares(std::span(made->recovery_shares).subspan(1, 2), 2);
  EXPECT_TRUE(barrier_.verify_recovery_key(*reader(), *key).has_value());
  EXPECT_EQ(barrier_.verify_recovery_key(*reader(), random_.secret(32)).error().kind(),
            ErrorKind::kInvalid);
  const auto next = barrier_.prepare_recovery({.shares = 1, .threshold = 1});
  ASSERT_TRUE(barrier_.apply(*next).has_value());
  EXPECT_TRUE(barrier_.verify_recovery_key(*reader(), next->shares[0]).has_value());
  EXPECT_FALSE(barrier_.verify_recovery_key(*reader(), *key).has_value());
}

TEST_F(BarrierTest, WithoutARecoveryKeyThereIsNone) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  EXPECT_FALSE(barrier_.recovery_counts(*reader())->has_value());
  EXPECT_EQ(barrier_.verify_recovery_key(*reader(), random_.secret(32)).error().kind(),
            ErrorKind::kNotFound);
}

TEST_F(BarrierTest, TheEpochGrowsAndCantBePutBack) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  EXPECT_EQ(*barrier_.epoch(*reader()), 0u);
  EXPECT_EQ(*barrier_.raise_epoch(), 1u);
  const std::string older = stored(kEpochRow);
  EXPECT_EQ(*barrier_.raise_epoch(), 2u);
  EXPECT_EQ(*barrier_.epoch(*reader()), 2u);
  EXPECT_EQ(*barrier_.raise_epoch(7), 7u);
  EXPECT_EQ(*barrier_.raise_epoch(3), 8u);
  overwrite(kEpochRow, older);
  EXPECT_EQ(barrier_.epoch(*reader()).error().kind(), ErrorKind::kCorrupt);
  overwrite(kEpochRow, older.substr(1));
  EXPECT_EQ(barrier_.epoch(*reader()).error().kind(), ErrorKind::kCorrupt);
}

// A store that can fail: what must never happen is a keyring that no known key opens.
class FailingBarrierTest : public BarrierTest {
 protected:
  storage::FaultStore faults_{store_, 1};
  Barrier failing_{faults_, random_, clock_};
};

TEST_F(FailingBarrierTest, AReadOnlyStoreCanBeUnsealedAndRead) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  const std::string value = *barrier_.keyring()->encrypt("a", "value", random_);
  faults_.set_read_only(true);
  ASSERT_TRUE(failing_.unseal(made.root_key).has_value());
  EXPECT_EQ(*failing_.keyring()->decrypt("a", value), "value");
  EXPECT_EQ(failing_.keyring()->encrypt("a", "b", random_).error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(failing_.tend().error().kind(), ErrorKind::kUnavailable);
  EXPECT_FALSE(failing_.rotate().has_value());
  EXPECT_EQ(failing_.key_status()->term, 1u);
  faults_.set_read_only(false);
  ASSERT_TRUE(failing_.tend().has_value());
  EXPECT_TRUE(failing_.keyring()->encrypt("a", "b", random_).has_value());
}

TEST_F(FailingBarrierTest, AnUnknownOutcomeIsFoundOut) {
  using storage::CommitFault;
  faults_.program_commits({CommitFault::kUnknownLost, CommitFault::kUnknownWritten});
  EXPECT_FALSE(failing_.initialize(seal_, {.shares = 1, .threshold = 1}).has_value());
  const auto made = failing_.initialize(seal_, {.shares = 1, .threshold = 1});
  ASSERT_TRUE(made.has_value());
  ASSERT_TRUE(failing_.unseal(made->root_key).has_value());
  faults_.program_commits({CommitFault::kUnknownLost, CommitFault::kUnknownWritten});
  EXPECT_FALSE(failing_.rotate().has_value());
  EXPECT_EQ(failing_.key_status()->term, 1u);
  EXPECT_EQ(*failing_.rotate(), 2u);
  const auto next = failing_.prepare_seal(seal_, {.shares = 1, .threshold = 1});
  faults_.program_commits({CommitFault::kUnknownLost});
  EXPECT_FALSE(failing_.apply(*next).has_value());
  EXPECT_EQ(*failing_.rotate(), 3u);  // still under the old root key
  EXPECT_EQ(unlock_one(made->shares[0]).reveal(), made->root_key.reveal());
  faults_.program_commits({CommitFault::kUnknownWritten});
  ASSERT_TRUE(failing_.apply(*next).has_value());
  EXPECT_EQ(*failing_.rotate(), 4u);
  Barrier restarted(store_, random_, clock_);
  ASSERT_TRUE(restarted.unseal(unlock_one(next->shares[0])).has_value());
  EXPECT_EQ(restarted.key_status()->term, 4u);
}

TEST_F(FailingBarrierTest, AKeyringChangedElsewhereIsTakenOverNotOverwritten) {
  const Initialized made = initialize();
  ASSERT_TRUE(barrier_.unseal(made.root_key).has_value());
  ASSERT_TRUE(failing_.unseal(made.root_key).has_value());
  ASSERT_EQ(barrier_.rotate().error().kind(), ErrorKind::kConflict);  // the other one paid
  ASSERT_EQ(*barrier_.rotate(), 2u);
  const std::string value = *barrier_.keyring()->encrypt("a", "value", random_);
  EXPECT_EQ(failing_.rotate().error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(*failing_.keyring()->decrypt("a", value), "value");
  EXPECT_EQ(*failing_.rotate(), 3u);
  EXPECT_EQ(*failing_.keyring()->decrypt("a", value), "value");
}

// A disk that hangs must not keep anybody from sealing.
TEST_F(FailingBarrierTest, SealingDoesNotWaitForTheStore) {
  const Initialized made = initialize();
  ASSERT_TRUE(failing_.unseal(made.root_key).has_value());
  faults_.hold_commits(true);
  std::thread rotating([&] { (void)failing_.rotate(); });
  while (faults_.held() == 0) std::this_thread::yield();
  failing_.seal();
  EXPECT_TRUE(failing_.sealed());
  faults_.hold_commits(false);
  rotating.join();
  EXPECT_TRUE(failing_.sealed());
  EXPECT_TRUE(failing_.wiped());
  ASSERT_TRUE(failing_.unseal(made.root_key).has_value());
  EXPECT_EQ(failing_.key_status()->term, 1u);  // came too late: nothing is written while sealed
}

}  // namespace
}  // namespace rekey::barrier
