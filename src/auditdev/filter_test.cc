#include "auditdev/filter.h"

#include <gtest/gtest.h>

namespace rekey::auditdev {
namespace {

constexpr FilterInput kKvRead{.mount_point = "secret/",
                              .mount_type = "kv",
                              .name_space = "",
                              .operation = "read",
                              .path = "secret/data/app/db"};

bool takes(std::string_view text, const FilterInput& input = kKvRead) {
  const auto filter = Filter::parse(text);
  EXPECT_TRUE(filter) << text << ": " << filter.error().message();
  return filter && filter->takes(input);
}

TEST(Filter, ComparesFields) {
  EXPECT_TRUE(takes(R"(mount_type == "kv")"));
  EXPECT_TRUE(takes(R"(mount_type == kv)"));
  EXPECT_TRUE(takes("path == `secret/data/app/db`"));
  EXPECT_FALSE(takes(R"(mount_type == "aws")"));
  EXPECT_TRUE(takes(R"(operation != "list")"));
  EXPECT_TRUE(takes(R"("/mount_type" in path or mount_point == "secret/")"));
  EXPECT_TRUE(takes(R"(/mount_type == "kv")"));
  EXPECT_TRUE(takes(R"(namespace is empty)"));
  EXPECT_FALSE(takes(R"(namespace is not empty)"));
  EXPECT_TRUE(takes(R"(namespace == "")"));
}

TEST(Filter, LooksInside) {
  EXPECT_TRUE(takes(R"("app" in path)"));
  EXPECT_FALSE(takes(R"("other" in path)"));
  EXPECT_TRUE(takes(R"("other" not in path)"));
  EXPECT_TRUE(takes(R"(path contains "data/")"));
  EXPECT_FALSE(takes(R"(path not contains "data/")"));
  EXPECT_FALSE(takes(R"(path contains "\"")"));
}

TEST(Filter, CombinesWithGoBexprPrecedence) {
  // and binds closer than or, not closest.
  EXPECT_TRUE(takes(R"(mount_type == kv or mount_type == aws and operation == list)"));
  EXPECT_FALSE(takes(R"((mount_type == kv or mount_type == aws) and operation == list)"));
  EXPECT_FALSE(takes(R"(not mount_type == kv)"));
  EXPECT_TRUE(takes(R"(not (mount_type == aws or operation == list))"));
  EXPECT_TRUE(takes(R"(not not mount_type == kv)"));
  EXPECT_FALSE(takes(R"(not mount_type == kv or operation == list)"));
}

TEST(Filter, NothingTakesEverything) {
  EXPECT_TRUE(takes(""));
  EXPECT_TRUE(takes("  \n"));
  EXPECT_TRUE(Filter::parse("")->takes_everything());
}

TEST(Filter, SaysWhatIsWrong) {
  struct Case {
    const char* text;
    const char* says;
  };
  for (const Case& one :
       {Case{"mount == kv", "there is no field \"mount\""},
        Case{"path matches \"a.*\"", "matches is not supported"},
        Case{"path not matches \"a.*\"", "matches is not supported"}, Case{"path", "expected =="},
        Case{"path ==", "expected a text"}, Case{"(path == a", "expected `)`"},
        Case{"path == a path == b", "expected `and`"}, Case{"path == \"a", "has no end"},
        Case{"path == \"\\n\"", "only"}, Case{"path = a", "no meaning"},
        Case{"a in", "expected a field"}, Case{"\"a\" in nothing", "expected a field"},
        Case{"\"a\" == path", "expected `in`"}, Case{"path is full", "expected `empty`"},
        Case{"not", "expected a field"}}) {
    const auto filter = Filter::parse(one.text);
    ASSERT_FALSE(filter) << one.text;
    EXPECT_NE(filter.error().message().find(one.says), std::string::npos)
        << one.text << ": " << filter.error().message();
  }
}

TEST(Filter, DepthAndLengthAreBounded) {
  const std::string deep(kFilterDepthMax - 1, '(');
  EXPECT_TRUE(takes(deep + "path != a" + std::string(kFilterDepthMax - 1, ')')));
  EXPECT_FALSE(Filter::parse(std::string(kFilterDepthMax, '(') + "path != a" +
                             std::string(kFilterDepthMax, ')')));
  std::string nots;
  for (size_t i = 0; i < kFilterDepthMax; i++) nots += "not ";
  EXPECT_FALSE(Filter::parse(nots + "path != a"));
  EXPECT_FALSE(Filter::parse("path == \"" + std::string(kFilterBytesMax, 'a') + "\""));
}

}  // namespace
}  // namespace rekey::auditdev
