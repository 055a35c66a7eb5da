#include "storage/redo_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/random.h"
#include "storage/testing/temporary_folder.h"

namespace rekey::storage {
namespace {

constexpr uint64_t kTag = 77;

std::string group_of(Revision first, Revision last, const std::string& value) {
  RedoGroupMaker maker;
  maker.begin();
  for (Revision at = first; at <= last; ++at) {
    maker.add({.revision = at, .key = "k" + std::to_string(at), .value = value});
  }
  maker.add({.revision = last, .erased = true, .key = "gone", .value = {}});
  return std::string(maker.finish(kTag, first, last));
}

TEST(RedoFile, AGroupComesBackAsItWas) {
  const std::string bytes = group_of(5, 7, "value");
  const std::string followed = bytes + "what follows";
  const auto group = parse_redo_group(followed, kTag);
  ASSERT_TRUE(group);
  EXPECT_EQ(group->first, 5u);
  EXPECT_EQ(group->last, 7u);
  EXPECT_EQ(group->bytes, bytes.size());
  ASSERT_EQ(group->rows.size(), 4u);
  EXPECT_EQ(group->rows[1].key, "k6");
  EXPECT_EQ(group->rows[1].value, "value");
  EXPECT_EQ(group->rows[1].revision, 6u);
  EXPECT_TRUE(group->rows[3].erased);
  EXPECT_FALSE(parse_redo_group(bytes, kTag + 1));
  EXPECT_EQ(redo_tag(bytes), kTag);
}

TEST(RedoFile, TornAndAlteredGroupsAreNone) {
  const std::string bytes = group_of(1, 3, "value");
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(parse_redo_group(bytes.substr(0, cut), kTag)) << cut;
    std::string altered = bytes;
    altered[cut] ^= 4;
    EXPECT_FALSE(parse_redo_group(altered, kTag)) << cut;
  }
}

TEST(RedoFile, GroupsFollowOneAnotherAndAreOverwritten) {
  const TemporaryFolder folder;
  auto file = RedoFile::open(folder.path() + "/redo");
  ASSERT_TRUE(file);
  EXPECT_TRUE(parse_redo_file(file->read_all().value(), kTag).empty());
  Revision next = 1;
  auto append = [&](size_t bytes) {
    ASSERT_EQ(file->append(group_of(next, next, std::string(bytes, 'x'))).outcome,
              RedoFile::Outcome::kDone);
    next += 1;
  };
  for (const size_t bytes : {10, 5'000, 4'096, 300'000, 1}) append(bytes);
  auto firsts = [&] {
    std::vector<Revision> out;
    for (const RedoGroup& group : parse_redo_file(file->read_all().value(), kTag)) {
      out.push_back(group.first);
    }
    return out;
  };
  EXPECT_EQ(firsts(), (std::vector<Revision>{1, 2, 3, 4, 5}));
  file->rewind();
  append(10);
  EXPECT_EQ(firsts(), (std::vector<Revision>{6, 2, 3, 4, 5}));
  append(100);  // over the beginning of 2
  EXPECT_EQ(firsts(), (std::vector<Revision>{6, 7, 3, 4, 5}));
  ASSERT_TRUE(file->wipe());
  EXPECT_TRUE(firsts().empty());
  append(10);
  EXPECT_EQ(firsts(), (std::vector<Revision>{8}));
}

}  // namespace
}  // namespace rekey::storage
