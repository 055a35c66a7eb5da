#include "base/snapshot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace rekey::base {
namespace {

TEST(Snapshot, AReaderSeesWhatWasPublishedLast) {
  Snapshot<int> snapshot;
  SnapshotReader<int> reader(snapshot);
  EXPECT_EQ(reader.get(), nullptr);
  snapshot.publish(std::make_shared<const int>(1));
  EXPECT_EQ(*reader.get(), 1);
  EXPECT_EQ(reader.get().get(), snapshot.get().get());
  snapshot.publish(std::make_shared<const int>(2));
  EXPECT_EQ(*reader.get(), 2);
  snapshot.publish(nullptr);
  EXPECT_EQ(reader.get(), nullptr);
}

TEST(Snapshot, TheOldValueGoesWhenEveryReaderDroppedIt) {
  const auto first = std::make_shared<const int>(1);
  Snapshot<int> snapshot(first);
  SnapshotReader<int> looking(snapshot);
  SnapshotReader<int> dropping(snapshot);
  looking.get();
  dropping.get();
  EXPECT_EQ(first.use_count(), 4);
  snapshot.publish(nullptr);
  EXPECT_EQ(first.use_count(), 3);
  looking.get();
  EXPECT_EQ(first.use_count(), 2);
  dropping.drop();
  EXPECT_EQ(first.use_count(), 1);
  EXPECT_EQ(dropping.get(), nullptr);
}

TEST(Snapshot, AReaderThatDroppedFetchesAgain) {
  Snapshot<int> snapshot(std::make_shared<const int>(7));
  SnapshotReader<int> reader(snapshot);
  reader.get();
  reader.drop();
  EXPECT_EQ(*reader.get(), 7);
}

TEST(Snapshot, ReadersNeverGoBack) {
  Snapshot<int> snapshot(std::make_shared<const int>(0));
  std::atomic<int> published{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; t++) {
    threads.emplace_back([&] {
      SnapshotReader<int> reader(snapshot);
      int last = 0;
      while (last < 2000) {
        const int at_least = published;  // published before this get()
        const int seen = *reader.get();
        if (seen < last || seen < at_least) wrong++;
        last = seen;
      }
    });
  }
  for (int i = 1; i <= 2000; i++) {
    snapshot.publish(std::make_shared<const int>(i));
    published = i;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace rekey::base
