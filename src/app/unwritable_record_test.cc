// While the record can't be written: nothing is begun, nothing is served but what says so, and all
// of it comes back by itself.
#include <gtest/gtest.h>

#include <thread>

#include "app/testing/harness.h"
#include "audit/testing/fault_disk.h"
#include "storage/memory_store.h"

namespace rekey::app {
namespace {

using logical::Operation;
using testing::Harness;

class UnwritableRecordTest : public ::testing::Test {
 protected:
  UnwritableRecordTest()
      : disk_(std::make_shared<audit::FaultDisk>(7)), server_(store_, 1, disk_->handle()) {
    server_.set_up();
    EXPECT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"canary"}})"));
  }
  void break_disk() { disk_->fail_between(1, UINT64_MAX); }
  uint64_t revision() {
    auto reader = store_.open_reader();
    EXPECT_TRUE(reader && (*reader)->refresh());
    return (*reader)->revision();
  }
  static void expect_refused(const Harness::Answer& answer) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind(), base::ErrorKind::kUnavailable);
    EXPECT_NE(answer.error().message().find("the audit record can't be written"), std::string::npos)
        << answer.error().message();
    EXPECT_EQ(answer.error().message().find("canary"), std::string::npos);
  }

  std::shared_ptr<audit::FaultDisk> disk_;
  storage::MemoryStore store_;
  Harness server_;
};

TEST_F(UnwritableRecordTest, RefusesAllButWhatSaysSo) {
  const std::string token = server_.make_token({"default"});
  break_disk();
  expect_refused(server_.read("secret/data/a"));  // the one that finds out
  const uint64_t before = revision();
  expect_refused(server_.read("secret/data/a"));
  expect_refused(server_.write("secret/data/a", R"({"data":{"k":"two"}})"));
  expect_refused(server_.write("auth/token/create", R"({"policies":["default"]})"));
  expect_refused(server_.write("auth/token/revoke", R"({"token":")" + token + "\"}"));
  expect_refused(server_.read("sys/mounts"));
  expect_refused(server_.read("nothing/here", "hvs.unknown"));
  expect_refused(
      server_.ask({.operation = Operation::kUpdate, .path = "sys/seal", .token = server_.root()}));
  EXPECT_EQ(revision(), before);  // nothing was even begun
  EXPECT_TRUE(server_.read("sys/seal-status"));
  EXPECT_TRUE(server_.read("sys/metrics"));
  const auto health = server_.read("sys/health");
  ASSERT_TRUE(health);
  EXPECT_NE(health->data.find(R"("record_writable":false)"), std::string::npos) << health->data;
}

TEST_F(UnwritableRecordTest, ServesAgainWhenTheDiskDoes) {
  break_disk();
  expect_refused(server_.read("secret/data/a"));
  disk_->fail_between(0, 0);
  for (int i = 0; i < 1'000 && !server_.record().accepts(); i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const auto answer = server_.read("secret/data/a");
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_NE(answer->data.find("canary"), std::string::npos);
}

}  // namespace
}  // namespace rekey::app
