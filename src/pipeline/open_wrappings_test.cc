#include "pipeline/open_wrappings.h"

#include <gtest/gtest.h>

namespace rekey::pipeline {
namespace {

TEST(OpenWrappings, AreBounded) {
  OpenWrappings open(3);
  for (int i = 0; i < 3; i++) EXPECT_TRUE(open.admit());
  const auto refused = open.admit();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), base::ErrorKind::kLimited);
  EXPECT_EQ(open.known(), 3u);
}

TEST(OpenWrappings, ACountForgetsThoseThatWereUnwrapped) {
  OpenWrappings open(3);
  for (int i = 0; i < 3; i++) EXPECT_TRUE(open.admit());
  open.begin_count();
  open.end_count(1);
  EXPECT_EQ(open.known(), 1u);
  EXPECT_TRUE(open.admit());
  EXPECT_TRUE(open.admit());
  EXPECT_FALSE(open.admit());
}

TEST(OpenWrappings, WhatIsMadeDuringACountIsCountedInAnyCase) {
  OpenWrappings open(3);
  open.begin_count();
  EXPECT_TRUE(open.admit());
  EXPECT_TRUE(open.admit());
  open.end_count(1);  // one of them was seen, the other came too late
  EXPECT_EQ(open.known(), 3u);
  EXPECT_FALSE(open.admit());
}

}  // namespace
}  // namespace rekey::pipeline
