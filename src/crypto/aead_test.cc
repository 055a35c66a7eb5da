#include "crypto/aead.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/random.h"
#include "crypto/testing/memory_scan.h"
#include "crypto/testing/vectors.h"

namespace rekey::crypto {
namespace {

using base::SecretBytes;
using testing::from_hex;

TEST(Aead, AgreesWithNist) {
  size_t failing = 0;
  for (const auto& fields : testing::read_vectors("crypto/testdata/nist_aes256_gcm.txt")) {
    ASSERT_EQ(fields.size(), 7u);
    const Aead aead(SecretBytes::copy_of(from_hex(fields[0])));
    const std::string nonce = from_hex(fields[1]);
    const std::string aad = from_hex(fields[2]);
    const std::string sealed = from_hex(fields[4]) + from_hex(fields[5]);
    // The two parts of the associated data count as one, wherever the cut is.
    const std::string_view aad_1 = std::string_view(aad).substr(0, aad.size() / 3);
    const std::string_view aad_2 = std::string_view(aad).substr(aad.size() / 3);
    std::string opened = "before";
    const base::Result<void> result = aead.open(nonce, aad_1, aad_2, sealed, opened);
    if (fields[6] == "fail") {
      failing++;
      ASSERT_FALSE(result.has_value());
      EXPECT_EQ(result.error().kind(), base::ErrorKind::kCorrupt);
      EXPECT_EQ(opened, "before");
      continue;
    }
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(opened, "before" + from_hex(fields[3]));
    std::string again = "x";
    aead.seal(nonce, aad_1, aad_2, from_hex(fields[3]), again);
    EXPECT_EQ(again, "x" + sealed);
  }
  EXPECT_GT(failing, 20u);
}

TEST(Aead, RefusesEveryChangedBit) {
  base::SeededRandom random(1);
  const Aead aead(random.secret(kAeadKeyBytes));
  const std::string nonce = random.bytes(kAeadNonceBytes);
  std::string sealed;
  aead.seal(nonce, "a", "b", "the plaintext", sealed);
  for (size_t bit = 0; bit < sealed.size() * 8; bit++) {
    std::string changed = sealed;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    std::string out;
    EXPECT_FALSE(aead.open(nonce, "a", "b", changed, out).has_value());
    EXPECT_TRUE(out.empty());
  }
  for (size_t size = 0; size < sealed.size(); size++) {
    std::string out;
    EXPECT_FALSE(aead.open(nonce, "a", "b", sealed.substr(0, size), out).has_value());
  }
  std::string out;
  EXPECT_FALSE(aead.open(nonce, "a", "c", sealed, out).has_value());
  EXPECT_FALSE(aead.open(nonce.substr(1), "a", "b", sealed, out).has_value());
  EXPECT_TRUE(aead.open(nonce, "a", "b", sealed, out).has_value());  // nothing above spoiled it
}

TEST(Aead, ServesManyThreadsAtOnce) {
  base::SeededRandom random(2);
  const Aead aead(random.secret(kAeadKeyBytes));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; t++) {
    threads.emplace_back([&aead, &wrong, t] {
      base::SeededRandom own(100 + static_cast<uint64_t>(t));
      for (int i = 0; i < 2000; i++) {
        const std::string nonce = own.bytes(kAeadNonceBytes);
        const std::string plaintext = own.bytes(static_cast<size_t>(i % 97));
        std::string sealed;
        std::string opened;
        aead.seal(nonce, "aad", plaintext, plaintext, sealed);
        if (!aead.open(nonce, "aad", plaintext, sealed, opened) || opened != plaintext) wrong++;
        sealed[0] = static_cast<char>(sealed[0] ^ 1);
        if (aead.open(nonce, "aad", plaintext, sealed, opened)) wrong++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// Key schedules begin with the key itself, so a scan for the key finds those too.
TEST(Aead, LeavesNothingOfTheKeyInAnyThread) {
  if (!testing::memory_scan_works()) GTEST_SKIP() << "sanitized";
  base::SystemRandom random;
  std::optional<SecretBytes> key = random.secret(kAeadKeyBytes);
  const testing::Needle needle(key->reveal());
  auto aead = std::make_unique<Aead>(*key);
  std::atomic<int> used{0};
  std::atomic<bool> gone{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; t++) {
    threads.emplace_back([&] {
      std::string sealed;
      aead->seal("123456789012", {}, {}, "plaintext", sealed);
      used++;
      while (!gone) std::this_thread::yield();  // the thread, and what it keeps, outlives the key
    });
  }
  while (used < 3) std::this_thread::yield();
  EXPECT_GE(needle.count_in_memory(), 3u);  // the scan does find key and key schedules
  aead.reset();
  key.reset();
  EXPECT_EQ(needle.count_in_memory(), 0u);
  gone = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace rekey::crypto
