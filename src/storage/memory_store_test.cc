#include "storage/memory_store.h"

#include "storage/testing/store_contract.h"

namespace rekey::storage {
namespace {

class MemoryUnderTest final : public StoreUnderTest {
 public:
  explicit MemoryUnderTest(Limits limits) : store_(limits) {}
  Store& store() override { return store_; }

 private:
  MemoryStore store_;
};

INSTANTIATE_TEST_SUITE_P(
    Memory, StoreContract,
    testing::Values(StoreKind{"memory",
                              [] { return std::make_unique<MemoryUnderTest>(kEmbeddedLimits); }},
                    // What etcd takes in one commit.
                    StoreKind{"small",
                              [] {
                                return std::make_unique<MemoryUnderTest>(
                                    Limits{.key_bytes_max = 400,
                                           .value_bytes_max = 1u << 20,
                                           .batch_ops_max = 128,
                                           .batch_bytes_max = 1'400'000});
                              }}),
    kind_name);

// A tree that degenerates would take minutes and overflow the stack here.
TEST(MemoryStore, SortedInsertionStaysBalanced) {
  MemoryStore store;
  for (int part = 0; part < 20; ++part) {
    Batch batch;
    for (int i = 0; i < 5'000; ++i) {
      batch.puts.push_back({"key-" + std::to_string(1'000'000 + part * 5'000 + i), "v"});
    }
    ASSERT_TRUE(store.commit_and_wait(std::move(batch)));
  }
  EXPECT_EQ(store.health().keys, 100'000u);
  auto reader = store.open_reader();
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->scan("", "key-1099998", 9).value(),
            (std::vector<std::string>{"key-1099999"}));
}

}  // namespace
}  // namespace rekey::storage
