#include "hcl/format.h"

#include <gtest/gtest.h>

namespace rekey::hcl {
namespace {

std::string formatted(std::string_view text) {
  const auto once = format(text);
  if (!once) return "! " + once.error().message();
  const auto twice = format(*once);
  EXPECT_TRUE(twice && *twice == *once) << *once << "-- again --\n" << twice.value_or("failed");
  return *once;
}

TEST(Format, AlignsAndSpacesItems) {
  EXPECT_EQ(formatted("path \"a\" {capabilities=[\"read\",\"list\"]}\npath \"b\" "
                      "{capabilities=[\"read\"]\nmin_wrapping_ttl=\"1s\"\n  # c1\n"
                      "allowed_parameters = {\n\"a\"=[]\n\"bcd\"=[\"x\",5] } }\n"),
            R"(path "a" {
  capabilities = ["read", "list"]
}

path "b" {
  capabilities     = ["read"]
  min_wrapping_ttl = "1s"

  # c1
  allowed_parameters = {
    "a"   = []
    "bcd" = ["x", 5]
  }
}
)");
}

TEST(Format, KeepsComments) {
  EXPECT_EQ(formatted("# top comment\n\n# second\npath \"a\" { # trailing\n  capabilities = "
                      "[\"read\"] # why\n  /* block */\n}\n\n\n// end\n"),
            R"(# top comment

# second
path "a" {
  # trailing
  capabilities = ["read"] # why

  /* block */
}

// end
)");
  EXPECT_EQ(formatted("# only\n"), "# only\n");
  EXPECT_EQ(formatted("a /* x */ = /* y */ 1 /* z */ # w"),
            "/* x */\n/* y */\na = 1 /* z */ # w\n");
  EXPECT_EQ(formatted("a = { # in\n}\n"), "a = {\n  # in\n}\n");
}

TEST(Format, SpreadsListsThatWereSpread) {
  EXPECT_EQ(formatted("path \"a\" {\n capabilities = [\n \"read\", # r\n  \"list\"\n ]\n}\n"),
            "path \"a\" {\n  capabilities = [\n    \"read\", # r\n    \"list\",\n  ]\n}\n");
  EXPECT_EQ(formatted("a = [\"read\",\n\"list\"]"), "a = [\n  \"read\",\n  \"list\",\n]\n");
  EXPECT_EQ(formatted("a = [1,2,]"), "a = [1, 2]\n");
  EXPECT_EQ(formatted("a = [\n]"), "a = []\n");
  EXPECT_EQ(formatted("a = [ # x\n 1\n # y\n]"), "a = [\n  # x\n  1,\n  # y\n]\n");
  EXPECT_EQ(formatted("a = [{b=1},[2]]"), "a = [\n  {\n    b = 1\n  },\n  [2],\n]\n");
}

TEST(Format, KeepsBlankLinesAndGroups) {
  EXPECT_EQ(formatted("a = 1\nbcd = 2\n\n\ne = 3\nff = 4\n"),
            "a   = 1\nbcd = 2\n\ne  = 3\nff = 4\n");
  EXPECT_EQ(formatted("path a {\n capabilities = [] }"), "path a {\n  capabilities = []\n}\n");
  EXPECT_EQ(formatted("path \"a\" { }\npath \"b\" {\n}\n"), "path \"a\" {}\npath \"b\" {}\n");
  EXPECT_EQ(formatted("a { b = 1, c = 2, }"), "a {\n  b = 1\n  c = 2\n}\n");
  EXPECT_EQ(formatted(""), "");
}

TEST(Format, LeavesStringsAndHeredocsAsTheyAre) {
  EXPECT_EQ(formatted("a=<<EOF\n x\n  y\nEOF\nb = \"\\u00e9\\\"${x(\"y\")}\""),
            "a = <<EOF\n x\n  y\nEOF\n\nb = \"\\u00e9\\\"${x(\"y\")}\"\n");
  EXPECT_EQ(formatted("a = [<<EOF\nx\nEOF\n]"), "a = [\n  <<EOF\nx\nEOF\n  ,\n]\n");
}

TEST(Format, FailsAsTheReader) {
  EXPECT_EQ(formatted("a = "), "! line 1: expected a value, not the end");
  EXPECT_EQ(formatted("{\"a\": 1}"), "! line 1: JSON isn't formatted here, only HCL");
}

}  // namespace
}  // namespace rekey::hcl
