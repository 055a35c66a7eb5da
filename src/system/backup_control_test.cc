#include "system/backup_control.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <latch>

namespace rekey::system {
namespace {

using base::ErrorKind;
using base::Result;
using State = BackupControl::State;

class BackupControlTest : public testing::Test {
 protected:
  ~BackupControlTest() override { std::filesystem::remove_all(folder_); }

  BackupControl::Source source(BackupControl::Copy copy) {
    return {.folder = folder_, .copy = std::move(copy), .bytes_bound = [this] { return bound_; }};
  }
  static State await(BackupControl& control, const std::string& id) {
    while (true) {
      auto status = control.status(id);
      if (!status || status->state != State::kRunning) {
        return status ? status->state : State::kRunning;
      }
      std::this_thread::yield();
    }
  }
  size_t files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_),
                                             std::filesystem::directory_iterator()));
  }

  base::FakeClock clock_;
  base::SystemRandom random_;
  base::Log log_{clock_, -1};
  uint64_t bound_ = 1000;
  const std::string folder_ = [] {
    std::string name = testing::TempDir() + "rekey-backup-XXXXXX";
    return std::string(mkdtemp(name.data()));
  }();
};

TEST_F(BackupControlTest, ComesBackInPieces) {
  std::string whole(kBackupPieceBytesMax + 12'345, '\0');
  for (size_t i = 0; i < whole.size(); i++) whole[i] = static_cast<char>(i * 7 + i / 256);
  BackupControl control(source([&](const BackupControl::Sink& sink) -> Result<void> {
                          for (size_t at = 0; at < whole.size(); at += 100'000) {
                            if (auto sunk = sink(std::string_view(whole).substr(at, 100'000));
                                !sunk)
                              return sunk;
                          }
                          return {};
                        }),
                        clock_, random_, log_);
  const auto started = control.start();
  ASSERT_TRUE(started);
  ASSERT_EQ(await(control, started->id), State::kDone);
  EXPECT_EQ(control.status(started->id)->bytes, whole.size());
  EXPECT_EQ(files(), 0u);  // it has no name that a crash could leave behind
  const auto first = control.read(started->id, 0);
  const auto second = control.read(started->id, kBackupPieceBytesMax);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(*first + *second == whole);
  EXPECT_EQ(*control.read(started->id, whole.size()), "");
  EXPECT_EQ(*control.read(started->id, UINT64_MAX), "");
  EXPECT_EQ(control.read("other", 0).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(control.read("", 0).error().kind(), ErrorKind::kNotFound);
}

TEST_F(BackupControlTest, OneAtATimeAndEndsWhenDiscarded) {
  std::latch running(1);
  bool first = true;
  BackupControl control(source([&](const BackupControl::Sink& sink) -> Result<void> {
                          if (!first) return sink("x");
                          first = false;
                          running.count_down();
                          while (true) {
                            if (auto sunk = sink("x"); !sunk) return sunk;
                          }
                        }),
                        clock_, random_, log_);
  const auto started = control.start();
  ASSERT_TRUE(started);
  running.wait();
  EXPECT_EQ(control.start().error().kind(), ErrorKind::kPrecondition);
  EXPECT_EQ(control.read(started->id, 0).error().kind(), ErrorKind::kPrecondition);
  control.discard("other");
  EXPECT_TRUE(control.status(started->id));
  control.discard(started->id);
  EXPECT_EQ(control.status(started->id).error().kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(control.start());
}

TEST_F(BackupControlTest, FailureSaysWhy) {
  BackupControl control(source([](const BackupControl::Sink&) -> Result<void> {
                          return base::fail(ErrorKind::kUnavailable, "no luck");
                        }),
                        clock_, random_, log_);
  const auto started = control.start();
  ASSERT_TRUE(started);
  EXPECT_EQ(await(control, started->id), State::kFailed);
  EXPECT_EQ(control.status(started->id)->error, "no luck");
  EXPECT_TRUE(control.start());  // and makes way
}

TEST_F(BackupControlTest, GoneAfterAnHour) {
  BackupControl control(source([](const BackupControl::Sink& sink) { return sink("x"); }), clock_,
                        random_, log_);
  const auto started = control.start();
  ASSERT_TRUE(started);
  ASSERT_EQ(await(control, started->id), State::kDone);
  clock_.advance(kBackupKeptMax);
  EXPECT_TRUE(control.status(started->id));
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(control.status(started->id).error().kind(), ErrorKind::kNotFound);
}

TEST_F(BackupControlTest, RefusesWithoutRoomOrStore) {
  bound_ = uint64_t{1} << 60;
  BackupControl full(source([](const BackupControl::Sink& sink) { return sink("x"); }), clock_,
                     random_, log_);
  EXPECT_EQ(full.start().error().kind(), ErrorKind::kUnavailable);
  BackupControl memory({}, clock_, random_, log_);
  EXPECT_EQ(memory.start().error().kind(), ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace rekey::system
