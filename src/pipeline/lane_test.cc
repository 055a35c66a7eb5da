#include "pipeline/lane.h"

#include <gtest/gtest.h>

#include "storage/memory_store.h"

namespace rekey::pipeline {
namespace {

struct Counted final : logical::DecodedRow {
  explicit Counted(int& the_count) : count(the_count) { count++; }
  ~Counted() override { count--; }
  int& count;
};

// Sealed means that no key is reachable: those that engines decoded go with the state.
TEST(Lane, ForgetsWhatEnginesDecoded) {
  int alive = 0;
  storage::MemoryStore store;
  base::Snapshot<State> state;
  state.publish(std::make_shared<State>());
  Lane lane(std::move(*store.open_reader()), state, [](std::function<void()>) {});
  ASSERT_NE(lane.state(), nullptr);
  for (int i = 0; i < 100; i++) {
    lane.decoded().keep(std::to_string(i), 1, std::make_shared<Counted>(alive));
  }
  EXPECT_GT(alive, 50);
  state.publish(nullptr);
  lane.forget();
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(lane.state(), nullptr);
}

}  // namespace
}  // namespace rekey::pipeline
